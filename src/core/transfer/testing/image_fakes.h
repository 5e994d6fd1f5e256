// Image files in memory, at both ends.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "core/transfer/load.h"
#include "core/transfer/save.h"

namespace cedana::transfer {

// Gives `bytes` in reads of at most `read_bytes_max`, as a pipe would.
class StringSource : public ByteSource {
 public:
  explicit StringSource(const std::string& bytes, size_t read_bytes_max = SIZE_MAX)
      : bytes_(bytes), read_bytes_max_(read_bytes_max) {}

  absl::StatusOr<size_t> Read(std::span<uint8_t> out) override {
    const size_t size = std::min({out.size(), bytes_.size() - offset_, read_bytes_max_});
    if (size > 0) std::memcpy(out.data(), bytes_.data() + offset_, size);
    offset_ += size;
    return size;
  }

 private:
  const std::string& bytes_;
  const size_t read_bytes_max_;
  size_t offset_ = 0;
};

class StringSink : public ByteSink {
 public:
  absl::Status Write(std::span<const uint8_t> bytes) override {
    text_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return absl::OkStatus();
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace cedana::transfer
