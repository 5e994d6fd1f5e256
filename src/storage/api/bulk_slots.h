// Who transfers through the service over /v2 at this moment, and with how much memory: each holds
// that of a whole save or load, so what is given out bounds what all together hold (I5). Who comes
// later waits, within bounds of its own, because clients of that interface try nothing twice.
//
// What is given out are shares of 32 MiB, and to groups. A group is one transfer by itself, or the
// streams of one folder (img-0, img-1, …: the shards of one streamed dump) in one direction. Those
// depend on each other: whoever writes or reads them goes on with none before it has gone on with
// all, so a group gets the shares of all its streams when the first of them comes, and none of them
// ever waits for another group while the others hold what that one waits for.
//
// For the same reason a stream may be silent as long as the others of its group are not: pages move
// in all but the first for minutes. What a group moves is measured as a whole, while all of it
// waits for its peers, and held against it only while somebody waits for shares.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/ids.h"
#include "core/base/limits.h"

namespace cedana::api {

inline constexpr size_t kShareBytes = base::kMemoryOneFileMinMiB << 20;
// Of a transfer by itself: larger packs, more read ahead.
inline constexpr size_t kBulkMemoryBytes = base::kMemoryLimitMinMiB << 20;
inline constexpr int kBulkShares = kBulkMemoryBytes / kShareBytes;
// Of an upload's group: nobody knows yet how many of them there are.
inline constexpr int kStreamsMax = 16;

struct BulkLimits {
  int shares = 64;   // 2 GiB; of one organisation half
  int waiting = 32;  // each occupies one of the server's workers; of one organisation half
  absl::Duration wait_max = absl::Minutes(5);
  // While others wait, a group moves so many bytes for each of its shares in each `slow_time` of
  // waiting for its peers: 64 KiB for 128 MiB.
  uint64_t slow_bytes = 16u << 10;
  absl::Duration slow_time = absl::Minutes(1);
  // Whether anybody waits or not: without any byte in a group for so long, its peers are gone.
  absl::Duration silent_max = absl::Minutes(10);
  // How often one that waits, for shares or for its peer, looks up.
  absl::Duration ask_every = absl::Milliseconds(200);
};

// The folder of `name` when it is that of a stream: "a/b" of "a/b/img-3.lz4". A leading `/` counts
// as little as anywhere.
std::optional<absl::string_view> FolderOfStream(absl::string_view name);

// Thread-safe.
class BulkSlots {
  struct Group;

 public:
  explicit BulkSlots(base::Clock* clock, const BulkLimits& limits = {})
      : clock_(*clock), limits_(limits) {}

  struct Want {
    base::OrgId organisation;
    // What it depends on goes by the same name; empty: on nothing.
    std::string group;
    // Of the group, when this is the first of it. Of more than half of all, half is given.
    int shares = kBulkShares;
  };

  // One transfer's place in its group; given back by its destruction. Used by one thread.
  class Slot {
   public:
    Slot(BulkSlots* slots, std::shared_ptr<Group> group)
        : slots_(slots), group_(std::move(group)) {}
    Slot(Slot&& other) noexcept
        : slots_(std::exchange(other.slots_, nullptr)), group_(std::move(other.group_)) {}
    Slot& operator=(Slot&&) = delete;
    ~Slot() {
      if (slots_ != nullptr) slots_->GiveBack(*group_);
    }

    // Around every wait for the peer, and for nothing else. `moved`: in bytes. kDeadlineExceeded:
    // the group is to give way.
    void BeginWait() { slots_->BeginWait(*group_); }
    absl::Status EndWait(uint64_t moved) { return slots_->EndWait(*group_, moved); }
    // In the middle of one.
    absl::Status Judge() { return slots_->Judge(*group_); }
    // Takes more shares for the group where they are free. kUnavailable: they are not.
    absl::Status Grow(int shares) { return slots_->Grow(*group_, shares); }

   private:
    BulkSlots* slots_;
    std::shared_ptr<Group> group_;
  };

  // Waits for its turn: in the order of coming, but a stream whose group is there never waits while
  // the group has shares for it, and goes before others when it wants one more. kUnavailable: too
  // many wait already, none came free in time, or `gave_up` (asked now and then) said that nobody
  // wants it any more.
  absl::StatusOr<Slot> Take(const Want& want, const std::function<bool()>& gave_up);

  const BulkLimits& limits() const { return limits_; }

 private:
  struct Group {
    base::OrgId organisation;
    std::string name;
    int shares = 0;
    int grown = 0;  // of these, for members that needed more than one
    int members = 0;
    bool Full() const { return members >= shares - grown; }
    int at_peer = 0;  // members that wait for their peers; only while all do the clock runs
    absl::Duration since;
    // Since the last verdict.
    absl::Duration waited;
    uint64_t moved = 0;
    absl::Duration silent;  // since the last byte
    bool slow = false;      // the last verdict
    absl::Status failure;
  };
  struct Waiter {
    const Want& want;
    int shares;
  };

  int Wanted(const Want& want) const;
  bool HasRoom(const base::OrgId& organisation, int shares) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  bool MayEnter(const Waiter& waiter) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  // Requires: it is in waiting_.
  bool WaitsForOthers(const Waiter& waiter) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  bool Contended(const Group& group) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  absl::Status Wait(const Waiter& waiter, const std::function<bool()>& gave_up)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::shared_ptr<Group> Enter(const Waiter& waiter) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddShares(Group& group, int shares) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes the time that has passed into account; before anything of the group changes.
  void Account(Group& group) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Verdict(Group& group) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void GiveBack(Group& group);
  void BeginWait(Group& group);
  absl::Status EndWait(Group& group, uint64_t moved);
  absl::Status Judge(Group& group);
  absl::Status Grow(Group& group, int shares);

  base::Clock& clock_;
  const BulkLimits limits_;
  mutable absl::Mutex mutex_;
  int used_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<base::OrgId, int> used_by_ ABSL_GUARDED_BY(mutex_);
  // Those that others may join.
  absl::flat_hash_map<std::pair<base::OrgId, std::string>, std::shared_ptr<Group>> groups_
      ABSL_GUARDED_BY(mutex_);
  std::list<const Waiter*> waiting_ ABSL_GUARDED_BY(mutex_);  // in the order of coming
};

}  // namespace cedana::api
