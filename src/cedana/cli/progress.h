// The one line on stderr that shows how a dump or restore goes on. Written only to a terminal,
// rewritten in place, and gone at the end.
#pragma once

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "cedana/cli/terminal.h"
#include "core/base/clock.h"

namespace cedana::cli {

struct ProgressState {
  std::string stage;  // "uploading"
  uint64_t bytes = 0;
  uint64_t total_bytes = 0;   // 0: not known
  uint64_t stored_bytes = 0;  // 0: not known
};

// "uploading  312 MiB of 1 GiB  stored 104 MiB  820 MiB/s".
std::string ProgressText(const ProgressState& state, absl::Duration elapsed);

// Thread-safe.
class Progress {
 public:
  // Borrows both. `label` comes first on the line.
  Progress(const Terminal& terminal, base::Clock& clock, std::string label);
  ~Progress() { Clear(); }
  void Update(const ProgressState& state);
  // A line that stays, above the progress line.
  void Note(absl::string_view line);
  // Nothing is shown after it.
  void Clear();

 private:
  void Draw() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Terminal& terminal_;
  base::Clock& clock_;
  const std::string label_;
  const absl::Duration start_;
  absl::Mutex mutex_;
  absl::Duration last_drawn_ ABSL_GUARDED_BY(mutex_);
  ProgressState state_ ABSL_GUARDED_BY(mutex_);
  bool shown_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace cedana::cli
