// A store in a directory: one file per object, at the path of its key. What it acknowledges is on
// the disk (file and folder synced); what it shows is, too.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "core/base/fd.h"
#include "core/objstore/object_store.h"

namespace cedana::objstore {

// Thread-safe; no lock is held while the disk syncs. Keys cannot leave the directory: they are
// resolved beneath it by the kernel, and no symbolic link in it is followed. A key that is a folder
// on the way to others cannot be an object as well.
class DirectoryStore final : public ObjectStore {
 public:
  // An object on its way in. One thread at a time. Destroyed without a successful Commit it leaves
  // nothing. Must not outlive its store.
  class Upload {
   public:
    ~Upload();
    Upload(const Upload&) = delete;
    Upload& operator=(const Upload&) = delete;

    // The next bytes, best in pieces of 1 MiB. kInvalidArgument past the announced size,
    // kResourceExhausted when the disk is full.
    absl::Status Append(std::span<const uint8_t> bytes);
    // Makes the object visible and durable. kInvalidArgument when bytes are missing, kDataLoss when
    // the checksum differs, kAlreadyExists when create-only lost; kUnknown when the disk failed
    // after the object may have become visible.
    absl::Status Commit();
    uint64_t received() const { return received_; }
    uint32_t crc32c() const { return crc32c_; }

   private:
    friend class DirectoryStore;
    Upload(DirectoryStore* store, ObjectKey key, uint64_t size, PutOptions options)
        : store_(store), key_(std::move(key)), size_(size), options_(std::move(options)) {}
    absl::Status Create();
    absl::Status Publish();
    // errno, or 0.
    int MoveTo(int folder, const char* name);

    DirectoryStore* const store_;
    const ObjectKey key_;
    const uint64_t size_;
    const PutOptions options_;
    std::string temporary_;  // its name in .tmp; empty: gone
    base::UniqueFd file_;
    uint64_t received_ = 0;
    uint32_t crc32c_ = 0;
  };

  // Creates `path` when it is missing (its parent must exist), removes what interrupted uploads
  // left.
  static absl::StatusOr<std::unique_ptr<DirectoryStore>> Open(const std::string& path);

  // Refuses with kAlreadyExists, and with kResourceExhausted where the disk is full, before the
  // first byte.
  absl::StatusOr<std::unique_ptr<Upload>> BeginUpload(const ObjectKey& key, uint64_t size,
                                                      const PutOptions& options);

  absl::Status Put(const base::Context& context, const ObjectKey& key,
                   std::span<const uint8_t> bytes, const PutOptions& options) override;
  absl::Status Get(const base::Context& context, const ObjectKey& key, uint64_t offset,
                   std::optional<uint64_t> length,
                   const std::function<absl::Status(std::span<const uint8_t>)>& sink) override;
  absl::StatusOr<std::optional<ObjectInfo>> Head(const base::Context& context,
                                                 const ObjectKey& key) override;
  absl::StatusOr<std::vector<ObjectInfo>> List(const base::Context& context,
                                               const std::string& prefix, const std::string& after,
                                               size_t limit) override;
  // Durable, too. Folders that become empty go as well.
  absl::Status Delete(const base::Context& context, const ObjectKey& key) override;
  Capabilities capabilities() const override;

 private:
  struct Listing;
  // The object's checksum, eight hexadecimal digits.
  static constexpr char kChecksumAttribute[] = "user.cedana.crc32c";

  explicit DirectoryStore(std::string path) : path_(std::move(path)) {}
  absl::Status Init();
  void SweepTemporaries();
  bool ProbeChecksumAttribute();
  // Errors name the store's directory and the key.
  absl::Status Error(int error, const std::string& key) const;
  // Opens beneath the root. -1 with errno.
  base::UniqueFd OpenBeneath(const std::string& path, int flags) const;
  // A regular file, or kNotFound.
  absl::StatusOr<base::UniqueFd> OpenObject(const ObjectKey& key) const;
  // The folder that holds `key`, made and synced where it is missing.
  absl::StatusOr<base::UniqueFd> MakeParent(const ObjectKey& key);
  void RemoveEmptyFolders(const ObjectKey& key);
  void Unhide(const std::string& key);
  // To be asked *after* the object was found: the rename happens under the same lock.
  bool IsHidden(const std::string& key) const;
  absl::Status ListFolder(Listing& listing, int folder, const std::string& path) const;

  const std::string path_;
  base::UniqueFd root_;
  base::UniqueFd temporaries_;
  bool keeps_checksum_ = false;

  absl::Mutex folders_mutex_;
  // Folders known to exist and to be synced; a stale entry is found out when it is used.
  absl::flat_hash_set<std::string> folders_ ABSL_GUARDED_BY(folders_mutex_);

  mutable absl::Mutex names_mutex_;
  // Renamed into place, but the folder is not synced yet.
  absl::flat_hash_set<std::string> hidden_ ABSL_GUARDED_BY(names_mutex_);
};

}  // namespace cedana::objstore
