// PUT of an upload URL: grant, place, save; the commit comes after the body's last byte, so that
// an upload that is cut leaves nothing to be seen.
#include "storage/api/upload.h"

#include <memory>
#include <optional>

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

absl::Status TooLarge() {
  return absl::InvalidArgumentError(absl::StrCat("file: larger than ", kUploadBytesMax >> 30,
                                                 " GiB, the most that can be uploaded"));
}

BulkSlots::Want WantFor(const FileGrant& grant) {
  const std::optional<absl::string_view> folder = FolderOfStream(grant.name);
  if (!folder.has_value()) return {.organisation = grant.organisation};
  return {.organisation = grant.organisation,
          .group = absl::StrCat("up ", *folder),
          .shares = kStreamsMax};
}

absl::StatusOr<transfer::CheckpointInfo> SaveBody(PacedPeer& peer, const replica::Vault& vault,
                                                  const FileGrant& grant, size_t memory_bytes) {
  OrgCatalog catalog(&vault, grant.organisation, replica::PathKind::kFile);
  transfer::SaveOptions options;
  options.save = base::DrawId<base::SaveId>(*vault.random);
  options.checkpoint = base::DrawId<base::CheckpointId>(*vault.random);
  CEDANA_ASSIGN_OR_RETURN(options.path, metadata::NormaliseFile(grant.name));
  options.codec = kCodec;
  options.memory_limit_bytes = memory_bytes;
  options.one_file = true;
  options.random = vault.random;
  CEDANA_ASSIGN_OR_RETURN(
      const std::unique_ptr<transfer::Save> save,
      transfer::Save::Begin(base::Context{}, options, &catalog, [&](const base::SaveId& id) {
        return replica::MakePackSink(&vault, id);
      }));
  BodySource body(&peer);
  CEDANA_RETURN_IF_ERROR(save->Store(kFileData, body));
  transfer::JobFacts facts;
  facts.type = kFileType;
  return save->Finish(facts, kCommitTimeout);
}

}  // namespace

absl::StatusOr<size_t> BodySource::Read(std::span<uint8_t> out) {
  CEDANA_ASSIGN_OR_RETURN(const size_t got, peer_.Read(out));
  bytes_ += got;
  if (bytes_ > kUploadBytesMax) return TooLarge();
  return got;
}

absl::Status PutData(Call& call, const replica::Vault& vault, BulkSlots& slots) {
  CEDANA_ASSIGN_OR_RETURN(const FileGrant grant, JudgeFileGrant(call.segments()[2], vault));
  if (grant.use != FileGrant::Use::kUpload) {
    return absl::PermissionDeniedError("grant: is for reading");
  }
  if (call.request().content_length.value_or(0) > kUploadBytesMax) return TooLarge();
  const BulkSlots::Want want = WantFor(grant);
  CEDANA_ASSIGN_OR_RETURN(BulkSlots::Slot slot,
                          slots.Take(want, [&call] { return call.cancelled(); }));
  PacedPeer peer(call, slot, slots.limits());
  const absl::StatusOr<transfer::CheckpointInfo> saved =
      SaveBody(peer, vault, grant, want.group.empty() ? kBulkMemoryBytes : kShareBytes);
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
