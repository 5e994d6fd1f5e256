#include "cedana/direct/folder_store.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace cedana::direct {
namespace {

namespace fs = std::filesystem;

}  // namespace

absl::StatusOr<objstore::DirectoryStore*> FolderStore::Opened(bool create) {
  absl::MutexLock lock(&mutex_);
  if (store_ != nullptr) return store_.get();
  std::error_code error;
  if (!fs::exists(path_, error)) {
    if (!create) return nullptr;
    if (!fs::is_directory(fs::path(path_).parent_path(), error)) {
      return absl::FailedPreconditionError(
          absl::StrCat("there is no folder ", fs::path(path_).parent_path().string(), " to make ",
                       fs::path(path_).filename().string(), " in"));
    }
  } else if (!fs::is_directory(path_, error)) {
    return absl::FailedPreconditionError(absl::StrCat(path_, " is not a folder"));
  }
  CEDANA_ASSIGN_OR_RETURN(store_, objstore::DirectoryStore::Open(path_));
  return store_.get();
}

absl::Status FolderStore::Put(const base::Context& context, const objstore::ObjectKey& key,
                              std::span<const uint8_t> bytes, const objstore::PutOptions& options) {
  CEDANA_ASSIGN_OR_RETURN(objstore::DirectoryStore* const store, Opened(/*create=*/true));
  return store->Put(context, key, bytes, options);
}

absl::Status FolderStore::Get(const base::Context& context, const objstore::ObjectKey& key,
                              uint64_t offset, std::optional<uint64_t> length,
                              const std::function<absl::Status(std::span<const uint8_t>)>& sink) {
  CEDANA_ASSIGN_OR_RETURN(objstore::DirectoryStore* const store, Opened(/*create=*/false));
  if (store == nullptr) return absl::NotFoundError(key.text());
  return store->Get(context, key, offset, length, sink);
}

absl::StatusOr<std::optional<objstore::ObjectInfo>> FolderStore::Head(
    const base::Context& context, const objstore::ObjectKey& key) {
  CEDANA_ASSIGN_OR_RETURN(objstore::DirectoryStore* const store, Opened(/*create=*/false));
  if (store == nullptr) return std::optional<objstore::ObjectInfo>();
  return store->Head(context, key);
}

absl::StatusOr<std::vector<objstore::ObjectInfo>> FolderStore::List(const base::Context& context,
                                                                    const std::string& prefix,
                                                                    const std::string& after,
                                                                    size_t limit) {
  CEDANA_ASSIGN_OR_RETURN(objstore::DirectoryStore* const store, Opened(/*create=*/false));
  if (store == nullptr) return std::vector<objstore::ObjectInfo>();
  return store->List(context, prefix, after, limit);
}

absl::Status FolderStore::Delete(const base::Context& context, const objstore::ObjectKey& key) {
  CEDANA_ASSIGN_OR_RETURN(objstore::DirectoryStore* const store, Opened(/*create=*/false));
  if (store == nullptr) return absl::OkStatus();
  return store->Delete(context, key);
}

}  // namespace cedana::direct
