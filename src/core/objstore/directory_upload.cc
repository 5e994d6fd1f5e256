#include <fcntl.h>
#include <sys/file.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/random.h"
#include "core/base/status.h"
#include "core/codec/crc32c.h"
#include "core/objstore/directory_store.h"

namespace cedana::objstore {
namespace {

constexpr size_t kWriteBytes = 4u << 20;
// Somebody may remove the folder between its creation and its use: each loses to one deletion.
constexpr int kPublishTriesMax = 8;

}  // namespace

absl::StatusOr<std::unique_ptr<DirectoryStore::Upload>> DirectoryStore::BeginUpload(
    const ObjectKey& key, uint64_t size, const PutOptions& options) {
  if (options.create_only && OpenObject(key).ok()) return absl::AlreadyExistsError(key.text());
  std::unique_ptr<Upload> upload(new Upload(this, key, size, options));
  CEDANA_RETURN_IF_ERROR(upload->Create());
  return upload;
}

absl::Status DirectoryStore::Put(const base::Context& context, const ObjectKey& key,
                                 std::span<const uint8_t> bytes, const PutOptions& options) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  CEDANA_ASSIGN_OR_RETURN(const std::unique_ptr<Upload> upload,
                          BeginUpload(key, bytes.size(), options));
  while (!bytes.empty()) {
    CEDANA_RETURN_IF_ERROR(context.Check());
    const size_t step = std::min(bytes.size(), kWriteBytes);
    CEDANA_RETURN_IF_ERROR(upload->Append(bytes.first(step)));
    bytes = bytes.subspan(step);
  }
  return upload->Commit();
}

absl::Status DirectoryStore::Upload::Create() {
  const int folder = store_->temporaries_.get();
  temporary_ = absl::StrFormat("%016x", base::SystemRandom().Next64());
  file_.Reset(::openat(folder, temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file_.valid()) {
    const int error = errno;
    temporary_.clear();
    return store_->Error(error, key_.text());
  }
  // Tells a sweep by another process that this one is alive.
  if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) return store_->Error(errno, key_.text());
  if (size_ > 0 &&
      ::fallocate(file_.get(), FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(size_)) != 0 &&
      errno != EOPNOTSUPP) {
    return store_->Error(errno, key_.text());
  }
  return absl::OkStatus();
}

DirectoryStore::Upload::~Upload() {
  if (!temporary_.empty()) ::unlinkat(store_->temporaries_.get(), temporary_.c_str(), 0);
}

absl::Status DirectoryStore::Upload::Append(std::span<const uint8_t> bytes) {
  if (bytes.size() > size_ - received_) {
    return absl::InvalidArgumentError(
        absl::StrCat(key_.text(), ": more than the announced ", size_, " bytes"));
  }
  const absl::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (absl::Status status = base::WriteAll(file_.get(), text); !status.ok()) {
    return base::Annotate(status, absl::StrCat(store_->path_, "/", key_.text()));
  }
  crc32c_ = codec::ExtendCrc32c(crc32c_, bytes);
  received_ += bytes.size();
  return absl::OkStatus();
}

absl::Status DirectoryStore::Upload::Commit() {
  if (temporary_.empty()) return absl::FailedPreconditionError("committed already");
  if (received_ != size_) {
    return absl::InvalidArgumentError(
        absl::StrCat(key_.text(), ": ", received_, " of ", size_, " bytes"));
  }
  if (options_.crc32c && *options_.crc32c != crc32c_) {
    return absl::DataLossError(absl::StrCat(key_.text(), ": crc32c differs"));
  }
  if (store_->keeps_checksum_) {
    const std::string text = absl::StrFormat("%08x", crc32c_);
    if (::fsetxattr(file_.get(), kChecksumAttribute, text.data(), text.size(), 0) != 0) {
      return store_->Error(errno, key_.text());
    }
  }
  if (::fsync(file_.get()) != 0) return store_->Error(errno, key_.text());
  return Publish();
}

// The bytes are durable; the name follows.
absl::Status DirectoryStore::Upload::Publish() {
  const std::string name = key_.text().substr(key_.text().rfind('/') + 1);
  for (int i = 0; i < kPublishTriesMax; ++i) {
    const absl::StatusOr<base::UniqueFd> folder = store_->MakeParent(key_);
    if (absl::IsNotFound(folder.status())) continue;
    if (!folder.ok()) return folder.status();
    const int error = MoveTo(folder->get(), name.c_str());
    if (error == ENOENT) continue;
    if (error != 0 && error != EEXIST) return store_->Error(error, key_.text());
    if (error == 0) temporary_.clear();
    // Also who lost: "exists" must mean that the winner's name is durable, and can be read.
    const bool synced = ::fsync(folder->get()) == 0;
    const int sync_error = errno;
    store_->Unhide(key_.text());
    if (!synced) return absl::UnknownError(store_->Error(sync_error, key_.text()).message());
    return error == 0 ? absl::OkStatus() : absl::AlreadyExistsError(key_.text());
  }
  return absl::UnavailableError(absl::StrCat(key_.text(), ": its folder keeps vanishing"));
}

int DirectoryStore::Upload::MoveTo(int folder, const char* name) {
  const int from = store_->temporaries_.get();
  if (!options_.create_only) {
    return ::renameat2(from, temporary_.c_str(), folder, name, 0) == 0 ? 0 : errno;
  }
  // What is created stays hidden until it is durable; what is replaced was readable all the time.
  absl::MutexLock lock(&store_->names_mutex_);
  if (::renameat2(from, temporary_.c_str(), folder, name, RENAME_NOREPLACE) != 0) {
    if (errno != EINVAL) return errno;
    // Filesystems without RENAME_NOREPLACE: a link does not replace either.
    if (::linkat(from, temporary_.c_str(), folder, name, 0) != 0) return errno;
    ::unlinkat(from, temporary_.c_str(), 0);
  }
  store_->hidden_.insert(key_.text());
  return 0;
}

}  // namespace cedana::objstore
