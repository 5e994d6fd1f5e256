// How many transfers of /v2 go through the service at once. Each holds the memory of a whole save
// or load, so the number of them bounds what all together hold (I5); who comes later waits, within
// bounds of its own, because clients of that interface try nothing twice.
#pragma once

#include <functional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/ids.h"
#include "core/base/limits.h"

namespace cedana::api {

// Of each transfer; together 1 GiB.
inline constexpr size_t kBulkMemoryBytes = base::kMemoryLimitMinMiB << 20;
inline constexpr int kBulkAtOnce = 8;
// A waiting transfer occupies one of the server's workers.
inline constexpr int kBulkWaiting = 16;
inline constexpr absl::Duration kBulkWaitMax = absl::Minutes(5);

// Thread-safe.
class BulkSlots {
 public:
  explicit BulkSlots(int at_once = kBulkAtOnce, int waiting = kBulkWaiting,
                     absl::Duration wait_max = kBulkWaitMax)
      : at_once_(at_once), waiting_max_(waiting), wait_max_(wait_max) {}

  // Given back by its destruction.
  class Slot {
   public:
    Slot(BulkSlots* slots, const base::OrgId& organisation)
        : slots_(slots), organisation_(organisation) {}
    Slot(Slot&& other) noexcept
        : slots_(std::exchange(other.slots_, nullptr)), organisation_(other.organisation_) {}
    Slot& operator=(Slot&&) = delete;
    ~Slot() {
      if (slots_ != nullptr) slots_->GiveBack(organisation_);
    }

   private:
    BulkSlots* slots_;
    base::OrgId organisation_;
  };

  // Waits for a free one; one organisation has half of them at most. kUnavailable: too many wait
  // already, none came free in time, or `gave_up` (asked now and then) said that nobody wants it
  // any more.
  absl::StatusOr<Slot> Take(const base::OrgId& organisation, const std::function<bool()>& gave_up);

 private:
  bool Free(const base::OrgId& organisation) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void GiveBack(const base::OrgId& organisation);

  const int at_once_;
  const int waiting_max_;
  const absl::Duration wait_max_;
  absl::Mutex mutex_;
  int used_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<base::OrgId, int> used_by_ ABSL_GUARDED_BY(mutex_);
  int waiting_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace cedana::api
