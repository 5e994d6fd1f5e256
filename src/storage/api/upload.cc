// PUT of an upload URL: grant, place, save; the commit comes after the body's last byte, so that
// an upload that is cut leaves nothing to be seen.
#include "storage/api/upload.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "storage/api/bulk_slots.h"
#include "storage/api/file_grant.h"
#include "storage/api/handlers.h"
#include "storage/metadata/paths.h"

namespace cedana::api {
namespace {

// Uploads are often compressed already: a codec that costs next to nothing on such bytes.
constexpr char kCodec[] = "lz4";
constexpr absl::Duration kCommitTimeout = absl::Minutes(1);

absl::Status TooLarge(uint64_t bytes_max) {
  return absl::InvalidArgumentError(
      absl::StrCat("file: larger than ", bytes_max >> 30, " GiB, the most that can be uploaded"));
}

absl::StatusOr<transfer::CheckpointInfo> SaveBody(Call& call, const replica::Vault& vault,
                                                  const FileGrant& grant) {
  OrgCatalog catalog(&vault, grant.organisation, replica::PathKind::kFile);
  transfer::SaveOptions options;
  options.save = base::DrawId<base::SaveId>(*vault.random);
  options.checkpoint = base::DrawId<base::CheckpointId>(*vault.random);
  CEDANA_ASSIGN_OR_RETURN(options.path, metadata::NormaliseFile(grant.name));
  options.codec = kCodec;
  options.memory_limit_bytes = kBulkMemoryBytes;
  options.random = vault.random;
  CEDANA_ASSIGN_OR_RETURN(
      const std::unique_ptr<transfer::Save> save,
      transfer::Save::Begin(base::Context{}, options, &catalog, [&](const base::SaveId& id) {
        return replica::MakePackSink(&vault, id);
      }));
  BodySource body(call, *vault.clock);
  CEDANA_RETURN_IF_ERROR(save->Store(kFileData, body));
  transfer::JobFacts facts;
  facts.type = kFileType;
  return save->Finish(facts, kCommitTimeout);
}

}  // namespace

absl::StatusOr<size_t> BodySource::Read(std::span<uint8_t> out) {
  const absl::Duration began = clock_.Monotonic();
  CEDANA_ASSIGN_OR_RETURN(const size_t got, call_.ReadBody(out));
  bytes_ += got;
  if (bytes_ > bytes_max_) return TooLarge(bytes_max_);
  if (got > 0) CEDANA_RETURN_IF_ERROR(floor_.Moved(got, clock_.Monotonic() - began));
  return got;
}

absl::Status PutData(Call& call, const replica::Vault& vault, BulkSlots& slots) {
  CEDANA_ASSIGN_OR_RETURN(const FileGrant grant, JudgeFileGrant(call.segments()[2], vault));
  if (grant.use != FileGrant::Use::kUpload) {
    return absl::PermissionDeniedError("grant: is for reading");
  }
  if (call.request().content_length.value_or(0) > kUploadBytesMax) return TooLarge(kUploadBytesMax);
  CEDANA_ASSIGN_OR_RETURN(const BulkSlots::Slot slot,
                          slots.Take(grant.organisation, [&call] { return call.cancelled(); }));
  const absl::StatusOr<transfer::CheckpointInfo> saved = SaveBody(call, vault, grant);
  if (!saved.ok()) {
    base::LogWarn("upload failed", {{"request", call.request_id()},
                                    {"organisation", grant.organisation.ToHex()},
                                    {"name", grant.name},
                                    {"error", saved.status().message()}});
    return saved.status();
  }
  base::LogInfo("file uploaded", {{"request", call.request_id()},
                                  {"organisation", grant.organisation.ToHex()},
                                  {"name", grant.name},
                                  {"bytes", saved->image_bytes},
                                  {"stored_bytes", saved->stored_bytes}});
  return call.Send(201, {{"ETag", FileTag(saved->id)}}, "");
}

}  // namespace cedana::api
