// What capture and serve share: the listening socket, CRIU's connections, and one thread per image
// file. A control thread takes requests and pipes; it alone touches the connections, except that
// Wait looks at them while it is known to be idle.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "cedana/criu/image_connection_internal.h"
#include "cedana/criu/image_stream_internal.h"
#include "core/base/fd.h"
#include "core/base/thread.h"

namespace cedana::criu {

// A dump has some 40 files open at a time, a restore some 10 per task. When so many are being
// carried, further requests wait.
inline constexpr size_t kImageStreamsMax = 512;
inline constexpr size_t kImageConnectionsMax = 16;

class ImageStreams {
 public:
  struct Role {
    bool restore = false;
    // Restore only; on the control thread, so it must not wait for anything.
    std::function<bool(const std::string& name)> exists;
    // Carries one file, on that file's thread. The stream is closed after it.
    std::function<absl::Status(ImageStream& stream)> carry;
  };

  static absl::StatusOr<std::unique_ptr<ImageStreams>> Listen(const std::string& socket_path,
                                                              Role role);
  // Closes, and waits until every `carry` has returned.
  ~ImageStreams();

  // Waits until all that CRIU has sent so far is dealt with: no request half read or waiting, and
  // `carry` has returned OK for every pipe. Else the first error, or kDeadlineExceeded.
  absl::Status Wait(absl::Duration timeout);
  // Closes our ends of all pipes and sockets. The first reason or error stays.
  void Close(absl::Status reason);
  uint64_t files() const;

 private:
  struct Slot {
    Slot(std::string name, base::UniqueFd pipe, int wake_fd)
        : stream(std::move(name), std::move(pipe), wake_fd) {}
    ImageStream stream;
    bool done = false;
    base::Thread thread;  // last: ends before the rest is destroyed
  };

  ImageStreams(Role role, base::UniqueFd listener, base::UniqueFd wake, base::UniqueFd poke);

  void Run();
  void Accept();
  // False when the connection is to be dropped.
  bool Serve(ImageConnection& connection);
  bool Open(const std::string& name, base::UniqueFd pipe);
  void Carry(Slot* slot);
  void Fail(absl::Status error) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::list<std::unique_ptr<Slot>> TakeDone();
  bool Full() const;
  // Requires: the control thread is idle.
  bool NothingWaiting() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string FirstOpen() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Role role_;
  base::UniqueFd listener_;                 // control thread; Wait while !busy_
  const base::UniqueFd wake_;               // readable for ever once closed
  const base::UniqueFd poke_;               // a file is done
  std::list<ImageConnection> connections_;  // control thread; Wait while !busy_

  mutable absl::Mutex mutex_;
  absl::CondVar changed_;
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;  // the control thread is at work
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status error_ ABSL_GUARDED_BY(mutex_);
  size_t active_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t files_ ABSL_GUARDED_BY(mutex_) = 0;
  std::list<std::unique_ptr<Slot>> slots_ ABSL_GUARDED_BY(mutex_);
  base::Thread control_;
};

}  // namespace cedana::criu
