// Little-endian integers and varints, written to the end of a string and read back with bounds.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "absl/strings/string_view.h"

namespace cedana::format {

inline void StoreU32(uint8_t* out, uint32_t value) {
  for (int i = 0; i < 4; ++i) out[i] = static_cast<uint8_t>(value >> (8 * i));
}
inline uint32_t LoadU32(const uint8_t* in) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value |= static_cast<uint32_t>(in[i]) << (8 * i);
  return value;
}
inline absl::string_view AsText(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline std::span<const uint8_t> AsBytes(absl::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

class ByteWriter {
 public:
  void U8(uint8_t value) { out_.push_back(static_cast<char>(value)); }
  void U32(uint32_t value) {
    uint8_t bytes[4];
    StoreU32(bytes, value);
    Bytes(bytes);
  }
  void Varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) U8(static_cast<uint8_t>(value | 0x80));
    U8(static_cast<uint8_t>(value));
  }
  void Bytes(std::span<const uint8_t> bytes) { out_.append(AsText(bytes).data(), bytes.size()); }

  size_t size() const { return out_.size(); }
  std::string Take() { return std::move(out_); }

 private:
  std::string out_;
};

// Reading past the end, or a varint in a longer form than needed, makes ok() false for ever; values
// are then 0 or empty, so that one check after a group of reads is enough.
class ByteReader {
 public:
  explicit ByteReader(std::span<const uint8_t> bytes) : rest_(bytes) {}

  uint8_t U8() {
    const std::span<const uint8_t> bytes = Bytes(1);
    return bytes.empty() ? 0 : bytes[0];
  }
  uint32_t U32() {
    const std::span<const uint8_t> bytes = Bytes(4);
    return bytes.empty() ? 0 : LoadU32(bytes.data());
  }
  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const uint8_t byte = U8();
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) != 0) continue;
      const bool longer_than_needed = byte == 0 && shift > 0;
      const bool over_64_bits = shift == 63 && byte > 1;
      if (longer_than_needed || over_64_bits) break;
      return value;
    }
    return Fail();
  }
  // `size` bytes, or none at all.
  std::span<const uint8_t> Bytes(size_t size) {
    if (size > rest_.size()) {
      Fail();
      return {};
    }
    const std::span<const uint8_t> bytes = rest_.first(size);
    rest_ = rest_.subspan(size);
    return bytes;
  }

  bool ok() const { return ok_; }
  size_t left() const { return rest_.size(); }

 private:
  uint64_t Fail() {
    ok_ = false;
    rest_ = {};
    return 0;
  }

  std::span<const uint8_t> rest_;
  bool ok_ = true;
};

}  // namespace cedana::format
