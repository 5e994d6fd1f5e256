#include "cedana/daemon/stall_watch.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace cedana::daemon {
namespace {

constexpr absl::Duration kLookInterval = absl::Milliseconds(100);

}  // namespace

StallWatch::StallWatch(const base::Context& context, base::CancelSource* stop,
                       std::function<uint64_t()> count,
                       std::function<void(const absl::Status&)> cancel)
    : context_(context), stop_(stop), count_(std::move(count)), cancel_(std::move(cancel)) {
  thread_ = base::Thread("stall", [this] { Watch(); });
}

StallWatch::~StallWatch() { end_.Cancel(absl::CancelledError("the operation has ended")); }

void StallWatch::Limit(absl::Duration limit) {
  absl::MutexLock lock(&mutex_);
  limit_ = limit;
  since_ = absl::Now();
}

void StallWatch::Watch() {
  while (!end_.WaitFor(kLookInterval)) {
    const absl::Status status = Judge();
    if (status.ok()) continue;
    cancel_(status);
    return;
  }
}

absl::Status StallWatch::Judge() {
  if (absl::Status status = context_.Check(); !status.ok()) return status;
  if (stop_->cancelled()) return stop_->status();
  const uint64_t now = count_();
  absl::MutexLock lock(&mutex_);
  if (now != last_) {
    last_ = now;
    since_ = absl::Now();
    return absl::OkStatus();
  }
  if (absl::Now() - since_ < limit_) return absl::OkStatus();
  return absl::DeadlineExceededError(
      absl::StrCat("no progress for ", absl::FormatDuration(limit_),
                   ": the storage or CRIU stands still, the process was let go"));
}

}  // namespace cedana::daemon
