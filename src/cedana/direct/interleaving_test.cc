// Several daemons on one bucket, whose requests are put in an order drawn from a seed: one request
// at a time, of whichever daemon the seed names. Answers get lost; requests wander about and arrive
// (again) up to a quarter of an hour later, as a signature allows; daemons stand still before they
// change something, and after an answer was lost, while hours and days pass by the store's clock.
// The daemons' own clocks are days apart. In every fourth seed they give up a commit after one try,
// and collect while it may be on its way still (World::impatient).
//
// Faults survived: any mixture of these. At every single request it is checked that
//   - what is visible is whole: its pack, claim and entry of the index are there when it is
//     committed, and are not removed while it is not deleted (its pack: for a day after that);
//   - a name belongs to one visible checkpoint at most;
//   - a deleted checkpoint stays hidden, and what was aborted is never committed;
//   - a decision is never replaced; a claim that counts has a key that no other ever had;
// after each operation that it did what it said: a checkpoint that was visible all the time is
// found and listed, one that was deleted before is not; a later commit has the higher sequence;
// and at the end that every acknowledged checkpoint that nobody deleted can be opened by its name,
// that what was refused is not there, and that deletion and collection leave nothing but
// tombstones.
//
// What is found when it is put back, and how often, is in docs/adr/0006. What chance hardly ever
// meets has tests of its own in direct_catalog_test.cc.
//
// A failure prints its seed: put it into kFirstSeed, with kSeeds = 1. The same order comes again.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "cedana/direct/testing/bucket.h"
#include "cedana/direct/testing/world.h"
#include "core/codec/crc32c.h"
#include "core/format/bytes.h"
#include "core/format/manifest.h"
#include "core/transfer/testing/seeded_random.h"

namespace cedana::direct {
namespace {

constexpr uint64_t kFirstSeed = 1;
#ifdef __SANITIZE_THREAD__
constexpr uint64_t kSeeds = 60;  // each takes ten times as long
#else
constexpr uint64_t kSeeds = 400;  // 5 s
#endif
constexpr size_t kTasks = 24;  // of all actors

// One daemon: saves, deletes, collects and looks in the order of its own seed.
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
                  services(number)),
        services_(services(number)),
        catalog_(&retrying_, {std::nullopt, Times(), services_, 1}) {}

  void Run() {
    const uint64_t saves = random_.Below(3) * 6;  // some only clean up
    for (size_t task = 0; task < kTasks / world_.actors; ++task) {
      const uint64_t what = random_.Below(20);
      if (what < saves + 2) {
        Save(random_.Below(2) == 0);
      } else if (what < saves + 2 + (18 - saves) / 2) {
        Delete();
      } else if (what < 19) {
        Collect();
      } else {
        Look();
      }
    }
  }

  Saves refused;
  uint64_t packs_collected = 0;

 private:
  base::Services services(size_t number) { return {&world_.clocks.at(number), &random_}; }

  std::string DrawName() { return absl::StrCat("n", random_.Below(world_.names)); }

  // What is visible now and was then, under `name`: it was so all the time.
  Saves StillVisible(const Saves& then, const std::string& name) {
    Saves still;
    for (const base::SaveId& save : world_.Visible()) {
      if (then.contains(save) && world_.saves.at(save).name == name) still.insert(save);
    }
    return still;
  }

  void Delete() {
    const std::string name = DrawName();
    const Saves visible = world_.Visible();
    const absl::Status status = catalog_.Delete({}, name);
    if (!status.ok() && !absl::IsNotFound(status)) return;
    EXPECT_TRUE(StillVisible(visible, name).empty()) << name << " is not deleted: " << status;
    if (status.ok()) Collect();  // more often than not a day later
  }

  void Collect() {
    const absl::StatusOr<Repository> repository = catalog_.OpenedRepository({}, true);
    if (!repository.ok()) return;
    const Site site{&retrying_, &*repository, Times(), services_, 1};
    const absl::StatusOr<Collected> collected = CollectRepository({}, site, false);
    if (collected.ok()) packs_collected += collected->packs;
    EXPECT_FALSE(absl::IsDataLoss(collected.status())) << collected.status();
  }

  void Look() {
    const std::string name = DrawName();
    Saves visible = world_.Visible();
    Saves gone = world_.Deleted();
    const auto opened = catalog_.Open({}, name, base::DrawId<base::LeaseId>(random_));
    EXPECT_FALSE(absl::IsDataLoss(opened.status())) << opened.status();
    if (absl::IsNotFound(opened.status())) {
      EXPECT_TRUE(StillVisible(visible, name).empty()) << opened.status();
    }
    for (const base::SaveId& save : gone) {
      if (!opened.ok()) break;
      EXPECT_NE(opened->info.id, world_.saves.at(save).checkpoint) << name << " is deleted";
    }
    visible = world_.Visible();
    gone = world_.Deleted();
    const auto listed = catalog_.List({}, {});
    EXPECT_FALSE(absl::IsDataLoss(listed.status())) << listed.status();
    if (!listed.ok()) return;
    std::set<base::CheckpointId> ids;
    for (const transfer::CheckpointInfo& info : *listed) ids.insert(info.id);
    EXPECT_EQ(ids.size(), listed->size());
    for (const base::SaveId& save : world_.Visible()) {
      if (!visible.contains(save)) continue;
      const Known& known = world_.saves.at(save);
      EXPECT_TRUE(ids.contains(known.checkpoint)) << known.name << " is not listed";
    }
    for (const base::SaveId& save : gone) {
      EXPECT_FALSE(ids.contains(world_.saves.at(save).checkpoint)) << "is deleted";
    }
  }

  void Save(bool generated) {
    transfer::BeginRequest request{base::DrawId<base::SaveId>(random_),
                                   base::DrawId<base::CheckpointId>(random_), DrawName(),
                                   generated};
    absl::StatusOr<transfer::BegunSave> begun;
    for (int tries = 0; tries < 3 && !begun.ok(); ++tries) {
      begun = catalog_.Begin({}, request);
      if (absl::IsAlreadyExists(begun.status())) break;
    }
    if (!begun.ok()) {
      refused.insert(request.save);
      return;
    }
    const Known known{begun->path, request.checkpoint, base::DrawId<base::PackId>(random_), {}};
    {
      const absl::StatusOr<Repository> repository = catalog_.OpenedRepository({});
      std::lock_guard lock(world_.saves_mutex);
      world_.repository = *repository;
      world_.saves[request.save] = known;
    }
    const std::string bytes = absl::StrCat("pack of ", known.name);
    const uint32_t crc32c = codec::Crc32c(format::AsBytes(bytes));
    bool good =
        DirectSink(&retrying_, "memory").Put({}, known.pack, format::AsBytes(bytes), crc32c).ok();
    for (uint64_t beats = random_.Below(4); good && beats > 0; --beats) {
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
    const std::map<base::SaveId, uint64_t> earlier = world_.acknowledged;
    bool unsure = false;
    const int tries_max = world_.impatient ? 1 : 4;
    for (int tries = 0; tries < tries_max; ++tries) {
      const auto info = catalog_.Commit({}, commit);
      if (info.ok()) {
        Acknowledge(request.save, info->sequence, earlier);
        return;
      }
      unsure = unsure || absl::IsUnknown(info.status());
      if (!base::MayPass(info.status())) break;
    }
    const absl::Status aborted = catalog_.Abort({}, request.save);
    if (aborted.ok() || (!unsure && !absl::IsAlreadyExists(aborted))) refused.insert(request.save);
    if (absl::IsAlreadyExists(aborted)) Acknowledge(request.save, std::nullopt, {});
    if (!aborted.ok()) return;
    {
      std::lock_guard lock(world_.saves_mutex);
      EXPECT_FALSE(world_.committed.contains(request.save)) << known.name << " was committed";
      world_.aborted.insert(request.save);
    }
    if (world_.impatient && unsure) Collect();
  }

  // `earlier`: what had been acknowledged before this commit began.
  void Acknowledge(const base::SaveId& save, std::optional<uint64_t> sequence,
                   const std::map<base::SaveId, uint64_t>& earlier) {
    std::lock_guard lock(world_.saves_mutex);
    const std::optional<Decision> decision = CheckedStore::DecisionOf(world_, save);
    // Where it is gone, with what was deleted, others may have fenced the save since.
    if (decision.has_value() && decision->state == DecisionState::kCommitted) {
      const uint64_t standing = IndexEntry{decision->order, save}.sequence();
      EXPECT_EQ(sequence.value_or(standing), standing);
    }
    for (const auto& [other, theirs] : earlier) {
      if (sequence.has_value() && CheckedStore::IsVisible(world_, other)) {
        EXPECT_GT(*sequence, theirs) << "a later commit seems to be older";
      }
    }
    world_.acknowledged[save] = sequence.value_or(0);
  }

  World& world_;
  transfer::SeededRandom random_;
  CheckedStore store_;
  RetryingStore retrying_;
  const base::Services services_;
  DirectCatalog catalog_;
};

void ExpectTheEnd(World& world, const Saves& refused) {
  Daemon reader(&world.bucket);
  std::map<std::string, base::SaveId> visible;
  for (const base::SaveId& save : world.Visible()) {
    const Known& known = world.saves.at(save);
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
  // Nobody but Delete hides what was acknowledged.
  for (const auto& [save, sequence] : world.acknowledged) {
    EXPECT_TRUE(CheckedStore::IsVisible(world, save) || world.deleted.contains(save))
        << world.saves.at(save).name << " was lost";
  }
  // Once all is deleted, and two days have passed.
  for (const auto& [name, save] : visible) EXPECT_TRUE(reader.catalog.Delete({}, name).ok());
  const auto repository = reader.catalog.OpenedRepository({}, true);
  ASSERT_TRUE(repository.ok()) << repository.status();
  world.repository = *repository;
  for (int day = 0; day < 2; ++day) {
    world.bucket.clock.Advance(absl::Hours(25));
    const Site site{&reader.store, &*repository, Times(), {}, 1};
    const auto collected = CollectRepository({}, site, false);
    EXPECT_TRUE(collected.ok()) << collected.status();
  }
  for (const std::string& key : world.bucket.Keys()) {
    const auto fenced = SaveOfKey(kDecisions, key);
    const auto mark = SaveOfKey(kDeletions, key);
    const auto intent = SaveOfKey(kIntents, key);
    EXPECT_TRUE(key == RepositoryKey().text() ||
                (fenced.has_value() &&
                 CheckedStore::DecisionOf(world, *fenced)->state == DecisionState::kFenced) ||
                (mark.has_value() && world.bucket.Has(SaveKey(kIntents, *mark))) ||
                (intent.has_value() && world.bucket.Has(SaveKey(kDeletions, *intent))))
        << key << " stays for ever";
  }
}

struct Totals {
  size_t acknowledged = 0;
  size_t refused = 0;
  size_t deleted = 0;
  uint64_t packs_collected = 0;
};

// Returns what there was before the end was looked at.
std::vector<std::string> RunSeed(uint64_t seed, Totals* totals) {
  World world(seed);
  std::vector<std::unique_ptr<Actor>> actors;
  std::vector<std::function<void()>> runs;
  for (size_t i = 0; i < world.actors; ++i) {
    actors.push_back(std::make_unique<Actor>(&world, i, seed));
    runs.emplace_back([actor = actors.back().get()] { actor->Run(); });
  }
  world.Run(runs);
  std::vector<std::string> keys = world.bucket.Keys();
  Saves refused;
  for (const auto& actor : actors) {
    refused.insert(actor->refused.begin(), actor->refused.end());
    totals->packs_collected += actor->packs_collected;
  }
  totals->acknowledged += world.acknowledged.size();
  totals->refused += refused.size();
  totals->deleted += world.deleted.size();
  ExpectTheEnd(world, refused);
  return keys;
}

TEST(DirectInterleaving, NoOrderOfRequestsLosesOrDoublesAnything) {
  Totals totals;
  for (uint64_t seed = kFirstSeed; seed < kFirstSeed + kSeeds; ++seed) {
    RunSeed(seed, &totals);
    ASSERT_FALSE(testing::Test::HasFailure()) << "with seed " << seed;
  }
  // It has tried something.
  EXPECT_GT(totals.acknowledged, 2 * kSeeds);
  EXPECT_GT(totals.refused, kSeeds);
  EXPECT_GT(totals.deleted, kSeeds);
  EXPECT_GT(totals.packs_collected, kSeeds / 2);
}

TEST(DirectInterleaving, ASeedGivesTheSameOrderAgain) {
  Totals totals;
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    EXPECT_EQ(RunSeed(seed, &totals), RunSeed(seed, &totals)) << "with seed " << seed;
  }
}

}  // namespace
}  // namespace cedana::direct
