// A CRC-32C as the clouds write it: base64 of its four bytes, the most significant first.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"

namespace cedana::objstore {

inline std::string Crc32cText(uint32_t crc) {
  const char bytes[] = {static_cast<char>(crc >> 24), static_cast<char>(crc >> 16),
                        static_cast<char>(crc >> 8), static_cast<char>(crc)};
  return absl::Base64Escape(absl::string_view(bytes, sizeof(bytes)));
}

// Nothing for anything else, also for the composite of a multipart upload ("…-3").
inline std::optional<uint32_t> ParseCrc32cText(absl::string_view text) {
  std::string bytes;
  if (!absl::Base64Unescape(text, &bytes) || bytes.size() != 4) return std::nullopt;
  uint32_t crc = 0;
  for (const char byte : bytes) crc = crc << 8 | static_cast<uint8_t>(byte);
  return crc;
}

}  // namespace cedana::objstore
