#include "core/objstore/directory_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"

namespace cedana::objstore {
namespace {

constexpr char kTemporaries[] = ".tmp";  // no key has a dot
constexpr size_t kReadBytes = 1u << 20;
constexpr size_t kFoldersKnownMax = 8192;
constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

// "a/b" of "a/b/c"; empty for a key in the root.
std::string FolderOf(const std::string& key) {
  const size_t slash = key.rfind('/');
  return slash == std::string::npos ? "" : key.substr(0, slash);
}

absl::StatusOr<std::vector<std::pair<std::string, bool>>> ReadFolder(int folder) {
  // A descriptor of its own, for closedir closes it and reading moves its offset.
  base::UniqueFd own(::openat(folder, ".", kFolderFlags));
  DIR* const stream = own.valid() ? ::fdopendir(own.get()) : nullptr;
  if (stream == nullptr) return base::ErrnoStatus(errno, "opendir");
  own.Release();
  std::vector<std::pair<std::string, bool>> entries;
  errno = 0;
  while (const dirent* entry = ::readdir(stream)) {
    unsigned char type = entry->d_type;
    struct stat info {};
    if (type == DT_UNKNOWN &&
        ::fstatat(::dirfd(stream), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0) {
      type = S_ISDIR(info.st_mode) ? DT_DIR : S_ISREG(info.st_mode) ? DT_REG : DT_UNKNOWN;
    }
    if (type == DT_DIR || type == DT_REG) entries.emplace_back(entry->d_name, type == DT_DIR);
    errno = 0;
  }
  const int error = errno;
  ::closedir(stream);
  if (error != 0) return base::ErrnoStatus(error, "readdir");
  return entries;
}

absl::StatusOr<ObjectInfo> Describe(int file, std::string key, const char* checksum_attribute) {
  struct stat info {};
  if (::fstat(file, &info) != 0) return base::ErrnoStatus(errno, key);
  ObjectInfo result{.key = std::move(key),
                    .bytes = static_cast<uint64_t>(info.st_size),
                    .modified = absl::TimeFromTimespec(info.st_mtim)};
  char text[8];
  uint32_t crc = 0;
  if (::fgetxattr(file, checksum_attribute, text, sizeof(text)) == sizeof(text) &&
      absl::SimpleHexAtoi(absl::string_view(text, sizeof(text)), &crc)) {
    result.crc32c = crc;
  }
  return result;
}

}  // namespace

absl::StatusOr<std::unique_ptr<DirectoryStore>> DirectoryStore::Open(const std::string& path) {
  std::unique_ptr<DirectoryStore> store(new DirectoryStore(path));
  CEDANA_RETURN_IF_ERROR(store->Init());
  return store;
}

absl::Status DirectoryStore::Init() {
  if (::mkdir(path_.c_str(), 0700) == 0) {
    const std::string parent = std::filesystem::path(path_).parent_path().string();
    CEDANA_RETURN_IF_ERROR(base::SyncDir(parent.empty() ? "." : parent));
  } else if (errno != EEXIST) {
    return base::ErrnoStatus(errno, path_);
  }
  root_.Reset(::open(path_.c_str(), kFolderFlags));
  if (!root_.valid()) return base::ErrnoStatus(errno, path_);
  const bool fresh = ::mkdirat(root_.get(), kTemporaries, 0700) == 0;
  if (!fresh && errno != EEXIST) return Error(errno, kTemporaries);
  temporaries_ = OpenBeneath(kTemporaries, kFolderFlags);
  if (!temporaries_.valid()) return Error(errno, kTemporaries);
  // What an earlier process renamed, and did not live to sync, is visible from now on.
  if (!fresh && ::syncfs(root_.get()) != 0) return Error(errno, "syncfs");
  SweepTemporaries();
  keeps_checksum_ = ProbeChecksumAttribute();
  return absl::OkStatus();
}

void DirectoryStore::SweepTemporaries() {
  const auto entries = ReadFolder(temporaries_.get());
  if (!entries.ok()) return;
  for (const auto& [name, is_folder] : *entries) {
    if (is_folder) continue;
    base::UniqueFd file(
        ::openat(temporaries_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    // A lock means that its upload is alive, in another process.
    if (file.valid() && ::flock(file.get(), LOCK_EX | LOCK_NB) != 0) continue;
    ::unlinkat(temporaries_.get(), name.c_str(), 0);
  }
}

bool DirectoryStore::ProbeChecksumAttribute() {
  static constexpr char kProbe[] = "00000000";
  base::UniqueFd file(::openat(temporaries_.get(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  return file.valid() && ::fsetxattr(file.get(), kChecksumAttribute, kProbe, 8, 0) == 0;
}

absl::Status DirectoryStore::Error(int error, const std::string& key) const {
  return base::ErrnoStatus(error, absl::StrCat(path_, "/", key));
}

base::UniqueFd DirectoryStore::OpenBeneath(const std::string& path, int flags) const {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const long fd =
      ::syscall(SYS_openat2, root_.get(), path.empty() ? "." : path.c_str(), &how, sizeof(how));
  return base::UniqueFd(static_cast<int>(fd));
}

absl::StatusOr<base::UniqueFd> DirectoryStore::OpenObject(const ObjectKey& key) const {
  // Without O_NONBLOCK a pipe planted in the directory would block us.
  base::UniqueFd file = OpenBeneath(key.text(), O_RDONLY | O_NONBLOCK);
  if (!file.valid()) {
    if (errno == ENOENT || errno == ENOTDIR) return absl::NotFoundError(key.text());
    return Error(errno, key.text());
  }
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return Error(errno, key.text());
  if (!S_ISREG(info.st_mode) || IsHidden(key.text())) return absl::NotFoundError(key.text());
  return file;
}

absl::StatusOr<base::UniqueFd> DirectoryStore::MakeParent(const ObjectKey& key) {
  const std::string folder = FolderOf(key.text());
  bool known = folder.empty();
  {
    absl::MutexLock lock(&folders_mutex_);
    known = known || folders_.contains(folder);
  }
  if (known) {
    base::UniqueFd fd = OpenBeneath(folder, kFolderFlags);
    if (fd.valid()) return fd;
  }
  base::UniqueFd current = OpenBeneath("", kFolderFlags);
  if (!current.valid()) return Error(errno, "");
  for (const absl::string_view segment : absl::StrSplit(folder, '/')) {
    const std::string name(segment);
    if (::mkdirat(current.get(), name.c_str(), 0700) != 0 && errno != EEXIST) {
      return Error(errno, folder);
    }
    // Also when it was there: who made it may not have come to this point.
    if (::fsync(current.get()) != 0) return Error(errno, folder);
    base::UniqueFd next(::openat(current.get(), name.c_str(), kFolderFlags | O_NOFOLLOW));
    if (!next.valid()) return Error(errno, folder);
    current = std::move(next);
  }
  absl::MutexLock lock(&folders_mutex_);
  if (folders_.size() >= kFoldersKnownMax) folders_.clear();
  folders_.insert(folder);
  return current;
}

void DirectoryStore::Unhide(const std::string& key) {
  absl::MutexLock lock(&names_mutex_);
  hidden_.erase(key);
}

bool DirectoryStore::IsHidden(const std::string& key) const {
  absl::MutexLock lock(&names_mutex_);
  return hidden_.contains(key);
}

absl::Status DirectoryStore::Get(
    const base::Context& context, const ObjectKey& key, uint64_t offset,
    std::optional<uint64_t> length,
    const std::function<absl::Status(std::span<const uint8_t>)>& sink) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  CEDANA_ASSIGN_OR_RETURN(const base::UniqueFd file, OpenObject(key));
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return Error(errno, key.text());
  const auto size = static_cast<uint64_t>(info.st_size);
  if (offset > size || length.value_or(0) > size - offset) {
    return absl::InvalidArgumentError(
        absl::StrCat(key.text(), ": range ends past its ", size, " bytes"));
  }
  uint64_t left = length.value_or(size - offset);
  std::vector<uint8_t> buffer(std::min<uint64_t>(left, kReadBytes));
  while (left > 0) {
    CEDANA_RETURN_IF_ERROR(context.Check());
    const ssize_t got = ::pread(file.get(), buffer.data(), std::min<uint64_t>(left, buffer.size()),
                                static_cast<off_t>(offset));
    if (got < 0) {
      if (errno == EINTR) continue;
      return Error(errno, key.text());
    }
    if (got == 0) return absl::DataLossError(absl::StrCat(key.text(), ": file became shorter"));
    CEDANA_RETURN_IF_ERROR(sink({buffer.data(), static_cast<size_t>(got)}));
    offset += static_cast<uint64_t>(got);
    left -= static_cast<uint64_t>(got);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<ObjectInfo>> DirectoryStore::Head(const base::Context& context,
                                                               const ObjectKey& key) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  const absl::StatusOr<base::UniqueFd> file = OpenObject(key);
  if (absl::IsNotFound(file.status())) return std::optional<ObjectInfo>();
  if (!file.ok()) return file.status();
  return Describe(file->get(), key.text(), kChecksumAttribute);
}

struct DirectoryStore::Listing {
  const base::Context& context;
  const std::string& prefix;
  const std::string& after;
  const size_t limit;
  std::vector<ObjectInfo> result;
};

absl::StatusOr<std::vector<ObjectInfo>> DirectoryStore::List(const base::Context& context,
                                                             const std::string& prefix,
                                                             const std::string& after,
                                                             size_t limit) {
  Listing listing{context, prefix, after, limit, {}};
  const std::string folder = FolderOf(prefix);
  // No key starts so.
  if (!folder.empty() && !ObjectKey::Parse(folder).ok()) return listing.result;
  if (folder.empty() && absl::StartsWith(prefix, "/")) return listing.result;
  const base::UniqueFd fd = OpenBeneath(folder, kFolderFlags);
  if (!fd.valid()) {
    if (errno == ENOENT || errno == ENOTDIR) return listing.result;
    return Error(errno, folder);
  }
  CEDANA_RETURN_IF_ERROR(
      ListFolder(listing, fd.get(), folder.empty() ? "" : absl::StrCat(folder, "/")));
  return std::move(listing.result);
}

// `path` is empty or ends in '/'. Depth first gives the order of the keys when a folder sorts with
// the '/' behind its name: "a-b" comes before "a/b".
absl::Status DirectoryStore::ListFolder(Listing& listing, int folder,
                                        const std::string& path) const {
  CEDANA_RETURN_IF_ERROR(listing.context.Check());
  CEDANA_ASSIGN_OR_RETURN(auto entries, ReadFolder(folder));
  for (auto& [name, is_folder] : entries) {
    if (is_folder) name += '/';
  }
  std::sort(entries.begin(), entries.end());
  for (const auto& [name, is_folder] : entries) {
    if (listing.result.size() >= listing.limit) return absl::OkStatus();
    const std::string full = path + name;
    if (is_folder) {
      const std::string bare = full.substr(0, full.size() - 1);
      const bool wanted =
          absl::StartsWith(full, listing.prefix) || absl::StartsWith(listing.prefix, full);
      const bool passed = full < listing.after && !absl::StartsWith(listing.after, full);
      if (!wanted || passed || !ObjectKey::Parse(bare).ok()) continue;
      const base::UniqueFd next(
          ::openat(folder, name.substr(0, name.size() - 1).c_str(), kFolderFlags | O_NOFOLLOW));
      if (next.valid()) CEDANA_RETURN_IF_ERROR(ListFolder(listing, next.get(), full));
      continue;
    }
    if (!absl::StartsWith(full, listing.prefix) || full <= listing.after) continue;
    if (!ObjectKey::Parse(full).ok()) continue;
    const base::UniqueFd file(
        ::openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file.valid()) {
      if (errno == ENOENT) continue;  // deleted meanwhile
      return Error(errno, full);
    }
    if (IsHidden(full)) continue;
    CEDANA_ASSIGN_OR_RETURN(ObjectInfo info, Describe(file.get(), full, kChecksumAttribute));
    listing.result.push_back(std::move(info));
  }
  return absl::OkStatus();
}

absl::Status DirectoryStore::Delete(const base::Context& context, const ObjectKey& key) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  const std::string folder = FolderOf(key.text());
  const base::UniqueFd parent = OpenBeneath(folder, kFolderFlags);
  if (!parent.valid()) {
    if (errno == ENOENT || errno == ENOTDIR) return absl::OkStatus();
    return Error(errno, folder);
  }
  const std::string name = key.text().substr(folder.empty() ? 0 : folder.size() + 1);
  if (::unlinkat(parent.get(), name.c_str(), 0) != 0) {
    if (errno == ENOENT || errno == EISDIR) return absl::OkStatus();
    return Error(errno, key.text());
  }
  if (::fsync(parent.get()) != 0) return Error(errno, folder);
  RemoveEmptyFolders(key);
  return absl::OkStatus();
}

void DirectoryStore::RemoveEmptyFolders(const ObjectKey& key) {
  for (std::string folder = FolderOf(key.text()); !folder.empty(); folder = FolderOf(folder)) {
    const std::string above = FolderOf(folder);
    const base::UniqueFd parent = OpenBeneath(above, kFolderFlags);
    if (!parent.valid()) return;
    {
      // Before it goes: an upload that still believes in it tries again.
      absl::MutexLock lock(&folders_mutex_);
      folders_.erase(folder);
    }
    const std::string name = folder.substr(above.empty() ? 0 : above.size() + 1);
    if (::unlinkat(parent.get(), name.c_str(), AT_REMOVEDIR) != 0) return;
  }
}

Capabilities DirectoryStore::capabilities() const {
  // The service that serves the grants uses Upload, which enforces all of it.
  return {.grant_enforces_size = true,
          .grant_enforces_checksum = true,
          .grant_enforces_create_only = true,
          .keeps_checksum = keeps_checksum_};
}

}  // namespace cedana::objstore
