// Progress of the operations under way, for those who watch them.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace cedana::daemon {

struct ProgressView {
  std::string stage;
  uint64_t bytes = 0;
  uint64_t total_bytes = 0;
  uint64_t stored_bytes = 0;
  std::deque<std::string> notes;  // all so far
  bool done = false;
};

// One operation's progress. Thread-safe.
class Progress {
 public:
  void Stage(std::string stage);
  void Note(std::string note);
  // Asked for numbers whenever somebody looks; replaced by an empty function before what it reads
  // goes away.
  void SetMeter(std::function<void(ProgressView*)> meter);
  void Done();
  // Waits until it is done, at most `timeout`.
  void AwaitDone(absl::Duration timeout) const;
  ProgressView View() const;

 private:
  mutable absl::Mutex mutex_;
  ProgressView view_ ABSL_GUARDED_BY(mutex_);
  std::function<void(ProgressView*)> meter_ ABSL_GUARDED_BY(mutex_);
};

// By the id that the caller of the operation drew. Thread-safe.
class ProgressBoard {
 public:
  std::shared_ptr<Progress> Open(const std::string& id);  // an empty id is not listed
  void Close(const std::string& id);
  // Waits up to `timeout` for it to appear, because a watcher may come first; null when it did not.
  std::shared_ptr<Progress> Find(const std::string& id, absl::Duration timeout);

 private:
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, std::shared_ptr<Progress>> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cedana::daemon
