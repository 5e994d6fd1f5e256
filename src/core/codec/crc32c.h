// CRC-32C (Castagnoli, RFC 3720): what object stores check an upload against. Not a defence against
// tampering; that is the seal's work.
#pragma once

#include <cstdint>
#include <span>

namespace cedana::codec {

// The checksum of the bytes that gave `crc`, followed by `bytes`. Start with 0.
uint32_t ExtendCrc32c(uint32_t crc, std::span<const uint8_t> bytes);

inline uint32_t Crc32c(std::span<const uint8_t> bytes) { return ExtendCrc32c(0, bytes); }

}  // namespace cedana::codec
