#include "storage/api/bulk_slots.h"

namespace cedana::api {
namespace {

constexpr absl::Duration kAskEvery = absl::Milliseconds(200);

}  // namespace

bool BulkSlots::Free(const base::OrgId& organisation) const {
  if (used_ >= at_once_) return false;
  const auto own = used_by_.find(organisation);
  return own == used_by_.end() || own->second < (at_once_ + 1) / 2;
}

absl::StatusOr<BulkSlots::Slot> BulkSlots::Take(const base::OrgId& organisation,
                                                const std::function<bool()>& gave_up) {
  absl::MutexLock lock(&mutex_);
  const auto free = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return Free(organisation); };
  if (!free()) {
    if (waiting_ >= waiting_max_) {
      return absl::UnavailableError("too many transfers at once, and as many waiting");
    }
    ++waiting_;
    absl::Duration waited;
    while (!mutex_.AwaitWithTimeout(absl::Condition(&free), kAskEvery)) {
      waited += kAskEvery;
      if (waited >= wait_max_ || gave_up()) break;
    }
    --waiting_;
    if (!free()) return absl::UnavailableError("too many transfers at once");
  }
  ++used_;
  ++used_by_[organisation];
  return Slot(this, organisation);
}

void BulkSlots::GiveBack(const base::OrgId& organisation) {
  absl::MutexLock lock(&mutex_);
  --used_;
  const auto own = used_by_.find(organisation);
  if (--own->second == 0) used_by_.erase(own);
}

}  // namespace cedana::api
