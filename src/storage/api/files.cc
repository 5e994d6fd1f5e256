#include <algorithm>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/limits.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "core/transfer/load.h"
#include "storage/api/handlers.h"
#include "storage/api/tar_layout.h"
#include "storage/metadata/paths.h"

namespace cedana::api {
namespace {

constexpr char kTarSuffix[] = ".tar";

// "8-4-4-4-12", as clients of the older interface expect an organisation.
std::string AsUuid(const std::string& hex) {
  return absl::StrCat(hex.substr(0, 8), "-", hex.substr(8, 4), "-", hex.substr(12, 4), "-",
                      hex.substr(16, 4), "-", hex.substr(20));
}

// The rest of the request's path from segment `from`: one encoded segment, or several.
std::string PathFrom(const Call& call, size_t from) {
  const std::vector<std::string>& segments = call.segments();
  if (segments.size() <= from) return "";
  return absl::StrJoin(segments.begin() + static_cast<ptrdiff_t>(from), segments.end(), "/");
}

// What the grant of a view binds. In the URL: ORGANISATION.CHECKPOINT.EXPIRES.SIGNATURE.PATH, the
// path in hex.
struct ViewGrant {
  base::OrgId organisation;
  base::CheckpointId checkpoint;
  int64_t expires_ms = 0;
  std::string path;
  std::vector<std::string> Parts() const {
    return {"view", organisation.ToHex(), checkpoint.ToHex(), absl::StrCat(expires_ms), path};
  }
};

absl::StatusOr<ViewGrant> JudgeView(const std::string& text, const replica::Vault& vault) {
  const absl::Status bad = absl::PermissionDeniedError("grant: missing or malformed");
  const std::vector<std::string> parts = absl::StrSplit(text, '.');
  if (parts.size() != 5) return bad;
  const auto organisation = base::OrgId::FromHex(parts[0]);
  const auto checkpoint = base::CheckpointId::FromHex(parts[1]);
  const auto path = base::HexDecode(parts[4]);
  ViewGrant grant;
  if (!organisation.ok() || !checkpoint.ok() || !path.ok() ||
      !absl::SimpleAtoi(parts[2], &grant.expires_ms)) {
    return bad;
  }
  grant.organisation = *organisation;
  grant.checkpoint = *checkpoint;
  grant.path = *path;
  CEDANA_RETURN_IF_ERROR(
      vault.grants->Verify(grant.Parts(), parts[3], grant.expires_ms, vault.NowMs()));
  return grant;
}

// Hands the bytes of an image file to the client.
class CallSink : public transfer::ByteSink {
 public:
  explicit CallSink(Call& call) : call_(call) {}
  absl::Status Write(std::span<const uint8_t> bytes) override { return call_.Write(bytes); }

 private:
  Call& call_;
};

// Writes the part of the archive that `range` asks for.
absl::Status SendPieces(Call& call, transfer::Load& load, const std::vector<TarPiece>& pieces,
                        const ByteRange& range) {
  CallSink sink(call);
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
          call.Write({reinterpret_cast<const uint8_t*>(part.data()), part.size()}));
    } else {
      CEDANA_RETURN_IF_ERROR(load.Serve(piece.file, sink, skip, take));
    }
    left -= take;
    skip = 0;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status GetUser(Call& call, OrgCatalog& catalog) {
  return call.Send(200, {{"Content-Type", "text/plain"}}, AsUuid(catalog.organisation().ToHex()));
}

absl::Status GetFile(Call& call, OrgCatalog& catalog) {
  const std::string name = PathFrom(call, 2);
  if (metadata::ViewSuffix(name) != kTarSuffix) {
    CEDANA_RETURN_IF_ERROR(metadata::NormalisePath(name).status());
    return absl::NotFoundError(absl::StrCat("file ", name, ": none; checkpoints end in .tar here"));
  }
  CEDANA_ASSIGN_OR_RETURN(const transfer::CheckpointInfo info, catalog.Find(name));
  const replica::Vault& vault = catalog.vault();
  const ViewGrant grant{catalog.organisation(), info.id,
                        vault.NowMs() + absl::ToInt64Milliseconds(vault.times.grant), info.path};
  const std::string url = absl::StrCat(
      call.Origin(), "/v2/data/", grant.organisation.ToHex(), ".", grant.checkpoint.ToHex(), ".",
      grant.expires_ms, ".", vault.grants->Sign(grant.Parts()), ".",
      base::HexEncode(reinterpret_cast<const uint8_t*>(grant.path.data()), grant.path.size()));
  return call.Send(200, {{"Content-Type", "text/plain"}}, url);
}

absl::Status ListFolder(Call& call, OrgCatalog& catalog) {
  const std::string folder = PathFrom(call, 3);
  CEDANA_ASSIGN_OR_RETURN(const auto names, catalog.Names(folder));
  CEDANA_ASSIGN_OR_RETURN(const std::string normal, metadata::NormaliseFolder(folder));
  const size_t skip = normal.empty() ? 0 : normal.size() + 1;
  std::vector<std::string> entries;
  for (const metadata::ListedName& listed : names) {
    const std::string rest = listed.path.substr(skip);
    const size_t slash = rest.find('/');
    entries.push_back(slash == std::string::npos
                          ? absl::StrCat(rest, metadata::SuffixOfCodec(listed.codec))
                          : rest.substr(0, slash + 1));
  }
  std::sort(entries.begin(), entries.end());
  entries.erase(std::unique(entries.begin(), entries.end()), entries.end());
  return call.Send(200, base::Json(entries));
}

absl::Status GetData(Call& call, const replica::Vault& vault) {
  CEDANA_ASSIGN_OR_RETURN(const ViewGrant grant, JudgeView(call.segments()[2], vault));
  OrgCatalog catalog(&vault, grant.organisation);
  const base::Context context;  // as long as the client reads
  transfer::LoadOptions options{.path = grant.path,
                                .lease = base::DrawId<base::LeaseId>(*vault.random),
                                .random = vault.random};
  CEDANA_ASSIGN_OR_RETURN(
      const std::unique_ptr<transfer::Load> load,
      transfer::Load::Open(context, options, &catalog, [&](const base::LeaseId& lease) {
        return replica::MakePackSource(&vault, grant.organisation, lease);
      }));
  if (load->info().id != grant.checkpoint) {
    return absl::NotFoundError(absl::StrCat("checkpoint ", grant.path, ": was replaced"));
  }
  const std::vector<TarPiece> pieces = LayOutTar(load->files());
  const uint64_t size = TarBytes(pieces);
  CEDANA_ASSIGN_OR_RETURN(const ByteRange range, ParseRange(call.request().Header("range"), size));
  http::Headers headers = RangeHeaders(range, size);
  headers.emplace_back("Content-Type", "application/x-tar");
  headers.emplace_back("ETag", absl::StrCat("\"", grant.checkpoint.ToHex(), "-tar1\""));
  CEDANA_RETURN_IF_ERROR(call.Start(range.partial ? 206 : 200, headers, range.length));
  if (call.request().method == "HEAD") return call.Finish();
  const absl::Status sent = SendPieces(call, *load, pieces, range);
  // Not finished: the connection is cut, so that a part is never taken for the whole.
  if (!sent.ok()) return base::Annotate(sent, absl::StrCat("view of ", grant.path));
  return call.Finish();
}

}  // namespace cedana::api
