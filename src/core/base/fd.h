// Owned file descriptors and the whole-buffer reads and writes that raw read/write do not give.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cedana::base {

// Closes its descriptor. Movable; one owner.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.Release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) Reset(other.Release());
    return *this;
  }
  ~UniqueFd() { Reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release() { return std::exchange(fd_, -1); }
  void Reset(int fd = -1);

 private:
  int fd_ = -1;
};

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

// Close-on-exec both ends.
absl::StatusOr<Pipe> MakePipe();

// Writes everything, through EINTR and short writes. The descriptor must be blocking.
absl::Status WriteAll(int fd, absl::string_view bytes);
// Reads until `size` bytes or EOF; the count tells which.
absl::StatusOr<size_t> ReadFully(int fd, uint8_t* out, size_t size);

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes = 64 << 20);
// For files that hold a secret. kPermissionDenied, in one line with what to do, where others than
// the owner may read it.
absl::Status CheckPrivate(const std::string& path);
// Temporary file in the same folder, fsync, rename, fsync of the folder: whole or not at all.
absl::Status WriteFileAtomic(const std::string& path, absl::string_view bytes, int mode);
absl::Status MakeDirs(const std::string& path, int mode);
absl::Status SyncDir(const std::string& path);

}  // namespace cedana::base
