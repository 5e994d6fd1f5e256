// A stretch of an image file while it is being read: the plan, its buffer, and how many of its
// reads are still out.
#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "core/transfer/buffer_pool.h"
#include "core/transfer/range_fetcher.h"
#include "core/transfer/read_plan.h"

namespace cedana::transfer {

// Shared by the stream that waits for it and the reads that fill it; its buffer goes back to the
// pool with the last of them.
class StretchInFlight {
 public:
  StretchInFlight(Stretch plan, Buffer buffer)
      : plan_(std::move(plan)), buffer_(std::move(buffer)), pending_(plan_.reads.size()) {}

  const Stretch& plan() const { return plan_; }
  std::span<uint8_t> buffer() const { return buffer_.bytes(); }

  // Blocks until every read has ended; the first error.
  absl::Status Await() {
    absl::MutexLock lock(&mutex_);
    while (pending_ > 0) ended_.Wait(&mutex_);
    if (status_.ok()) return status_;
    // A copy of its own: Debian's abseil counts references where ThreadSanitizer cannot see it.
    return absl::Status(status_.code(), status_.message());
  }
  void EndRead(const absl::Status& status) {
    absl::MutexLock lock(&mutex_);
    if (status_.ok()) status_ = status;
    if (--pending_ == 0) ended_.SignalAll();
  }

  // Nobody waits any more: reads that have not begun need not.
  void Abandon() { abandoned_ = true; }
  bool abandoned() const { return abandoned_; }

 private:
  const Stretch plan_;
  const Buffer buffer_;
  std::atomic<bool> abandoned_{false};
  absl::Mutex mutex_;
  absl::CondVar ended_;
  size_t pending_ ABSL_GUARDED_BY(mutex_);
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

// One read of a stretch on its way to a fetcher. Dropped without Run, it ends as cancelled, so that
// nobody waits for it in vain. Movable; one owner.
class ReadJob {
 public:
  ReadJob(std::shared_ptr<StretchInFlight> stretch, size_t read)
      : stretch_(std::move(stretch)), read_(read) {}
  ReadJob(ReadJob&&) noexcept = default;
  ReadJob& operator=(ReadJob&&) = delete;
  ~ReadJob() {
    if (stretch_ != nullptr) stretch_->EndRead(absl::CancelledError("read was cancelled"));
  }

  // Once.
  void Run(const base::Context& context, RangeFetcher& fetcher) {
    absl::Status status = absl::CancelledError("nobody waits for the read");
    if (!stretch_->abandoned()) {
      status = fetcher.Fetch(context, stretch_->plan().reads[read_], stretch_->buffer());
    }
    std::exchange(stretch_, nullptr)->EndRead(status);
  }

 private:
  std::shared_ptr<StretchInFlight> stretch_;
  size_t read_;
};

}  // namespace cedana::transfer
