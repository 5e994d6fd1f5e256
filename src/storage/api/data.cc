// GET and HEAD of a URL of /v2: a checkpoint as an archive, or an uploaded file. Both go through
// core/transfer's Load, as a restore does: every byte is authenticated before it is sent.
#include <algorithm>
#include <functional>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"
#include "core/codec/stream.h"
#include "core/transfer/load.h"
#include "storage/api/bulk_slots.h"
#include "storage/api/conditions.h"
#include "storage/api/file_grant.h"
#include "storage/api/handlers.h"
#include "storage/api/paced_peer.h"
#include "storage/api/tar_layout.h"
#include "storage/api/upload.h"
#include "storage/metadata/paths.h"

namespace cedana::api {
namespace {

constexpr char kTarSuffix[] = ".tar";

struct CompressedView {
  absl::string_view suffix;
  codec::Container container;
  absl::string_view type;
};
constexpr CompressedView kCompressedViews[] = {
    {".tar.gz", codec::Container::kGzip, "application/gzip"},
    {".tar.lz4", codec::Container::kLz4, "application/x-lz4"},
    {".tar.zlib", codec::Container::kZlib, "application/zlib"},
    {".tar.zst", codec::Container::kZstd, "application/zstd"},
};

// Hands bytes on to a function.
class FunctionSink : public transfer::ByteSink {
 public:
  using Function = std::function<absl::Status(std::span<const uint8_t>)>;
  explicit FunctionSink(Function function) : function_(std::move(function)) {}
  absl::Status Write(std::span<const uint8_t> bytes) override { return function_(bytes); }

 private:
  const Function function_;
};

// Writes the part of the archive that lies in `range`.
absl::Status WritePieces(transfer::Load& load, const std::vector<TarPiece>& pieces,
                         const ByteRange& range, transfer::ByteSink& sink) {
  uint64_t skip = range.offset;
  uint64_t left = range.length;
  for (const TarPiece& piece : pieces) {
    if (left == 0) break;
    if (skip >= piece.bytes) {
      skip -= piece.bytes;
      continue;
    }
    const uint64_t take = std::min(piece.bytes - skip, left);
    if (piece.file.empty()) {
      const absl::string_view part = absl::string_view(piece.literal).substr(skip, take);
      CEDANA_RETURN_IF_ERROR(
          sink.Write({reinterpret_cast<const uint8_t*>(part.data()), part.size()}));
    } else {
      CEDANA_RETURN_IF_ERROR(load.Serve(piece.file, sink, skip, take));
    }
    left -= take;
    skip = 0;
  }
  return absl::OkStatus();
}

// Answers what the request's conditions ask for; true when that was all.
absl::StatusOr<bool> AnswerConditions(Call& call, const std::string& etag, bool* whole) {
  switch (JudgeConditions(call.request(), etag)) {
    case Verdict::kNotModified:
      CEDANA_RETURN_IF_ERROR(call.Send(304, {{"ETag", etag}}, ""));
      return true;
    case Verdict::kFailed:
      return absl::FailedPreconditionError("file: is another version than If-Match names");
    case Verdict::kServeWhole:
      *whole = true;
      return false;
    case Verdict::kServe:
      break;
  }
  return false;
}

// Something of a known length: whole or a range of it, which `write` produces.
absl::Status SendRanged(
    Call& call, PacedPeer& peer, const std::string& etag, const char* type, uint64_t size,
    const std::function<absl::Status(const ByteRange&, transfer::ByteSink&)>& write) {
  bool whole = false;
  CEDANA_ASSIGN_OR_RETURN(const bool answered, AnswerConditions(call, etag, &whole));
  if (answered) return absl::OkStatus();
  // Only a GET has ranges (RFC 9110, 14.2).
  const bool head = call.request().method == "HEAD";
  const absl::StatusOr<ByteRange> range =
      ParseRange(whole || head ? nullptr : call.request().Header("range"), size);
  if (!range.ok()) {
    return call.Send(416, {{"Content-Range", absl::StrCat("bytes */", size)}, {"ETag", etag}}, "");
  }
  http::Headers headers = RangeHeaders(*range, size);
  headers.emplace_back("Content-Type", type);
  headers.emplace_back("ETag", etag);
  CEDANA_RETURN_IF_ERROR(call.Start(range->partial ? 206 : 200, headers, range->length));
  if (head) return call.Finish();
  FunctionSink sink([&peer](std::span<const uint8_t> bytes) { return peer.Write(bytes); });
  // Not finished on an error: the connection is cut, so that a part is never taken for the whole.
  CEDANA_RETURN_IF_ERROR(write(*range, sink));
  return call.Finish();
}

// Made while it is read, so its length is not known: chunked, and no ranges.
absl::Status SendCompressed(Call& call, PacedPeer& peer, const std::string& etag,
                            const CompressedView& view, transfer::Load& load,
                            const std::vector<TarPiece>& pieces) {
  bool whole = false;
  CEDANA_ASSIGN_OR_RETURN(const bool answered, AnswerConditions(call, etag, &whole));
  if (answered) return absl::OkStatus();
  CEDANA_RETURN_IF_ERROR(
      call.Start(200, {{"Content-Type", std::string(view.type)}, {"ETag", etag}}, std::nullopt));
  if (call.request().method == "HEAD") return call.Finish();
  const auto stream = codec::MakeStreamCompressor(view.container);
  const codec::StreamCompressor::Sink send = [&peer](std::span<const uint8_t> bytes) {
    return peer.Write(bytes);
  };
  FunctionSink sink([&](std::span<const uint8_t> bytes) { return stream->Add(bytes, send); });
  CEDANA_RETURN_IF_ERROR(WritePieces(load, pieces, {0, TarBytes(pieces), false}, sink));
  CEDANA_RETURN_IF_ERROR(stream->End(send));
  return call.Finish();
}

absl::Status SendView(Call& call, PacedPeer& peer, const FileGrant& grant, transfer::Load& load) {
  if (load.info().id != grant.checkpoint) {
    return absl::NotFoundError(absl::StrCat("checkpoint ", grant.name, ": was replaced"));
  }
  const std::vector<TarPiece> pieces = LayOutTar(load.files());
  const absl::string_view suffix = metadata::ViewSuffix(grant.name);
  for (const CompressedView& view : kCompressedViews) {
    if (view.suffix != suffix) continue;
    // Weak: another version of the library may make other bytes of the same archive.
    const std::string etag = absl::StrCat("W/\"", grant.checkpoint.ToHex(), "-tar1", suffix, "\"");
    return SendCompressed(call, peer, etag, view, load, pieces);
  }
  return SendRanged(call, peer, absl::StrCat("\"", grant.checkpoint.ToHex(), "-tar1\""),
                    "application/x-tar", TarBytes(pieces),
                    [&](const ByteRange& range, transfer::ByteSink& sink) {
                      return WritePieces(load, pieces, range, sink);
                    });
}

absl::Status SendFile(Call& call, PacedPeer& peer, const FileGrant& grant, transfer::Load& load) {
  const transfer::ImageFile* data = load.Find(kFileData);
  if (data == nullptr) {
    return absl::DataLossError(absl::StrCat("file ", grant.name, ": holds no data"));
  }
  return SendRanged(call, peer, FileTag(load.info().id), "application/octet-stream", data->bytes,
                    [&](const ByteRange& range, transfer::ByteSink& sink) {
                      return load.Serve(kFileData, sink, range.offset, range.length);
                    });
}

// The streams of one folder are read together, and how many there are is known.
absl::StatusOr<BulkSlots::Want> WantFor(OrgCatalog& catalog, const FileGrant& grant) {
  BulkSlots::Want want{.organisation = grant.organisation};
  const std::optional<absl::string_view> folder = FolderOfStream(grant.name);
  if (!folder.has_value() || grant.use == FileGrant::Use::kView) return want;
  want.group = absl::StrCat("down ", *folder);
  want.shares = kStreamsMax;
  if (folder->empty()) return want;  // beside everything else that there is
  CEDANA_ASSIGN_OR_RETURN(const auto names, catalog.Names(std::string(*folder)));
  const auto streams = std::count_if(names.begin(), names.end(), [&](const auto& listed) {
    absl::string_view path = listed.path;
    return absl::ConsumePrefix(&path, "/") && FolderOfStream(path) == folder;
  });
  want.shares = std::min(static_cast<int>(streams), kStreamsMax);
  return want;
}

}  // namespace

bool IsViewSuffix(absl::string_view suffix) {
  return suffix == kTarSuffix ||
         std::any_of(std::begin(kCompressedViews), std::end(kCompressedViews),
                     [&](const CompressedView& view) { return view.suffix == suffix; });
}

std::string FileTag(const base::CheckpointId& id) { return absl::StrCat("\"", id.ToHex(), "\""); }

absl::Status GetData(Call& call, const replica::Vault& vault, BulkSlots& slots) {
  CEDANA_ASSIGN_OR_RETURN(const FileGrant grant, JudgeFileGrant(call.segments()[2], vault));
  if (grant.use == FileGrant::Use::kUpload) {
    return absl::PermissionDeniedError("grant: is for an upload");
  }
  const bool is_view = grant.use == FileGrant::Use::kView;
  OrgCatalog catalog(&vault, grant.organisation,
                     is_view ? replica::PathKind::kCheckpoint : replica::PathKind::kFile);
  CEDANA_ASSIGN_OR_RETURN(const BulkSlots::Want want, WantFor(catalog, grant));
  CEDANA_ASSIGN_OR_RETURN(BulkSlots::Slot slot,
                          slots.Take(want, [&call] { return call.cancelled(); }));
  PacedPeer peer(call, slot, slots.limits());
  // As long as the client reads.
  const auto open = [&](size_t memory_bytes) {
    transfer::LoadOptions options{.path = grant.name,
                                  .lease = base::DrawId<base::LeaseId>(*vault.random),
                                  .memory_limit_bytes = memory_bytes,
                                  .one_file = !is_view,
                                  .random = vault.random};
    return transfer::Load::Open(base::Context{}, options, &catalog,
                                [&](const base::LeaseId& lease) {
                                  return replica::MakePackSource(&vault, grant.organisation, lease);
                                });
  };
  auto load = open(want.group.empty() ? kBulkMemoryBytes : kShareBytes);
  if (absl::IsResourceExhausted(load.status()) && !want.group.empty()) {
    // Its page map leaves too little of one share; seldom, so it has to be free.
    CEDANA_RETURN_IF_ERROR(slot.Grow(kBulkShares - 1));
    load = open(kBulkMemoryBytes);
  }
  CEDANA_RETURN_IF_ERROR(load.status());
  const absl::Status sent =
      is_view ? SendView(call, peer, grant, **load) : SendFile(call, peer, grant, **load);
  return base::Annotate(sent, absl::StrCat(is_view ? "view " : "file ", grant.name));
}

}  // namespace cedana::api
