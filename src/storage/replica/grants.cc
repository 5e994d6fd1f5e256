#include "storage/replica/grants.h"

#include "absl/strings/str_cat.h"
#include "core/base/ids.h"
#include "storage/replica/crypto.h"

namespace cedana::replica {
namespace {

std::vector<std::string> Parts(const ObjectGrant& grant) {
  return {"object",
          grant.method,
          grant.provider,
          grant.key,
          absl::StrCat(grant.bytes),
          absl::StrCat(grant.crc32c),
          absl::StrCat(grant.expires_ms)};
}

}  // namespace

std::string GrantSigner::Sign(const std::vector<std::string>& parts) const {
  std::string text;
  for (const std::string& part : parts) absl::StrAppend(&text, part.size(), ":", part);
  const std::string mac = HmacSha256(key_, text);
  return base::HexEncode(reinterpret_cast<const uint8_t*>(mac.data()), mac.size());
}

absl::Status GrantSigner::Verify(const std::vector<std::string>& parts, absl::string_view signature,
                                 int64_t expires_ms, int64_t now_ms) const {
  if (!EqualSecrets(Sign(parts), signature)) {
    return absl::PermissionDeniedError("grant: not what was granted");
  }
  if (now_ms >= expires_ms) return absl::PermissionDeniedError("grant: has expired");
  return absl::OkStatus();
}

std::string GrantSigner::Sign(const ObjectGrant& grant) const { return Sign(Parts(grant)); }

absl::Status GrantSigner::Verify(const ObjectGrant& grant, absl::string_view signature,
                                 int64_t now_ms) const {
  return Verify(Parts(grant), signature, grant.expires_ms, now_ms);
}

}  // namespace cedana::replica
