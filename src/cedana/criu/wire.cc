#include <cstring>

#include "cedana/criu/wire_internal.h"

namespace cedana::criu {
namespace {

bool TakeVarint(absl::string_view* in, uint64_t* out) {
  *out = 0;
  for (int shift = 0; shift < 64 && !in->empty(); shift += 7) {
    const uint8_t byte = static_cast<uint8_t>(in->front());
    in->remove_prefix(1);
    *out |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return true;
  }
  return false;
}

bool TakeBytes(absl::string_view* in, uint64_t count, absl::string_view* out) {
  if (count > in->size()) return false;
  *out = in->substr(0, count);
  in->remove_prefix(count);
  return true;
}

}  // namespace

bool TakeField(absl::string_view* message, WireField* field) {
  uint64_t tag = 0;
  if (!TakeVarint(message, &tag) || tag >> 3 == 0 || tag >> 3 > UINT32_MAX) return false;
  *field = WireField{.number = static_cast<uint32_t>(tag >> 3)};
  absl::string_view raw;
  switch (tag & 7) {
    case 0:
      return TakeVarint(message, &field->value);
    case 1:
    case 5:
      if (!TakeBytes(message, (tag & 7) == 1 ? 8 : 4, &raw)) return false;
      std::memcpy(&field->value, raw.data(), raw.size());  // little-endian, as every host of CRIU
      return true;
    case 2: {
      uint64_t count = 0;
      field->is_bytes = true;
      return TakeVarint(message, &count) && TakeBytes(message, count, &field->bytes);
    }
    default:
      return false;
  }
}

}  // namespace cedana::criu
