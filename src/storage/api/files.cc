// /v2 with a token: who am I, which files are there, and URLs to read or write one.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "storage/api/file_grant.h"
#include "storage/api/handlers.h"
#include "storage/metadata/paths.h"

namespace cedana::api {
namespace {

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

absl::Status SendUrl(Call& call, const replica::Vault& vault, const FileGrant& grant) {
  return call.Send(200, {{"Content-Type", "text/plain"}},
                   absl::StrCat(call.Origin(), "/v2/data/", SignFileGrant(grant, vault)));
}

// Files of the same organisation: their paths are not those of checkpoints.
OrgCatalog FilesOf(const OrgCatalog& catalog) {
  return OrgCatalog(&catalog.vault(), catalog.organisation(), replica::PathKind::kFile);
}

}  // namespace

absl::Status GetUser(Call& call, OrgCatalog& catalog) {
  return call.Send(200, {{"Content-Type", "text/plain"}}, AsUuid(catalog.organisation().ToHex()));
}

absl::Status GetFile(Call& call, OrgCatalog& catalog) {
  const std::string name = PathFrom(call, 2);
  FileGrant grant{.organisation = catalog.organisation(), .name = name};
  // An uploaded file of this very name comes before a view.
  const auto file = FilesOf(catalog).Find(name);
  if (file.ok()) {
    grant.use = FileGrant::Use::kRead;
    return SendUrl(call, catalog.vault(), grant);
  }
  if (!absl::IsNotFound(file.status())) return file.status();
  if (!IsViewSuffix(metadata::ViewSuffix(name))) {
    return absl::NotFoundError(
        absl::StrCat("file ", name, ": none; checkpoints end in .tar, .tar.gz, … here"));
  }
  CEDANA_ASSIGN_OR_RETURN(const transfer::CheckpointInfo info, catalog.Find(name));
  grant.use = FileGrant::Use::kView;
  grant.checkpoint = info.id;
  return SendUrl(call, catalog.vault(), grant);
}

absl::Status PutFile(Call& call, OrgCatalog& catalog) {
  // What such a call would name could not be asked for in the same way: that lists a folder.
  if (call.segments().size() > 3 && call.segments()[2] == "dir") {
    return absl::InvalidArgumentError(
        "file: /v2/files/dir/ lists folders; a name that begins with dir/ wants its slashes "
        "encoded "
        "(dir%2F…)");
  }
  FileGrant grant{.use = FileGrant::Use::kUpload,
                  .organisation = catalog.organisation(),
                  .name = PathFrom(call, 2)};
  CEDANA_RETURN_IF_ERROR(metadata::NormaliseFile(grant.name).status());
  return SendUrl(call, catalog.vault(), grant);
}

absl::Status ListFolder(Call& call, OrgCatalog& catalog) {
  if (call.segments().size() == 3) {
    // Not even a slash: it may be a file of that name that is asked for.
    const absl::Status file = FilesOf(catalog).Find(call.segments()[2]).status();
    if (!absl::IsNotFound(file)) return file.ok() ? GetFile(call, catalog) : file;
  }
  const std::string folder = PathFrom(call, 3);
  CEDANA_ASSIGN_OR_RETURN(const auto names, catalog.Names(folder));
  CEDANA_ASSIGN_OR_RETURN(const std::string normal, metadata::NormaliseFolder(folder));
  const size_t skip = normal.empty() ? 0 : normal.size() + 1;
  std::vector<std::string> entries;
  for (const metadata::ListedName& listed : names) {
    const bool file = metadata::IsFilePath(listed.path);
    const std::string rest = listed.path.substr(skip + (file ? 1 : 0));
    const size_t slash = rest.find('/');
    entries.push_back(slash != std::string::npos ? rest.substr(0, slash + 1)
                      : file                     ? rest
                             : absl::StrCat(rest, metadata::SuffixOfCodec(listed.codec)));
  }
  // A file that has the name of a checkpoint's view stands for it.
  std::sort(entries.begin(), entries.end());
  entries.erase(std::unique(entries.begin(), entries.end()), entries.end());
  return call.Send(200, base::Json(entries));
}

absl::Status DeleteFile(Call& call, OrgCatalog& catalog) {
  const std::string path = call.Query("path");
  const absl::Status deleted = FilesOf(catalog).Delete(call.context(), path);
  if (absl::IsNotFound(deleted)) return absl::NotFoundError(absl::StrCat("file ", path, ": none"));
  CEDANA_RETURN_IF_ERROR(deleted);
  base::LogInfo("file deleted", {{"request", call.request_id()},
                                 {"organisation", catalog.organisation().ToHex()},
                                 {"path", path}});
  return call.Send(200, base::Json::object());
}

}  // namespace cedana::api
