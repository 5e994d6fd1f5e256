#include "core/base/fd.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "core/base/random.h"
#include "core/base/status.h"

namespace cedana::base {

void UniqueFd::Reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

absl::StatusOr<Pipe> MakePipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe2");
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

absl::Status WriteAll(int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(fd, bytes.data(), bytes.size());
    if (wrote < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(errno, "write");
    }
    bytes.remove_prefix(static_cast<size_t>(wrote));
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> ReadFully(int fd, uint8_t* out, size_t size) {
  size_t done = 0;
  while (done < size) {
    const ssize_t got = ::read(fd, out + done, size - done);
    if (got == 0) break;
    if (got < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(errno, "read");
    }
    done += static_cast<size_t>(got);
  }
  return done;
}

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, path);
  std::string out;
  char buffer[65536];
  while (true) {
    const ssize_t got = ::read(fd.get(), buffer, sizeof(buffer));
    if (got == 0) return out;
    if (got < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(errno, path);
    }
    out.append(buffer, static_cast<size_t>(got));
    if (out.size() > max_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat(path, ": larger than ", max_bytes, " bytes"));
    }
  }
}

absl::Status CheckPrivate(const std::string& path) {
  struct stat file = {};
  if (::stat(path.c_str(), &file) != 0) return ErrnoStatus(errno, path);
  if ((file.st_mode & (S_IRWXG | S_IRWXO)) == 0) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat(path, ": others can read this secret: chmod 600 ", path));
}

absl::Status SyncDir(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, path);
  if (::fsync(fd.get()) != 0) return ErrnoStatus(errno, path);
  return absl::OkStatus();
}

absl::Status WriteFileAtomic(const std::string& path, absl::string_view bytes, int mode) {
  const std::string temporary = absl::StrCat(path, ".", absl::Hex(SystemRandom().Next64()), ".tmp");
  UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!fd.valid()) return ErrnoStatus(errno, temporary);
  absl::Status status = WriteAll(fd.get(), bytes);
  if (status.ok() && ::fchmod(fd.get(), static_cast<mode_t>(mode)) != 0) {
    status = ErrnoStatus(errno, temporary);
  }
  if (status.ok() && ::fsync(fd.get()) != 0) status = ErrnoStatus(errno, temporary);
  if (status.ok() && ::rename(temporary.c_str(), path.c_str()) != 0)
    status = ErrnoStatus(errno, path);
  if (!status.ok()) {
    ::unlink(temporary.c_str());
    return Annotate(status, path);
  }
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return SyncDir(parent.empty() ? "." : parent);
}

absl::Status MakeDirs(const std::string& path, int mode) {
  std::string prefix;
  for (const auto& part : std::filesystem::path(path)) {
    prefix = (std::filesystem::path(prefix) / part).string();
    if (::mkdir(prefix.c_str(), static_cast<mode_t>(mode)) == 0 || errno == EEXIST) continue;
    return ErrnoStatus(errno, prefix);
  }
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0) return ErrnoStatus(errno, path);
  if (!S_ISDIR(st.st_mode)) return ErrnoStatus(ENOTDIR, path);
  return absl::OkStatus();
}

}  // namespace cedana::base
