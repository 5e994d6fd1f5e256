#include "storage/api/file_grant.h"

#include <optional>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"

namespace cedana::api {
namespace {

constexpr absl::string_view kUses[] = {"view", "read", "upload"};  // in the order of Use

absl::string_view UseText(FileGrant::Use use) { return kUses[static_cast<size_t>(use)]; }

std::optional<FileGrant::Use> UseFrom(absl::string_view text) {
  for (size_t i = 0; i < std::size(kUses); ++i) {
    if (kUses[i] == text) return static_cast<FileGrant::Use>(i);
  }
  return std::nullopt;
}

std::vector<std::string> Parts(const FileGrant& grant) {
  return {std::string(UseText(grant.use)), grant.organisation.ToHex(), grant.checkpoint.ToHex(),
          absl::StrCat(grant.expires_ms), grant.name};
}

}  // namespace

std::string SignFileGrant(FileGrant grant, const replica::Vault& vault) {
  grant.expires_ms = vault.NowMs() + absl::ToInt64Milliseconds(vault.times.grant);
  return absl::StrCat(
      UseText(grant.use), ".", grant.organisation.ToHex(), ".", grant.checkpoint.ToHex(), ".",
      grant.expires_ms, ".", vault.grants->Sign(Parts(grant)), ".",
      base::HexEncode(reinterpret_cast<const uint8_t*>(grant.name.data()), grant.name.size()));
}

absl::StatusOr<FileGrant> JudgeFileGrant(const std::string& segment, const replica::Vault& vault) {
  const absl::Status bad = absl::PermissionDeniedError("grant: missing or malformed");
  const std::vector<std::string> parts = absl::StrSplit(segment, '.');
  if (parts.size() != 6) return bad;
  const std::optional<FileGrant::Use> use = UseFrom(parts[0]);
  const auto organisation = base::OrgId::FromHex(parts[1]);
  const auto checkpoint = base::CheckpointId::FromHex(parts[2]);
  const auto name = base::HexDecode(parts[5]);
  FileGrant grant;
  if (!use.has_value() || !organisation.ok() || !checkpoint.ok() || !name.ok() ||
      !absl::SimpleAtoi(parts[3], &grant.expires_ms)) {
    return bad;
  }
  grant.use = *use;
  grant.organisation = *organisation;
  grant.checkpoint = *checkpoint;
  grant.name = *name;
  CEDANA_RETURN_IF_ERROR(
      vault.grants->Verify(Parts(grant), parts[4], grant.expires_ms, vault.NowMs()));
  return grant;
}

}  // namespace cedana::api
