// One bucket and the daemons that share it, whose requests are put in an order drawn from a seed:
// one request at a time, of whichever daemon the seed names. What must hold at every request is
// checked there (CheckedStore). See interleaving_test.cc.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "cedana/direct/testing/bucket.h"
#include "core/base/thread.h"
#include "core/transfer/testing/seeded_random.h"

namespace cedana::direct {

constexpr size_t kActorsMax = 4;
constexpr absl::Duration kSignatureLives = absl::Minutes(15);

// What the test knows of a save.
struct Known {
  std::string name;
  base::CheckpointId checkpoint;
  base::PackId pack;
  std::set<std::string> whole;  // keys that stay while it is visible
};

// All that was ever written under the key of a claim: more than one only by saves that had ended,
// and did not know it.
struct WrittenClaim {
  explicit WrittenClaim(absl::Time now) : first(now) {}

  absl::Time first;
  std::set<std::vector<uint8_t>> contents;
};

using Saves = std::set<base::SaveId>;

// The order of all requests. A thread that makes one waits for its turn, and runs alone until its
// next one, so that everything a seed brings about can be repeated.
class World {
 public:
  explicit World(uint64_t seed) : random_(seed) {
    actors = OneOf<size_t>({2, 3, 4});
    days_ = OneOf<uint64_t>({2, 10, 40});
    hours_ = OneOf<uint64_t>({2, 10, 40});
    stays_ = OneOf<uint64_t>({0, 60, 90});
    stand_for_ = OneOf<uint64_t>({30, 120, 400});
    late_arrives_ = OneOf<uint64_t>({4, 30});
    slippery_ =
        OneOf<std::string>({kIntents, kBeats, kClaims, kPacks, kDecisions, kDeletions, kLooks, ""});
    names = OneOf<uint64_t>({1, 1, 2});
    if (slippery_ == kClaims) {  // all want one name, in turns that differ by the hour
      names = 1;
      hours_ = 40;
    }
    if (slippery_ == kDecisions) stand_for_ = 400;  // so that what was decided may be collected
    impatient = seed % 4 == 1;
    if (impatient) {
      slippery_ = kDecisions;
      days_ = 2;  // a request on its way does not outlive them
      hours_ = 2;
      stays_ = 90;
      stand_for_ = 30;
      late_arrives_ = 200;  // but see LetArrive
    }
    // Nobody's clock decides anything.
    for (TestClock& clock : clocks) clock.Advance(absl::Hours(random_.Below(72)));
    bucket.clock.Advance(absl::Hours(36));
  }

  // Runs every actor to its end.
  void Run(const std::vector<std::function<void()>>& work) {
    {
      std::vector<base::Thread> threads;
      for (size_t i = 0; i < actors; ++i) {
        threads.emplace_back("actor", [this, i, &work] {
          work[i]();
          std::lock_guard lock(mutex_);
          ++done_;
          PassOn();
        });
      }
    }
    for (const Late& late : late_) late.arrive();
    late_.clear();
  }

  // Waits for actor `actor`'s turn, and makes the request. `changes`: the key of what it changes.
  absl::Status Request(size_t actor, absl::string_view changes,
                       const std::function<absl::Status()>& request) {
    std::unique_lock lock(mutex_);
    Waiting waiting{.changes = !changes.empty()};
    waiting.slips = waiting.changes && absl::StartsWith(changes, slippery_);
    waiting_[actor] = waiting;
    PassOn();
    wake_[actor].wait(lock, [&] { return turn_ == actor; });
    turn_ = kNobody;
    waiting_.erase(actor);
    return Suffer(actor, waiting, changes, request);
  }

  Saves Visible();
  Saves Deleted();

  Bucket bucket;
  std::array<TestClock, kActorsMax> clocks;
  size_t actors = kActorsMax;
  uint64_t names = 1;
  uint64_t requests = 0;
  // Daemons abort a save whose first try to commit had no answer, and collect at once: the commit
  // is on its way still, and arrives as soon as nothing bars it.
  bool impatient = false;
  // Written by the actors between their requests, and by the requests.
  std::mutex saves_mutex;
  std::optional<Repository> repository;
  std::map<base::SaveId, Known> saves;
  std::map<std::string, WrittenClaim> claims;     // by key
  std::map<base::SaveId, absl::Time> deleted;     // since when there is a mark
  std::map<base::SaveId, uint64_t> acknowledged;  // sequences
  Saves committed;                                // once, whatever became of them
  Saves aborted;                                  // their daemons were told so
  std::string removed;                            // the key that was removed last

 private:
  static constexpr size_t kNobody = kActorsMax;
  struct Waiting {
    bool changes = false;
    bool slips = false;
    bool stood_still = false;
  };
  struct Late {
    absl::Time until;
    std::string changes;  // the key
    std::function<void()> arrive;
  };

  template <typename T>
  T OneOf(const std::vector<T>& of) {
    return of[random_.Below(of.size())];
  }
  bool Chance(uint64_t percent) { return random_.Below(100) < percent; }

  // Gives the turn to somebody, once nobody is at work.
  void PassOn() {
    if (waiting_.empty() || waiting_.size() + done_ < actors) return;
    ++requests;
    PassTime();
    LetArrive();
    turn_ = Pick();
    last_ = turn_;
    wake_[turn_].notify_one();
  }

  void PassTime() {
    const bool somebody_stands_still =
        std::any_of(until_.begin(), until_.end(), [&](uint64_t until) { return until > requests; });
    const uint64_t days = somebody_stands_still ? 2 * days_ : days_ / 2;
    const uint64_t happening = random_.Below(1000);
    // A collection does most a day after a deletion.
    const bool more_deleted = std::exchange(deleted_before_, deleted.size()) < deleted.size();
    if (happening < days || (more_deleted && happening < 700)) {
      bucket.clock.Advance(absl::Hours(25));
    } else if (happening < days + hours_) {
      bucket.clock.Advance(absl::Minutes(61));
    } else if (happening < days + hours_ + 20) {
      bucket.clock.Advance(absl::Minutes(11));
    } else if (happening < days + hours_ + 120) {
      bucket.clock.Advance(absl::Seconds(40));
    }
  }

  void LetArrive() {
    std::erase_if(late_, [&](const Late& late) { return bucket.clock.Now() >= late.until; });
    const std::string free = std::exchange(removed, "");
    auto which = late_.end();
    if (impatient) {
      which = std::find_if(late_.begin(), late_.end(),
                           [&](const Late& late) { return late.changes == free; });
    }
    if (which == late_.end()) {
      if (late_.empty() || random_.Below(late_arrives_) > 0) return;
      which = late_.begin() + static_cast<long>(random_.Below(late_.size()));
    }
    const Late late = std::move(*which);
    late_.erase(which);
    late.arrive();
  }

  size_t Pick() {
    while (true) {
      std::vector<size_t> ready;
      for (const auto& [actor, waiting] : waiting_) {
        if (until_[actor] <= requests) ready.push_back(actor);
      }
      if (ready.empty()) {  // nothing happens until the first of them wakes up
        const auto first = std::min_element(
            waiting_.begin(), waiting_.end(),
            [&](const auto& a, const auto& b) { return until_[a.first] < until_[b.first]; });
        return first->first;
      }
      const bool again = std::find(ready.begin(), ready.end(), last_) != ready.end();
      const size_t picked = again && Chance(stays_) ? last_ : ready[random_.Below(ready.size())];
      Waiting& waiting = waiting_.at(picked);
      // What it has seen gets old before it acts upon it.
      const uint64_t chance = waiting.slips ? 30 : waiting.changes ? 3 : 1;
      const bool stands =
          !std::exchange(waiting.stood_still, true) && ready.size() > 1 && Chance(chance);
      if (!stands) return picked;
      StandStill(picked);
    }
  }

  void StandStill(size_t actor) { until_[actor] = requests + 1 + random_.Below(stand_for_); }

  absl::Status Suffer(size_t actor, const Waiting& waiting, absl::string_view changes,
                      const std::function<absl::Status()>& request) {
    // Connections do not outlive a standstill.
    const bool woke_up = std::exchange(until_[actor], 0) > 0;
    const bool unlucky = woke_up || waiting.slips;
    const bool very = impatient && waiting.slips;
    const uint64_t happening = random_.Below(very ? 20 : unlucky ? 40 : 150);
    if (happening < 3) return Fail(actor, waiting, absl::UnavailableError("slow down"));
    const absl::Status lost = absl::UnknownError("no answer");
    if (!waiting.changes) return happening < 5 ? Fail(actor, waiting, lost) : request();
    const absl::Time until = bucket.clock.Now() + kSignatureLives;
    if (happening < 6) {  // on its way still
      late_.push_back({until, std::string(changes), [request] { request().IgnoreError(); }});
      return Fail(actor, waiting, lost);
    }
    const absl::Status status = request();
    if (happening < 9) {
      late_.push_back({until, std::string(changes), [request] { request().IgnoreError(); }});
    }
    return happening < 14 ? Fail(actor, waiting, lost) : status;
  }

  // Some give up, and some have lost the answer because their machine stands still.
  absl::Status Fail(size_t actor, const Waiting& waiting, absl::Status status) {
    const uint64_t chance = waiting.slips && !impatient ? 60 : 30;
    if (Chance(chance)) clocks[actor].Advance(absl::Seconds(11));
    if (Chance(chance)) StandStill(actor);
    return status;
  }

  transfer::SeededRandom random_;
  uint64_t days_ = 0;          // in so many of 1000 requests a day passes
  uint64_t hours_ = 0;         // … an hour
  uint64_t stand_for_ = 0;     // so many requests at most
  uint64_t stays_ = 0;         // so many of 100: whose turn it was has the next one, too
  uint64_t late_arrives_ = 0;  // one in so many requests
  std::string slippery_;       // changes below it go wrong more often: are late, lost, made twice

  std::mutex mutex_;
  std::array<std::condition_variable, kActorsMax> wake_;
  std::map<size_t, Waiting> waiting_;
  size_t done_ = 0;
  size_t turn_ = kNobody;
  size_t last_ = 0;
  size_t deleted_before_ = 0;
  std::array<uint64_t, kActorsMax> until_{};  // who stands still does until that request
  std::vector<Late> late_;
};

// An actor's way to the bucket, which checks what must hold after every change.
class CheckedStore final : public objstore::ObjectStore {
 public:
  CheckedStore(World* world, size_t actor) : world_(*world), actor_(actor) {}

  absl::Status Put(const base::Context& context, const objstore::ObjectKey& key,
                   std::span<const uint8_t> bytes, const objstore::PutOptions& options) override {
    const std::vector<uint8_t> copy(bytes.begin(), bytes.end());
    return world_.Request(actor_, key.text(), [&world = world_, key, copy, options] {
      const bool replaces = world.bucket.Has(key);
      absl::Status put = world.bucket.memory.Put({}, key, copy, options);
      std::lock_guard lock(world.saves_mutex);
      if (const auto save = SaveOfKey(kDecisions, key.text()); put.ok() && save.has_value()) {
        EXPECT_FALSE(replaces) << "a decision was replaced";
        if (IsCommit(copy.size())) world.committed.insert(*save);
        CheckVisible(world, *save);
      }
      if (put.ok() && ClaimOfKey(key.text()).has_value()) {
        const auto claim = world.claims.try_emplace(key.text(), world.bucket.clock.Now()).first;
        claim->second.contents.insert(copy);
      }
      const auto mark = SaveOfKey(kDeletions, key.text());
      if (put.ok() && mark.has_value()) world.deleted.emplace(*mark, world.bucket.clock.Now());
      return put;
    });
  }
  absl::Status Get(const base::Context& context, const objstore::ObjectKey& key, uint64_t offset,
                   std::optional<uint64_t> length,
                   const std::function<absl::Status(std::span<const uint8_t>)>& sink) override {
    return world_.Request(actor_, "",
                          [&] { return world_.bucket.memory.Get({}, key, offset, length, sink); });
  }
  absl::StatusOr<std::optional<objstore::ObjectInfo>> Head(
      const base::Context& context, const objstore::ObjectKey& key) override {
    absl::StatusOr<std::optional<objstore::ObjectInfo>> info;
    CEDANA_RETURN_IF_ERROR(world_.Request(actor_, "", [&] {
      info = world_.bucket.memory.Head({}, key);
      return info.status();
    }));
    return info;
  }
  absl::StatusOr<std::vector<objstore::ObjectInfo>> List(const base::Context& context,
                                                         const std::string& prefix,
                                                         const std::string& after,
                                                         size_t limit) override {
    absl::StatusOr<std::vector<objstore::ObjectInfo>> page;
    CEDANA_RETURN_IF_ERROR(world_.Request(actor_, "", [&] {
      page = world_.bucket.memory.List({}, prefix, after, limit);
      return page.status();
    }));
    return page;
  }
  absl::Status Delete(const base::Context& context, const objstore::ObjectKey& key) override {
    return world_.Request(actor_, key.text(), [&world = world_, key] {
      const bool there = world.bucket.Has(key);
      const auto claim = world.claims.find(key.text());
      if (there && claim != world.claims.end()) {
        EXPECT_GE(world.bucket.clock.Now() - claim->second.first, absl::Hours(24))
            << "a claim was removed too early";
      }
      absl::Status status = world.bucket.memory.Delete({}, key);
      if (there) world.removed = key.text();
      std::lock_guard lock(world.saves_mutex);
      for (const auto& [save, known] : world.saves) {
        if (there && PackKey(known.pack) == key && world.deleted.contains(save)) {
          EXPECT_GE(world.bucket.clock.Now() - world.deleted.at(save), absl::Hours(24))
              << "readers of " << known.name << " may need its pack";
        }
        const bool needed = known.whole.contains(key.text());
        const bool hides = SaveKey(kDeletions, save) == key;
        if ((!needed && !hides) || !IsVisible(world, save)) continue;
        EXPECT_FALSE(needed) << key.text() << " of " << known.name << " was removed";
        EXPECT_FALSE(hides) << "deleted " << known.name << " came back";
      }
      return status;
    });
  }
  objstore::Capabilities capabilities() const override { return {}; }

  // White-box: a decision of some length is a commit.
  static bool IsCommit(uint64_t bytes) { return bytes > 400; }
  static bool IsVisible(World& world, const base::SaveId& save) {
    const auto decision = world.bucket.memory.Head({}, SaveKey(kDecisions, save));
    return (*decision).has_value() && IsCommit((*decision)->bytes) &&
           !world.bucket.Has(SaveKey(kDeletions, save));
  }

  static std::optional<Decision> DecisionOf(World& world, const base::SaveId& save) {
    std::string bytes;
    const auto get = world.bucket.memory.Get({}, SaveKey(kDecisions, save), 0, std::nullopt,
                                             [&](std::span<const uint8_t> piece) {
                                               bytes.append(piece.begin(), piece.end());
                                               return absl::OkStatus();
                                             });
    if (!get.ok()) return std::nullopt;
    const auto decision = OpenDecision(bytes, save, world.repository->keys);
    EXPECT_TRUE(decision.ok()) << decision.status();
    return decision.ok() ? std::optional(*decision) : std::nullopt;
  }

 private:
  static void CheckVisible(World& world, const base::SaveId& save) {
    const auto ours = world.saves.find(save);
    if (ours == world.saves.end() || !IsVisible(world, save)) return;
    const std::string& name = ours->second.name;
    EXPECT_FALSE(world.deleted.contains(save)) << "deleted " << name << " came back";
    EXPECT_FALSE(world.aborted.contains(save)) << "aborted " << name << " was committed";
    for (const auto& [other, known] : world.saves) {
      if (other == save || known.name != name) continue;
      EXPECT_FALSE(IsVisible(world, other)) << "two checkpoints have the name " << name;
    }
    const std::optional<Decision> decision = DecisionOf(world, save);
    if (!decision.has_value()) return;
    IndexEntry entry;
    entry.order = decision->order;
    entry.save = save;
    const std::string claim =
        ClaimKey(world.repository->NameTag(decision->name), decision->turn).text();
    EXPECT_EQ(world.claims.at(claim).contents.size(), 1u) << "the claim has the key of another one";
    ours->second.whole = {SaveKey(kDecisions, save).text(), entry.key().text(),
                          PackKey(ours->second.pack).text(), claim};
    for (const std::string& key : ours->second.whole) {
      EXPECT_TRUE(world.bucket.Has(objstore::ObjectKey::Parse(key).value()))
          << name << " was committed, but " << key << " is not there";
    }
  }

  World& world_;
  const size_t actor_;
};

inline Saves World::Visible() {
  std::lock_guard lock(saves_mutex);
  Saves visible;
  for (const auto& [save, known] : saves) {
    if (CheckedStore::IsVisible(*this, save)) visible.insert(save);
  }
  return visible;
}

inline Saves World::Deleted() {
  std::lock_guard lock(saves_mutex);
  Saves marked;
  for (const auto& [save, since] : deleted) marked.insert(save);
  return marked;
}

}  // namespace cedana::direct
