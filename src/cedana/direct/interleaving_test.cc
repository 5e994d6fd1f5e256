// Several daemons on one bucket, whose requests are put in an order drawn from a seed: one request
// at a time, of whichever daemon the seed names. Answers get lost; requests wander about and arrive
// (again) up to a quarter of an hour later, as a signature allows; daemons stand still while hours
// and days pass by the store's clock.
//
// Faults survived: any mixture of these. At every single request it is checked that
//   - what is visible is whole: no pack of a committed and not deleted checkpoint is removed;
//   - a name belongs to one visible checkpoint at most;
//   - a deleted checkpoint stays hidden;
// and at the end that every acknowledged checkpoint that nobody deleted can be opened by its name,
// that what was refused is not there, and that deletion and collection leave nothing but
// tombstones.
//
// A failure prints its seed: put it into kFirstSeed, with kSeeds = 1.
#include <gtest/gtest.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>

#include "cedana/direct/testing/bucket.h"
#include "core/base/thread.h"
#include "core/codec/crc32c.h"
#include "core/format/bytes.h"
#include "core/format/manifest.h"
#include "core/transfer/testing/seeded_random.h"

namespace cedana::direct {
namespace {

constexpr uint64_t kFirstSeed = 1;
constexpr uint64_t kSeeds = 120;  // 5 s
constexpr int kActors = 4;
constexpr int kTasks = 5;  // of each actor
constexpr absl::Duration kSignatureLives = absl::Minutes(15);

// What the test knows of a save.
struct Known {
  std::string name;
  base::PackId pack;
};

// The order of all requests: a thread that makes one waits for its turn.
class World {
 public:
  explicit World(uint64_t seed) : random_(seed) {}

  // Runs every actor to its end.
  void Run(const std::vector<std::function<void()>>& actors) {
    std::vector<base::Thread> threads;
    for (size_t i = 0; i < actors.size(); ++i) {
      threads.emplace_back("actor", [this, i, &actors] {
        actors[i]();
        std::lock_guard lock(mutex_);
        done_.insert(i);
        changed_.notify_all();
      });
    }
    std::unique_lock lock(mutex_);
    while (done_.size() < actors.size()) {
      changed_.wait(lock, [&] { return waiting_.size() + done_.size() == actors.size(); });
      if (waiting_.empty()) break;
      Pick(actors.size());
      changed_.notify_all();
      changed_.wait(lock, [&] { return turn_ < 0; });
    }
    lock.unlock();
    threads.clear();
    for (auto& late : late_) late.arrive();
    late_.clear();
  }

  // Waits for actor `actor`'s turn, makes the request, and gives the turn back.
  absl::Status Request(size_t actor, bool changes, const std::function<absl::Status()>& request) {
    std::unique_lock lock(mutex_);
    waiting_.insert(actor);
    changed_.notify_all();
    changed_.wait(lock, [&] { return turn_ == static_cast<int>(actor); });
    waiting_.erase(actor);
    absl::Status status = Suffer(changes, request);
    turn_ = -1;
    changed_.notify_all();
    return status;
  }

  Bucket bucket;
  std::map<base::SaveId, Known> saves;  // written by the actors, between their requests
  std::set<base::SaveId> deleted;       // a mark was written
  std::mutex saves_mutex;

 private:
  struct Late {
    absl::Time until;
    std::function<void()> arrive;
  };

  void Pick(size_t actors) {
    const uint64_t happening = random_.Below(100);
    if (happening < 4) bucket.clock.Advance(absl::Hours(25));
    if (happening >= 4 && happening < 7) bucket.clock.Advance(absl::Minutes(11));
    if (happening >= 7 && happening < 20) bucket.clock.Advance(absl::Seconds(40));
    if (happening >= 20 && happening < 28) {  // a daemon stands still for a while
      standing_still_ = random_.Below(actors);
      for_requests_ = static_cast<int>(random_.Below(60));
    }
    std::erase_if(late_, [&](const Late& late) { return bucket.clock.Now() >= late.until; });
    if (!late_.empty() && random_.Below(6) == 0) {
      const size_t which = random_.Below(late_.size());
      late_[which].arrive();
      late_.erase(late_.begin() + static_cast<long>(which));
    }
    std::vector<size_t> ready(waiting_.begin(), waiting_.end());
    if (ready.size() > 1 && for_requests_-- > 0) std::erase(ready, standing_still_);
    turn_ = static_cast<int>(ready[random_.Below(ready.size())]);
  }

  absl::Status Suffer(bool changes, const std::function<absl::Status()>& request) {
    absl::Status lost = absl::UnknownError("no answer");
    const uint64_t happening = random_.Below(100);
    if (happening < 3) return absl::UnavailableError("slow down");
    if (!changes) return happening < 5 ? absl::UnavailableError("no answer") : request();
    const absl::Time until = bucket.clock.Now() + kSignatureLives;
    if (happening < 6) {  // on its way still
      late_.push_back({until, [request] { request().IgnoreError(); }});
      return lost;
    }
    absl::Status status = request();
    if (happening < 9) late_.push_back({until, [request] { request().IgnoreError(); }});
    return happening < 14 ? lost : status;
  }

  transfer::SeededRandom random_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<size_t> waiting_;
  std::set<size_t> done_;
  int turn_ = -1;
  size_t standing_still_ = 0;
  int for_requests_ = 0;
  std::vector<Late> late_;
};

// An actor's way to the bucket, which checks what must hold after every change.
class CheckedStore final : public objstore::ObjectStore {
 public:
  CheckedStore(World* world, size_t actor) : world_(*world), actor_(actor) {}

  absl::Status Put(const base::Context& context, const objstore::ObjectKey& key,
                   std::span<const uint8_t> bytes, const objstore::PutOptions& options) override {
    const std::vector<uint8_t> copy(bytes.begin(), bytes.end());
    return world_.Request(actor_, true, [&world = world_, key, copy, options] {
      absl::Status put = world.bucket.memory.Put({}, key, copy, options);
      const auto save = SaveOfKey(kDecisions, key.text());
      if (put.ok() && save.has_value()) CheckVisible(world, *save);
      const auto mark = SaveOfKey(kDeletions, key.text());
      if (put.ok() && mark.has_value()) {
        std::lock_guard lock(world.saves_mutex);
        world.deleted.insert(*mark);
      }
      return put;
    });
  }
  absl::Status Get(const base::Context& context, const objstore::ObjectKey& key, uint64_t offset,
                   std::optional<uint64_t> length,
                   const std::function<absl::Status(std::span<const uint8_t>)>& sink) override {
    return world_.Request(actor_, false,
                          [&] { return world_.bucket.memory.Get({}, key, offset, length, sink); });
  }
  absl::StatusOr<std::optional<objstore::ObjectInfo>> Head(
      const base::Context& context, const objstore::ObjectKey& key) override {
    absl::StatusOr<std::optional<objstore::ObjectInfo>> info;
    CEDANA_RETURN_IF_ERROR(world_.Request(actor_, false, [&] {
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
    CEDANA_RETURN_IF_ERROR(world_.Request(actor_, false, [&] {
      page = world_.bucket.memory.List({}, prefix, after, limit);
      return page.status();
    }));
    return page;
  }
  absl::Status Delete(const base::Context& context, const objstore::ObjectKey& key) override {
    return world_.Request(actor_, true, [&world = world_, key] {
      absl::Status status = world.bucket.memory.Delete({}, key);
      std::lock_guard lock(world.saves_mutex);
      for (const auto& [save, known] : world.saves) {
        if (!IsVisible(world, save)) continue;
        EXPECT_NE(PackKey(known.pack).text(), key.text())
            << "a pack of " << known.name << " was removed";
        EXPECT_NE(SaveKey(kDeletions, save).text(), key.text())
            << "deleted " << known.name << " came back";
      }
      return status;
    });
  }
  objstore::Capabilities capabilities() const override { return {}; }

  // White-box: a decision of some length is a commit.
  static bool IsVisible(World& world, const base::SaveId& save) {
    const auto decision = world.bucket.memory.Head({}, SaveKey(kDecisions, save));
    return (*decision).has_value() && (*decision)->bytes > 400 &&
           !world.bucket.Has(SaveKey(kDeletions, save));
  }

 private:
  static void CheckVisible(World& world, const base::SaveId& save) {
    std::lock_guard lock(world.saves_mutex);
    const auto ours = world.saves.find(save);
    if (ours == world.saves.end() || !IsVisible(world, save)) return;
    EXPECT_FALSE(world.deleted.contains(save)) << "deleted " << ours->second.name << " came back";
    EXPECT_TRUE(world.bucket.Has(PackKey(ours->second.pack)))
        << ours->second.name << " was committed, but its pack is gone";
    for (const auto& [other, known] : world.saves) {
      if (other == save || known.name != ours->second.name) continue;
      EXPECT_FALSE(IsVisible(world, other)) << "two checkpoints have the name " << known.name;
    }
  }

  World& world_;
  const size_t actor_;
};

// One daemon: saves, deletes and collects in the order of its own seed.
class Actor {
 public:
  Actor(World* world, size_t number, uint64_t seed)
      : world_(*world),
        random_(seed * 31 + number + 1),
        store_(world, number),
        retrying_(&store_, "memory",
                  {.backoff_first = absl::Microseconds(1),
                   .backoff_max = absl::Microseconds(1),
                   .bounds_attempts = false},
                  {&world->bucket.clock, &random_}),
        catalog_(&retrying_, {std::nullopt, Times(), {&world->bucket.clock, &random_}, 1}) {}

  void Run() {
    for (int task = 0; task < kTasks; ++task) {
      const uint64_t what = random_.Below(10);
      if (what < 5) {
        Save(what < 3);
      } else if (what < 7) {
        catalog_.Delete({}, absl::StrCat("n", random_.Below(2))).IgnoreError();
      } else {
        Collect().IgnoreError();
      }
    }
  }

  absl::Status Collect() {
    CEDANA_ASSIGN_OR_RETURN(const Repository repository, catalog_.OpenedRepository({}, true));
    const Site site{&retrying_, &repository, Times(), {&world_.bucket.clock, &random_}, 1};
    const absl::StatusOr<Collected> collected = CollectRepository({}, site, false);
    if (collected.ok()) packs_collected += collected->packs;
    EXPECT_FALSE(absl::IsDataLoss(collected.status())) << collected.status();
    return collected.status();
  }

  std::set<base::SaveId> acknowledged;
  std::set<base::SaveId> refused;
  uint64_t packs_collected = 0;

 private:
  void Save(bool generated) {
    transfer::BeginRequest request{base::DrawId<base::SaveId>(random_),
                                   base::DrawId<base::CheckpointId>(random_),
                                   absl::StrCat("n", random_.Below(2)), generated};
    absl::StatusOr<transfer::BegunSave> begun;
    for (int tries = 0; tries < 3 && !begun.ok(); ++tries) {
      begun = catalog_.Begin({}, request);
      if (absl::IsAlreadyExists(begun.status())) break;
    }
    if (!begun.ok()) {
      refused.insert(request.save);
      return;
    }
    const Known known{begun->path, base::DrawId<base::PackId>(random_)};
    {
      std::lock_guard lock(world_.saves_mutex);
      world_.saves[request.save] = known;
    }
    const std::string bytes = absl::StrCat("pack of ", known.name);
    const uint32_t crc32c = codec::Crc32c(format::AsBytes(bytes));
    bool good =
        DirectSink(&retrying_, "memory").Put({}, known.pack, format::AsBytes(bytes), crc32c).ok();
    for (uint64_t beats = random_.Below(3); good && beats > 0; --beats) {
      good = !absl::IsFailedPrecondition(catalog_.Heartbeat({}, request.save));
    }
    if (good) {
      Commit(request, *begun, known);
    } else {
      catalog_.Abort({}, request.save).IgnoreError();
      refused.insert(request.save);
    }
  }

  // As transfer::CommitSave does it, without its waits.
  void Commit(const transfer::BeginRequest& request, const transfer::BegunSave& begun,
              const Known& known) {
    format::Manifest manifest;
    manifest.checkpoint = request.checkpoint;
    manifest.path = begun.path;
    manifest.codec = "none";
    manifest.tail_packs.push_back({known.pack, 1, 1000, 0});
    transfer::CommitRequest commit;
    commit.save = request.save;
    commit.checkpoint = request.checkpoint;
    commit.path = begun.path;
    commit.manifest = *format::SealManifest(manifest, begun.keys);
    bool unsure = false;
    for (int tries = 0; tries < 4; ++tries) {
      const absl::Status status = catalog_.Commit({}, commit).status();
      if (status.ok()) {
        acknowledged.insert(request.save);
        return;
      }
      unsure = unsure || absl::IsUnknown(status);
      if (!base::MayPass(status)) break;
    }
    const absl::Status aborted = catalog_.Abort({}, request.save);
    if (aborted.ok() || (!unsure && !absl::IsAlreadyExists(aborted))) refused.insert(request.save);
    if (absl::IsAlreadyExists(aborted)) acknowledged.insert(request.save);
  }

  World& world_;
  transfer::SeededRandom random_;
  CheckedStore store_;
  RetryingStore retrying_;
  DirectCatalog catalog_;
};

void ExpectTheEnd(World& world, const std::set<base::SaveId>& acknowledged,
                  const std::set<base::SaveId>& refused) {
  Daemon reader(&world.bucket);
  std::map<std::string, base::SaveId> visible;
  for (const auto& [save, known] : world.saves) {
    if (!CheckedStore::IsVisible(world, save)) continue;
    EXPECT_TRUE(visible.emplace(known.name, save).second) << known.name;
    EXPECT_FALSE(refused.contains(save)) << known.name;
    EXPECT_TRUE(world.bucket.Has(PackKey(known.pack))) << known.name;
  }
  const auto listed = reader.catalog.List({}, {});
  ASSERT_TRUE(listed.ok()) << listed.status();
  EXPECT_EQ(listed->size(), visible.size());
  for (const auto& [name, save] : visible) {
    const auto opened =
        reader.catalog.Open({}, name, base::DrawId<base::LeaseId>(base::SystemRandom()));
    EXPECT_TRUE(opened.ok()) << name << ": " << opened.status();
  }
  // Nobody but Delete hides what was acknowledged; after its collection a day later it is gone.
  for (const base::SaveId& save : acknowledged) {
    EXPECT_TRUE(CheckedStore::IsVisible(world, save) || world.deleted.contains(save))
        << world.saves.at(save).name << " was lost";
  }
}

TEST(DirectInterleaving, NoOrderOfRequestsLosesOrDoublesAnything) {
  size_t acknowledged_in_all = 0;
  size_t refused_in_all = 0;
  uint64_t packs_collected = 0;
  for (uint64_t seed = kFirstSeed; seed < kFirstSeed + kSeeds; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    World world(seed);
    std::vector<std::unique_ptr<Actor>> actors;
    std::vector<std::function<void()>> runs;
    for (int i = 0; i < kActors; ++i) {
      actors.push_back(std::make_unique<Actor>(&world, i, seed));
      runs.emplace_back([actor = actors.back().get()] { actor->Run(); });
    }
    world.Run(runs);
    std::set<base::SaveId> acknowledged;
    std::set<base::SaveId> refused;
    for (const auto& actor : actors) {
      acknowledged.insert(actor->acknowledged.begin(), actor->acknowledged.end());
      refused.insert(actor->refused.begin(), actor->refused.end());
      packs_collected += actor->packs_collected;
    }
    acknowledged_in_all += acknowledged.size();
    refused_in_all += refused.size();
    ExpectTheEnd(world, acknowledged, refused);
    if (testing::Test::HasFailure()) return;
  }
  // It has tried something.
  EXPECT_GT(acknowledged_in_all, 2 * kSeeds);
  EXPECT_GT(refused_in_all, kSeeds);
  EXPECT_GT(packs_collected, kSeeds);
}

}  // namespace
}  // namespace cedana::direct
