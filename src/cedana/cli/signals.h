// Signals of a client command. While one of these lives, the signals that end a program are blocked
// and given to a handler on a thread of its own instead.
//
// Make it before anything that starts threads (gRPC does), so that they inherit the mask.
#pragma once

#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/base/fd.h"
#include "core/base/thread.h"

namespace cedana::cli {

class Signals {
 public:
  using Handler = std::function<void(int signal)>;

  // INT, TERM, HUP, QUIT, USR1 and USR2.
  static absl::StatusOr<std::unique_ptr<Signals>> Catch();
  ~Signals();

  // Replaces the handler; after it returns the one before does not run any more. Not to be called
  // from a handler.
  void SetHandler(Handler handler);

 private:
  Signals() = default;
  void Run();

  absl::Mutex mutex_;
  Handler handler_ ABSL_GUARDED_BY(mutex_);
  base::UniqueFd signal_fd_;
  base::Pipe stop_;
  sigset_t before_{};
  base::Thread thread_;
};

}  // namespace cedana::cli
