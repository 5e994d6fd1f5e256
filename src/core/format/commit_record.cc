#include "core/format/commit_record.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "core/base/json.h"
#include "core/base/status.h"
#include "core/format/sealed_object.h"

namespace cedana::format {
namespace {

std::array<uint8_t, 16> ObjectId(const base::CheckpointId& checkpoint) {
  std::array<uint8_t, 16> id;
  std::memcpy(id.data(), checkpoint.data(), id.size());
  return id;
}

absl::StatusOr<CommitRecord> FromJson(const base::Json& json,
                                      const base::CheckpointId& checkpoint) {
  CommitRecord record;
  record.checkpoint = checkpoint;
  CEDANA_ASSIGN_OR_RETURN(const int64_t sequence, base::GetInt(json, "sequence"));
  CEDANA_ASSIGN_OR_RETURN(record.path, base::GetString(json, "path"));
  CEDANA_ASSIGN_OR_RETURN(const std::string manifest, base::GetString(json, "manifest"));
  CEDANA_ASSIGN_OR_RETURN(record.manifest_sha256, base::GetString(json, "manifest_sha256"));
  CEDANA_ASSIGN_OR_RETURN(const int64_t created, base::GetInt(json, "created_unix_us"));
  if (sequence < 0 || manifest != checkpoint.ToHex() || record.manifest_sha256.size() != 64) {
    return absl::DataLossError("has a bad member");
  }
  record.sequence = static_cast<uint64_t>(sequence);
  record.created = absl::FromUnixMicros(created);
  return record;
}

}  // namespace

std::string SealCommitRecord(const CommitRecord& record, const OrganisationKeys& keys) {
  const base::Json json = {{"sequence", record.sequence},
                           {"path", record.path},
                           {"manifest", record.checkpoint.ToHex()},
                           {"manifest_sha256", record.manifest_sha256},
                           {"created_unix_us", absl::ToUnixMicros(record.created)}};
  return SealObject(kCommitRecordKind, keys, ObjectId(record.checkpoint), base::DumpJson(json));
}

absl::StatusOr<CommitRecord> OpenCommitRecord(absl::string_view sealed,
                                              const base::CheckpointId& checkpoint,
                                              const OrganisationKeys& keys) {
  CEDANA_ASSIGN_OR_RETURN(const std::string plain,
                          OpenObject(kCommitRecordKind, keys, ObjectId(checkpoint), sealed));
  const absl::StatusOr<base::Json> json = base::ParseJson(plain);
  if (!json.ok() || !json->is_object()) return absl::DataLossError("commit record is not JSON");
  absl::StatusOr<CommitRecord> record = FromJson(*json, checkpoint);
  if (!record.ok()) {
    return absl::DataLossError(absl::StrCat("commit record ", record.status().message()));
  }
  return record;
}

}  // namespace cedana::format
