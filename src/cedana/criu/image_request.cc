#include "cedana/criu/image_request.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "cedana/criu/wire_internal.h"
#include "core/base/limits.h"
#include "core/base/status.h"

namespace cedana::criu {
namespace {

void AppendVarint(uint64_t value, std::string* out) {
  for (; value >= 0x80; value >>= 7) out->push_back(static_cast<char>(value | 0x80));
  out->push_back(static_cast<char>(value));
}

std::string WithLength(absl::string_view message) {
  std::string out;
  for (int shift = 0; shift < 32; shift += 8) {
    out.push_back(static_cast<char>(message.size() >> shift));
  }
  return absl::StrCat(out, message);
}

}  // namespace

uint32_t DecodeLength(const uint8_t bytes[kLengthBytes]) {
  uint32_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) length |= static_cast<uint32_t>(bytes[i]) << (8 * i);
  return length;
}

absl::Status CheckImageName(absl::string_view name) {
  bool good =
      !name.empty() && name.size() <= base::kImageNameBytesMax && name != "." && name != "..";
  for (const char c : name) {
    good = good && c != '/' && static_cast<uint8_t>(c) >= 0x20 && c != 0x7f;
  }
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("bad image file name \"",
                                                 absl::CHexEscape(name.substr(0, 64)), "\" (",
                                                 name.size(), " bytes)"));
}

absl::StatusOr<std::string> DecodeRequest(absl::string_view message) {
  std::string name;
  bool seen = false;
  while (!message.empty()) {
    WireField field;
    if (!TakeField(&message, &field) || (field.number == 1 && (seen || !field.is_bytes))) {
      return absl::InvalidArgumentError("malformed request on CRIU's image socket");
    }
    if (field.number != 1) continue;  // a later CRIU may say more
    name = std::string(field.bytes);
    seen = true;
  }
  CEDANA_RETURN_IF_ERROR(CheckImageName(name));
  return name;
}

std::string EncodeRequest(absl::string_view name) {
  std::string message = "\x0a";
  AppendVarint(name.size(), &message);
  absl::StrAppend(&message, name);
  return WithLength(message);
}

std::string EncodeReply(bool exists) {
  const char message[] = {0x08, static_cast<char>(exists ? 1 : 0)};
  return WithLength(absl::string_view(message, sizeof(message)));
}

}  // namespace cedana::criu
