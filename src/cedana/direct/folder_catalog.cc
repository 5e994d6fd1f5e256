#include "cedana/direct/folder_catalog.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"

namespace cedana::direct {

std::string FolderCatalog::PathOf(const std::string& name) const {
  return absl::StrCat(folder_, "/", name);
}

absl::StatusOr<std::string> FolderCatalog::NameOf(const std::string& path) const {
  absl::string_view name = path;
  if (folder_.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("path: ", path, " names no folder: one such as s3://bucket/folder is needed"));
  }
  if (!absl::ConsumePrefix(&name, absl::StrCat(folder_, "/")) || name.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("path: ", path, " is not below ", folder_));
  }
  if (absl::StrContains(name, '/')) {
    return absl::InvalidArgumentError(
        absl::StrCat("path: the name ", name, " has a '/': give the folder with --dir"));
  }
  return std::string(name);
}

absl::StatusOr<transfer::BegunSave> FolderCatalog::Begin(const base::Context& context,
                                                         const transfer::BeginRequest& request) {
  transfer::BeginRequest named = request;
  CEDANA_ASSIGN_OR_RETURN(named.path, NameOf(request.path));
  CEDANA_ASSIGN_OR_RETURN(transfer::BegunSave begun, inner_.Begin(context, named));
  begun.path = PathOf(begun.path);
  return begun;
}

absl::StatusOr<transfer::CheckpointInfo> FolderCatalog::Commit(
    const base::Context& context, const transfer::CommitRequest& request) {
  transfer::CommitRequest named = request;
  CEDANA_ASSIGN_OR_RETURN(named.path, NameOf(request.path));
  CEDANA_ASSIGN_OR_RETURN(transfer::CheckpointInfo info, inner_.Commit(context, named));
  info.path = PathOf(info.path);
  return info;
}

absl::StatusOr<transfer::OpenedCheckpoint> FolderCatalog::Open(const base::Context& context,
                                                               const std::string& path,
                                                               const base::LeaseId& lease) {
  CEDANA_ASSIGN_OR_RETURN(const std::string name, NameOf(path));
  CEDANA_ASSIGN_OR_RETURN(transfer::OpenedCheckpoint opened, inner_.Open(context, name, lease));
  opened.info.path = PathOf(opened.info.path);
  return opened;
}

absl::StatusOr<std::vector<transfer::CheckpointInfo>> FolderCatalog::List(
    const base::Context& context, const transfer::ListQuery& query) {
  transfer::ListQuery named = query;
  const std::string below = absl::StrCat(folder_, "/");
  if (absl::StartsWith(query.prefix, below)) {
    named.prefix = query.prefix.substr(below.size());
  } else if (query.prefix.empty() || absl::StartsWith(below, absl::StrCat(query.prefix, "/"))) {
    named.prefix.clear();
  } else {
    return std::vector<transfer::CheckpointInfo>();
  }
  CEDANA_ASSIGN_OR_RETURN(std::vector<transfer::CheckpointInfo> list, inner_.List(context, named));
  for (transfer::CheckpointInfo& info : list) info.path = PathOf(info.path);
  return list;
}

absl::Status FolderCatalog::Delete(const base::Context& context, const std::string& path) {
  CEDANA_ASSIGN_OR_RETURN(const std::string name, NameOf(path));
  return inner_.Delete(context, name);
}

}  // namespace cedana::direct
