#include "storage/api/bulk_slots.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"

namespace cedana::api {
namespace {

constexpr char kStream[] = "img-";

bool All(absl::string_view text, bool (*is)(unsigned char)) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is);
}

}  // namespace

std::optional<absl::string_view> FolderOfStream(absl::string_view name) {
  absl::ConsumePrefix(&name, "/");  // the same name without it
  const size_t slash = name.rfind('/');
  absl::string_view base = slash == absl::string_view::npos ? name : name.substr(slash + 1);
  if (!absl::ConsumePrefix(&base, kStream)) return std::nullopt;
  // img-7, and with one suffix of its compression.
  const size_t dot = base.find('.');
  if (!All(base.substr(0, dot), absl::ascii_isdigit)) return std::nullopt;
  if (dot != absl::string_view::npos && !All(base.substr(dot + 1), absl::ascii_isalnum)) {
    return std::nullopt;
  }
  return slash == absl::string_view::npos ? "" : name.substr(0, slash);
}

int BulkSlots::Wanted(const Want& want) const {
  return std::clamp(want.shares, 1, (limits_.shares + 1) / 2);
}

bool BulkSlots::HasRoom(const base::OrgId& organisation, int shares) const {
  const auto own = used_by_.find(organisation);
  return (own == used_by_.end() ? 0 : own->second) + shares <= (limits_.shares + 1) / 2;
}

bool BulkSlots::MayEnter(const Waiter& waiter) const {
  const Want& want = waiter.want;
  const auto group = groups_.find({want.organisation, want.group});
  const bool joins = !want.group.empty() && group != groups_.end();
  if (joins && !group->second->Full()) return true;
  const int more = joins ? 1 : waiter.shares;
  if (used_ + more > limits_.shares || !HasRoom(want.organisation, more)) return false;
  if (joins) return true;
  // Nobody overtakes one of the same organisation, or one that waits for another organisation's
  // shares: many small ones would keep a large one out for ever.
  for (const Waiter* earlier : waiting_) {
    if (earlier == &waiter) break;
    if (earlier->want.organisation == want.organisation || WaitsForOthers(*earlier)) return false;
  }
  return true;
}

bool BulkSlots::WaitsForOthers(const Waiter& waiter) const {
  // Behind the first one of its organisation it waits for that one.
  const auto first = std::find_if(waiting_.begin(), waiting_.end(), [&](const Waiter* other) {
    return other->want.organisation == waiter.want.organisation;
  });
  return *first == &waiter && HasRoom(waiter.want.organisation, waiter.shares);
}

bool BulkSlots::Contended(const Group& group) const {
  return std::any_of(waiting_.begin(), waiting_.end(), [&](const Waiter* waiter) {
    const Want& want = waiter->want;
    if (want.organisation != group.organisation) return WaitsForOthers(*waiter);
    return want.group.empty() || want.group != group.name;
  });
}

absl::StatusOr<BulkSlots::Slot> BulkSlots::Take(const Want& want,
                                                const std::function<bool()>& gave_up) {
  absl::MutexLock lock(&mutex_);
  const Waiter waiter{want, Wanted(want)};
  if (!MayEnter(waiter)) CEDANA_RETURN_IF_ERROR(Wait(waiter, gave_up));
  return Slot(this, Enter(waiter));
}

absl::Status BulkSlots::Wait(const Waiter& waiter, const std::function<bool()>& gave_up) {
  const auto mine = std::count_if(waiting_.begin(), waiting_.end(), [&](const Waiter* other) {
    return other->want.organisation == waiter.want.organisation;
  });
  if (static_cast<int>(waiting_.size()) >= limits_.waiting ||
      static_cast<int>(mine) >= (limits_.waiting + 1) / 2) {
    return absl::UnavailableError("too many transfers at once, and as many waiting");
  }
  const auto place = waiting_.insert(waiting_.end(), &waiter);
  const auto free = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return MayEnter(waiter); };
  absl::Duration waited;
  while (!mutex_.AwaitWithTimeout(absl::Condition(&free), limits_.ask_every)) {
    waited += limits_.ask_every;
    if (waited >= limits_.wait_max || gave_up()) break;
  }
  const bool may_enter = free();
  waiting_.erase(place);
  return may_enter ? absl::OkStatus() : absl::UnavailableError("too many transfers at once");
}

std::shared_ptr<BulkSlots::Group> BulkSlots::Enter(const Waiter& waiter) {
  const Want& want = waiter.want;
  std::shared_ptr<Group> group;
  if (!want.group.empty()) {
    std::shared_ptr<Group>& known = groups_[{want.organisation, want.group}];
    if (known == nullptr) known = std::make_shared<Group>();
    group = known;
  } else {
    group = std::make_shared<Group>();
  }
  if (group->members == 0) {
    group->organisation = want.organisation;
    group->name = want.group;
    AddShares(*group, waiter.shares);
  } else if (group->Full()) {
    AddShares(*group, 1);
  }
  Account(*group);
  ++group->members;
  return group;
}

void BulkSlots::AddShares(Group& group, int shares) {
  group.shares += shares;
  used_ += shares;
  used_by_[group.organisation] += shares;
}

absl::Status BulkSlots::Grow(Group& group, int shares) {
  absl::MutexLock lock(&mutex_);
  if (used_ + shares > limits_.shares || !HasRoom(group.organisation, shares)) {
    return absl::UnavailableError("too many transfers at once for one that needs more memory");
  }
  AddShares(group, shares);
  group.grown += shares;
  return absl::OkStatus();
}

void BulkSlots::GiveBack(Group& group) {
  absl::MutexLock lock(&mutex_);
  Account(group);
  if (--group.members > 0) return;
  used_ -= group.shares;
  const auto own = used_by_.find(group.organisation);
  own->second -= group.shares;
  if (own->second == 0) used_by_.erase(own);
  if (!group.name.empty()) groups_.erase({group.organisation, group.name});
}

void BulkSlots::Account(Group& group) {
  const absl::Duration now = clock_.Monotonic();
  if (group.members > 0 && group.at_peer == group.members) {
    group.waited += now - group.since;
    group.silent += now - group.since;
  }
  group.since = now;
}

void BulkSlots::BeginWait(Group& group) {
  absl::MutexLock lock(&mutex_);
  Account(group);
  ++group.at_peer;
}

absl::Status BulkSlots::EndWait(Group& group, uint64_t moved) {
  absl::MutexLock lock(&mutex_);
  Account(group);
  --group.at_peer;
  group.moved += moved;
  if (moved > 0) group.silent = absl::ZeroDuration();
  return Verdict(group);
}

absl::Status BulkSlots::Judge(Group& group) {
  absl::MutexLock lock(&mutex_);
  Account(group);
  return Verdict(group);
}

absl::Status BulkSlots::Verdict(Group& group) {
  if (!group.failure.ok()) return group.failure;
  const auto enough = static_cast<double>(limits_.slow_bytes) * group.shares;
  if (group.waited >= limits_.slow_time) {
    // However long the last step took: it is held against what it brought.
    const double times = absl::FDivDuration(group.waited, limits_.slow_time);
    group.slow = static_cast<double>(group.moved) < enough * times;
    group.moved = 0;
    group.waited = absl::ZeroDuration();
  } else if (static_cast<double>(group.moved) >= enough) {
    group.slow = false;
  }
  if (group.silent >= limits_.silent_max) {
    group.failure = absl::DeadlineExceededError(
        absl::StrCat("no byte moved for ", absl::FormatDuration(group.silent)));
  } else if (group.slow && Contended(group)) {
    group.failure = absl::DeadlineExceededError("too slow while others wait for their turn");
  }
  return group.failure;
}

}  // namespace cedana::api
