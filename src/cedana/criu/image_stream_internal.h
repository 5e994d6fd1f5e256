// Our end of the pipe that carries one image file.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/base/fd.h"

namespace cedana::criu {

// Read or Write from one thread; Close from any. The pipe is made non-blocking, which concerns our
// end only (CRIU's is another open file), and as large as the kernel allows up to base::kPipeBytes:
// the freeze lasts 0.3 s per GiB at 64 KiB and half of that at 1 MiB.
class ImageStream {
 public:
  // `wake_fd` (borrowed) becomes readable when the stream is to be closed.
  ImageStream(std::string name, base::UniqueFd pipe, int wake_fd);

  // Up to `out.size()` bytes; 0 at the end.
  absl::StatusOr<size_t> Read(std::span<uint8_t> out);
  // All of them. kAborted when CRIU has closed its end.
  absl::Status Write(std::span<const uint8_t> bytes);
  // Closes our end at once: CRIU sees EPIPE or EOF, and a waiting Read or Write returns `reason`.
  void Close(absl::Status reason);

  const std::string& name() const { return name_; }
  uint64_t bytes() const { return bytes_; }
  bool at_end() const { return at_end_; }  // Read has returned 0

 private:
  // One non-blocking attempt; -1: nothing moved, poll and try again.
  absl::StatusOr<ssize_t> Try(uint8_t* data, size_t size, bool write);
  absl::StatusOr<size_t> Transfer(uint8_t* data, size_t size, bool write);

  const std::string name_;
  const int wake_fd_;
  int poll_fd_;  // the pipe's number, also after Close: only for poll, where a stale one is
                 // harmless
  std::atomic<uint64_t> bytes_{0};
  std::atomic<bool> at_end_{false};
  absl::Mutex mutex_;  // held during each (non-blocking) system call, so that Close can close
  base::UniqueFd pipe_ ABSL_GUARDED_BY(mutex_);
  absl::Status reason_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cedana::criu
