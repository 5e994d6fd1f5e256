#include "core/codec/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>

namespace cedana::codec {

uint32_t ExtendCrc32c(uint32_t crc, std::span<const uint8_t> bytes) {
  // ISA-L leaves the complement before and after to its caller, and counts in int.
  constexpr size_t kStepBytes = 1u << 30;
  crc = ~crc;
  while (!bytes.empty()) {
    const size_t step = std::min(bytes.size(), kStepBytes);
    crc = crc32_iscsi(const_cast<uint8_t*>(bytes.data()), static_cast<int>(step), crc);
    bytes = bytes.subspan(step);
  }
  return ~crc;
}

}  // namespace cedana::codec
