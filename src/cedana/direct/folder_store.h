// The directory of `file:///folder`, opened at its first use, so that asking about a folder that
// does not exist does not make it.
#pragma once

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/objstore/directory_store.h"

namespace cedana::direct {

// Thread-safe. As long as the folder does not exist it is an empty store; the first Put makes it.
// Its parent must exist.
class FolderStore final : public objstore::ObjectStore {
 public:
  explicit FolderStore(std::string path) : path_(std::move(path)) {}

  absl::Status Put(const base::Context& context, const objstore::ObjectKey& key,
                   std::span<const uint8_t> bytes, const objstore::PutOptions& options) override;
  absl::Status Get(const base::Context& context, const objstore::ObjectKey& key, uint64_t offset,
                   std::optional<uint64_t> length,
                   const std::function<absl::Status(std::span<const uint8_t>)>& sink) override;
  absl::StatusOr<std::optional<objstore::ObjectInfo>> Head(const base::Context& context,
                                                           const objstore::ObjectKey& key) override;
  absl::StatusOr<std::vector<objstore::ObjectInfo>> List(const base::Context& context,
                                                         const std::string& prefix,
                                                         const std::string& after,
                                                         size_t limit) override;
  absl::Status Delete(const base::Context& context, const objstore::ObjectKey& key) override;
  objstore::Capabilities capabilities() const override { return {}; }

 private:
  // Null: there is no such folder, and `create` is false.
  absl::StatusOr<objstore::DirectoryStore*> Opened(bool create);

  const std::string path_;
  absl::Mutex mutex_;
  std::unique_ptr<objstore::DirectoryStore> store_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cedana::direct
