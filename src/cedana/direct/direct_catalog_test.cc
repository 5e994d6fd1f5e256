#include "cedana/direct/direct_catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cedana/direct/decisions.h"
#include "cedana/direct/testing/bucket.h"
#include "core/base/thread.h"
#include "core/format/bytes.h"

namespace cedana::direct {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using transfer::SaveOutcome;
using Names = std::vector<std::string>;

TEST(DirectCatalog, SavesListsLoadsAndDeletesAcrossDaemons) {
  Bucket bucket;
  Daemon a(&bucket);
  Daemon b(&bucket);
  const auto info = a.Save("one", "memory of one", "my-job");
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->created, bucket.clock.Now());
  EXPECT_EQ(info->durability, "durable");
  ASSERT_TRUE(b.Save("two", "memory of two").ok());
  EXPECT_EQ(a.Names(), (Names{"two", "one"}));
  EXPECT_EQ(*b.Load("one"), "memory of one");
  EXPECT_EQ(*b.Load("one.tar.lz4"), "memory of one");
  transfer::ListQuery query;
  query.job_name = "my-job";
  query.newest_per_job = true;
  const auto found = b.catalog.List({}, query);
  ASSERT_TRUE(found.ok() && found->size() == 1) << found.status();
  EXPECT_EQ((*found)[0].sequence, info->sequence);
  EXPECT_EQ((*found)[0].facts.job_id, "id-my-job");
  ASSERT_TRUE(b.catalog.Delete({}, "one").ok());
  EXPECT_EQ(a.Names(), Names{"two"});
  EXPECT_TRUE(absl::IsNotFound(a.Load("one").status()));
  EXPECT_TRUE(absl::IsNotFound(a.catalog.Delete({}, "one")));
}

TEST(DirectCatalog, AnEmptyBucketHoldsNothingAndIsLeftAlone) {
  Bucket bucket;
  Daemon a(&bucket);
  EXPECT_EQ(a.Names(), Names());
  EXPECT_TRUE(absl::IsNotFound(a.Load("x").status()));
  EXPECT_TRUE(absl::IsNotFound(a.catalog.Delete({}, "x")));
  EXPECT_EQ(*a.catalog.Outcome({}, base::SaveId()), SaveOutcome::kUnknown);
  EXPECT_TRUE(absl::IsNotFound(a.catalog.Abort({}, base::SaveId())));
  EXPECT_THAT(bucket.Keys(), IsEmpty());
}

TEST(DirectCatalog, NewestIsByTheIndexNeverByAClock) {
  Bucket bucket;
  Daemon a(&bucket);
  uint64_t last = 0;
  for (int i = 0; i < 20; ++i) {
    bucket.clock.Advance(-absl::Hours(1));  // a store whose clock runs backwards
    const auto info = a.Save(absl::StrCat("c", i), "x", "job");
    ASSERT_TRUE(info.ok()) << info.status();
    EXPECT_GT(info->sequence, last);
    last = info->sequence;
  }
  transfer::ListQuery query;
  query.newest_per_job = true;
  const auto newest = a.catalog.List({}, query);
  ASSERT_TRUE(newest.ok() && newest->size() == 1);
  EXPECT_EQ((*newest)[0].path, "c19");
}

TEST(DirectCatalog, OnlyWhatIsAskedForIsRead) {
  Bucket bucket;
  Daemon a(&bucket);
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(a.Save(absl::StrCat("c", i), "x", absl::StrCat("job-", i % 4)).ok());
  }
  transfer::ListQuery query;
  query.job_name = "job-2";
  query.newest_per_job = true;
  const int before = a.faults.operations();
  const auto found = a.catalog.List({}, query);
  ASSERT_TRUE(found.ok() && found->size() == 1);
  EXPECT_EQ((*found)[0].path, "c38");
  EXPECT_EQ(a.faults.operations() - before, 3);  // marks, index, one decision
}

TEST(DirectCatalog, AnUncommittedNewerSaveHidesNothing) {
  Bucket bucket;
  Daemon a(&bucket);
  ASSERT_TRUE(a.Save("old", "x", "job").ok());
  a.faults.Add({.operation = objstore::Operation::kPut,
                .prefix = kDecisions,
                .times = -1,
                .fail = absl::PermissionDeniedError("no")});
  EXPECT_FALSE(a.Save("new", "y", "job").ok());
  a.faults.Clear();
  transfer::ListQuery query;
  query.newest_per_job = true;
  const auto newest = a.catalog.List({}, query);
  ASSERT_TRUE(newest.ok() && newest->size() == 1) << newest.status();
  EXPECT_EQ((*newest)[0].path, "old");
  EXPECT_EQ(bucket.Keys(kIndex).size(), 2u);
}

TEST(DirectCatalog, APathHeldByADeadSaveIsFreeAfterTheLeaseByTheStoresClock) {
  Bucket bucket;
  Daemon dead(&bucket);
  Daemon alive(&bucket);
  const auto request = NewSave("name");
  ASSERT_TRUE(dead.catalog.Begin({}, request).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(alive.catalog.Begin({}, NewSave("name")).status()));
  bucket.clock.Advance(absl::Minutes(9));
  ASSERT_TRUE(dead.catalog.Heartbeat({}, request.save).ok());
  bucket.clock.Advance(absl::Minutes(9));
  EXPECT_TRUE(absl::IsAlreadyExists(alive.catalog.Begin({}, NewSave("name")).status()));
  bucket.clock.Advance(absl::Minutes(2));
  const auto taken = NewSave("name");
  ASSERT_TRUE(alive.catalog.Begin({}, taken).ok());
  // It wakes up again, and finds out.
  EXPECT_TRUE(absl::IsFailedPrecondition(dead.catalog.Heartbeat({}, request.save)));
  EXPECT_TRUE(
      absl::IsFailedPrecondition(dead.catalog.Commit({}, CommitOf(request, "name")).status()));
  EXPECT_EQ(*dead.catalog.Outcome({}, request.save), SaveOutcome::kAborted);
  EXPECT_TRUE(alive.catalog.Commit({}, CommitOf(taken, "name")).ok());
}

TEST(DirectCatalog, AnotherDaemonAbortsWhatItDidNotBegin) {
  Bucket bucket;
  Daemon first(&bucket);
  const auto open = NewSave("open");
  const auto committed = NewSave("committed");
  ASSERT_TRUE(first.catalog.Begin({}, open).ok());
  ASSERT_TRUE(first.catalog.Begin({}, committed).ok());
  ASSERT_TRUE(first.catalog.Commit({}, CommitOf(committed, "committed")).ok());
  Daemon next(&bucket);
  EXPECT_TRUE(next.catalog.Abort({}, open.save).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(next.catalog.Abort({}, committed.save)));
  EXPECT_TRUE(
      absl::IsFailedPrecondition(first.catalog.Commit({}, CommitOf(open, "open")).status()));
  // An abort that comes before its begin.
  const auto early = NewSave("early");
  EXPECT_TRUE(next.catalog.Abort({}, early.save).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(first.catalog.Begin({}, early).status()));
}

TEST(DirectCatalog, ACommitWhoseAnswerWasLostIsFoundToBeOurs) {
  Bucket bucket;
  Daemon a(&bucket);
  a.faults.Add({.operation = objstore::Operation::kPut, .prefix = kDecisions, .lose_reply = true});
  const auto info = a.Save("lost", "bytes");
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(*a.Load("lost"), "bytes");
  EXPECT_EQ(bucket.Keys(kIndex).size(), 1u);
}

TEST(DirectCatalog, DeletedStaysDeletedWhateverCommitWandersAbout) {
  Bucket bucket;
  Daemon a(&bucket);
  const auto request = NewSave("name");
  ASSERT_TRUE(a.catalog.Begin({}, request).ok());
  ASSERT_TRUE(a.catalog.Commit({}, CommitOf(request, "name")).ok());
  ASSERT_TRUE(a.catalog.Delete({}, "name").ok());
  EXPECT_TRUE(a.catalog.Commit({}, CommitOf(request, "name")).ok());
  EXPECT_EQ(a.Names(), Names());
  EXPECT_TRUE(a.catalog.Begin({}, NewSave("name")).ok());
}

TEST(DirectCatalog, AHoldEndsWhenTheCheckpointIsCollectedUnderIt) {
  Bucket bucket;
  Daemon a(&bucket);
  ASSERT_TRUE(a.Save("one", "x").ok());
  bucket.clock.Advance(10 * kDay);
  const auto lease = base::DrawId<base::LeaseId>(base::SystemRandom());
  ASSERT_TRUE(a.catalog.Open({}, "one", lease).ok());
  ASSERT_TRUE(a.catalog.Delete({}, "one").ok());
  ASSERT_TRUE(a.Collect().ok());
  EXPECT_TRUE(a.catalog.RenewHold({}, lease).ok());
  EXPECT_EQ(bucket.Keys(kPacks).size(), 1u);  // for a day
  bucket.clock.Advance(kDay - absl::Minutes(5));
  EXPECT_TRUE(a.catalog.RenewHold({}, lease).ok());
  bucket.clock.Advance(absl::Minutes(5));
  ASSERT_TRUE(a.Collect().ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(a.catalog.RenewHold({}, lease)));
  EXPECT_THAT(bucket.Keys(), ElementsAre("cedana/repository"));
}

TEST(DirectCatalog, ForeignAndDamagedObjects) {
  Bucket bucket;
  Daemon a(&bucket);
  ASSERT_TRUE(a.Save("one", "x", "job").ok());
  // Somebody else's things are neither read nor removed.
  for (const char* key : {"cedana/x/zz", "cedana/s/zz", "cedana/n/zz/1", "cedana/p/zz", "other"}) {
    ASSERT_TRUE(
        bucket.memory.Put({}, *objstore::ObjectKey::Parse(key), format::AsBytes("?"), {}).ok());
  }
  EXPECT_EQ(a.Names(), Names{"one"});
  bucket.clock.Advance(10 * kDay);
  ASSERT_TRUE(a.Collect().ok());
  EXPECT_EQ(*a.Load("one"), "x");
  EXPECT_TRUE(bucket.memory.Head({}, *objstore::ObjectKey::Parse("cedana/s/zz"))->has_value());
  // A decision that does not authenticate is an error that names it, never a silent gap.
  const std::string decision = SaveKey(kDecisions, a.last_save).text();
  ASSERT_TRUE(bucket.memory
                  .Put({}, *objstore::ObjectKey::Parse(decision), format::AsBytes("rotten"),
                       {.create_only = false})
                  .ok());
  const absl::Status status = a.catalog.List({}, {}).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(decision));
  EXPECT_TRUE(absl::IsDataLoss(a.Collect().status()));
  EXPECT_EQ(bucket.Keys(kPacks).size(), 2u);
}

// A store whose create-only is no more than a look before the write.
class LooksFirst final : public objstore::ObjectStore {
 public:
  explicit LooksFirst(objstore::ObjectStore* inner) : inner_(*inner) {}
  absl::Status Put(const base::Context& context, const objstore::ObjectKey& key,
                   std::span<const uint8_t> bytes, const objstore::PutOptions& options) override {
    return inner_.Put(context, key, bytes, options);
  }
  absl::Status Get(const base::Context& context, const objstore::ObjectKey& key, uint64_t offset,
                   std::optional<uint64_t> length,
                   const std::function<absl::Status(std::span<const uint8_t>)>& sink) override {
    return inner_.Get(context, key, offset, length, sink);
  }
  absl::StatusOr<std::optional<objstore::ObjectInfo>> Head(
      const base::Context& context, const objstore::ObjectKey& key) override {
    return inner_.Head(context, key);
  }
  absl::StatusOr<std::vector<objstore::ObjectInfo>> List(const base::Context& context,
                                                         const std::string& prefix,
                                                         const std::string& after,
                                                         size_t limit) override {
    return inner_.List(context, prefix, after, limit);
  }
  absl::Status Delete(const base::Context& context, const objstore::ObjectKey& key) override {
    return inner_.Delete(context, key);
  }
  objstore::Capabilities capabilities() const override { return {.creates_atomically = false}; }

 private:
  objstore::ObjectStore& inner_;
};

TEST(DirectCatalog, AStoreThatMayOverwriteIsNotShared) {
  Bucket bucket;
  LooksFirst store(&bucket.memory);
  RetryingStore retrying(&store, "s3://bucket/folder", FewTries(), {});
  DirectCatalog catalog(&retrying, {});
  const absl::Status status = catalog.Begin({}, NewSave("name")).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("s3://bucket/folder: the store cannot"));
  EXPECT_THAT(bucket.Keys(), IsEmpty());
  Daemon a(&bucket);
  ASSERT_TRUE(a.Save("one", "x").ok());
  const auto repository = a.catalog.OpenedRepository({});
  ASSERT_TRUE(repository.ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(
      CollectRepository({}, {&retrying, &*repository, Times(), {}}, false).status()));
}

// What the interleavings found, one by one.

// Ours has listed a name's claims, of which the first is free. Before it writes its own, that one
// is collected and another save takes the name, under the first turn again if it may.
TEST(DirectCatalog, ATurnThatWasCollectedIsNotMistakenForTheOneSeen) {
  for (int step = 1; step < 25; ++step) {
    Bucket bucket;
    Daemon ours(&bucket);
    Daemon other(&bucket);
    ASSERT_TRUE(other.Save("name", "first").ok());
    ASSERT_TRUE(other.catalog.Delete({}, "name").ok());
    bucket.clock.Advance(kDay);
    const auto theirs = NewSave("name");
    bool they_have_it = false;
    ours.hooks.Before(step, [&] {
      ASSERT_TRUE(other.Collect().ok());
      they_have_it = other.catalog.Begin({}, theirs).ok();
    });
    const bool we_have_it = ours.catalog.Begin({}, NewSave("name")).ok();
    EXPECT_FALSE(we_have_it && they_have_it) << "step " << step;
  }
}

// A begin that broke off after its claim, and is made again, looks at the others' claims, too.
TEST(DirectCatalog, ARepeatedBeginDoesNotTakeItsOldClaimForTheName) {
  Bucket bucket;
  Daemon ours(&bucket, OneTry());
  Daemon other(&bucket);
  ASSERT_TRUE(other.Save("kept", "x").ok());
  const auto request = NewSave("name");
  ours.faults.Add({.operation = objstore::Operation::kPut, .prefix = kClaims, .lose_reply = true});
  ASSERT_FALSE(ours.catalog.Begin({}, request).ok());
  // Somebody whose look was before our claim has a later turn.
  const auto repository = other.catalog.OpenedRepository({});
  ASSERT_TRUE(repository.ok());
  const auto theirs = NewSave("name");
  const std::string tag = repository->NameTag("name");
  const uint32_t turn = FirstTurn(bucket.clock.Now()) + 7;
  ASSERT_TRUE(PutOnce({}, other.store, SaveKey(kIntents, theirs.save),
                      SealIntent(theirs.save, theirs.checkpoint, repository->keys))
                  .ok());
  ASSERT_TRUE(PutOnce({}, other.store, ClaimKey(tag, turn),
                      SealClaim({theirs.save, "name", turn}, repository->keys))
                  .ok());
  EXPECT_TRUE(absl::IsAlreadyExists(ours.catalog.Begin({}, request).status()));
  // A removal that is late, or repeated, could meet the claim of somebody else.
  EXPECT_EQ(bucket.Keys(ClaimPrefix(tag)).size(), 2u);
}

// A begin stands still for almost a day after its intent, while the claim that another save wrote
// before, in the same hour, gets old and is collected.
TEST(DirectCatalog, NoKeyOfAClaimIsUsedTwice) {
  bool fired = true;
  for (int step = 1; fired; ++step) {
    Bucket bucket;
    Daemon ours(&bucket);
    Daemon other(&bucket);
    const auto theirs = NewSave("name");
    ASSERT_TRUE(other.catalog.Begin({}, theirs).ok());
    ASSERT_TRUE(other.catalog.Abort({}, theirs.save).ok());
    const std::vector<std::string> claims = bucket.Keys(kClaims);
    bucket.clock.Advance(absl::Minutes(10));
    ours.hooks.Before(step, [&] {
      bucket.clock.Advance(kDay - absl::Minutes(5));
      ASSERT_TRUE(other.Collect().ok());
    });
    const bool begun = ours.catalog.Begin({}, NewSave("name")).ok();
    fired = ours.hooks.fired();
    // A removal of theirs may be on its way still.
    EXPECT_FALSE(fired && begun && bucket.Keys(kClaims) == claims) << "step " << step;
  }
}

TEST(DirectCatalog, ACommitThatRefersToOthersPacksIsRefused) {
  Bucket bucket;
  Daemon a(&bucket);
  const auto request = NewSave("name");
  ASSERT_TRUE(a.catalog.Begin({}, request).ok());
  auto commit = CommitOf(request, "name");
  commit.packs.push_back({.own = false});
  EXPECT_TRUE(absl::IsInvalidArgument(a.catalog.Commit({}, commit).status()));
}

TEST(DirectCatalog, ADecisionMovedToAnotherSaveDoesNotOpen) {
  Bucket bucket;
  Daemon a(&bucket);
  ASSERT_TRUE(a.Save("one", "x").ok());
  const std::string one = *a.store.ReadAll({}, SaveKey(kDecisions, a.last_save), 1 << 20);
  ASSERT_TRUE(a.Save("two", "y").ok());
  ASSERT_TRUE(
      bucket.memory
          .Put({}, SaveKey(kDecisions, a.last_save), format::AsBytes(one), {.create_only = false})
          .ok());
  EXPECT_TRUE(absl::IsDataLoss(a.Load("two").status()));
}

TEST(DirectCatalog, AKeyFileKeepsTheKeyOutOfTheBucket) {
  format::Key256 key{};
  key[0] = 7;
  format::Key256 other{};
  Bucket bucket;
  Daemon a(&bucket, FewTries(), key);
  ASSERT_TRUE(a.Save("one", "x").ok());
  Daemon same(&bucket, FewTries(), key);
  EXPECT_EQ(*same.Load("one"), "x");
  Daemon wrong(&bucket, FewTries(), other);
  EXPECT_THAT(std::string(wrong.Load("one").status().message()), HasSubstr("storage.key_file"));
  Daemon none(&bucket);
  EXPECT_TRUE(absl::IsFailedPrecondition(none.catalog.List({}, {}).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(none.Save("two", "y").status()));
  // A repository that keeps its key could have been planted.
  Bucket open;
  Daemon without(&open);
  ASSERT_TRUE(without.Save("one", "x").ok());
  Daemon with(&open, FewTries(), key);
  EXPECT_TRUE(absl::IsFailedPrecondition(with.Save("two", "y").status()));
}

TEST(DirectCatalog, AForeignRepositoryObjectIsOneClearLine) {
  for (const char* text : {"", "hello", "{}", "[]", R"({"format":"other"})",
                           R"({"format":"cedana repository","version":2})",
                           R"({"format":"cedana repository","version":1,"id":"x"})"}) {
    Bucket bucket;
    ASSERT_TRUE(bucket.memory.Put({}, RepositoryKey(), format::AsBytes(text), {}).ok());
    Daemon a(&bucket);
    const absl::Status status = a.Save("one", "x").status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << text << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("repository"));
    EXPECT_EQ(bucket.Keys().size(), 1u);
  }
}

TEST(DirectCatalog, OnlyOneOfManyGetsAName) {
  Bucket bucket;
  std::vector<std::unique_ptr<Daemon>> daemons;
  daemons.reserve(6);
  for (int i = 0; i < 6; ++i) daemons.push_back(std::make_unique<Daemon>(&bucket));
  for (int round = 0; round < 10; ++round) {
    const std::string name = absl::StrCat("race-", round);
    std::atomic<int> won{0};
    std::vector<base::Thread> threads;
    threads.reserve(daemons.size());
    for (auto& daemon : daemons) {
      threads.emplace_back("racer", [&, daemon = daemon.get()] {
        const auto request = NewSave(name);
        const auto begun = daemon->catalog.Begin({}, request);
        if (!begun.ok()) {
          EXPECT_TRUE(absl::IsAlreadyExists(begun.status())) << begun.status();
          return;
        }
        EXPECT_TRUE(daemon->catalog.Commit({}, CommitOf(request, name)).ok());
        ++won;
      });
    }
    threads.clear();
    EXPECT_EQ(won, 1);
  }
  EXPECT_EQ(daemons[0]->Names().size(), 10u);
}

// An older checkpoint of the name is collected while a newer one is looked for. The older one has
// the higher order: its entry was gone when the newer one was committed.
TEST(DirectCatalog, WhatIsCollectedIsNotTakenForTheCheckpointOfTheName) {
  bool fired = true;
  for (int step = 1; fired; ++step) {
    Bucket bucket;
    Daemon other(&bucket);
    Daemon ours(&bucket);
    ASSERT_TRUE(other.Save("before", "x").ok());
    ASSERT_TRUE(other.Save("name", "older").ok());
    ASSERT_TRUE(other.catalog.Delete({}, "before").ok());
    ASSERT_TRUE(other.catalog.Delete({}, "name").ok());
    bucket.clock.Advance(kDay);
    for (const std::string& key : bucket.Keys(kIndex)) {  // so far a collection has come
      ASSERT_TRUE(bucket.memory.Delete({}, objstore::ObjectKey::Parse(key).value()).ok());
    }
    ASSERT_TRUE(other.Save("name", "newer").ok());
    ours.hooks.Before(step, [&] { ASSERT_TRUE(other.Collect().ok()); });
    EXPECT_TRUE(ours.catalog.Delete({}, "name").ok());
    fired = ours.hooks.fired();
    EXPECT_EQ(other.Names(), Names()) << "step " << step;
  }
}

TEST(DirectCatalog, AtMostAThousandAndOnFromThere) {
  Bucket bucket;
  Daemon a(&bucket);
  for (int i = 0; i < 45; ++i) {
    const auto request = NewSave(absl::StrCat("c", i));
    ASSERT_TRUE(a.catalog.Begin({}, request).ok());
    ASSERT_TRUE(a.catalog.Commit({}, CommitOf(request, request.path)).ok());
  }
  transfer::ListQuery query;
  query.limit = 10;
  Names all;
  while (true) {
    const auto page = a.catalog.List({}, query);
    ASSERT_TRUE(page.ok()) << page.status();
    if (page->empty()) break;
    for (const auto& info : *page) all.push_back(info.path);
    query.before_sequence = page->back().sequence;
  }
  ASSERT_EQ(all.size(), 45u);
  for (int i = 0; i < 45; ++i) EXPECT_EQ(all[i], absl::StrCat("c", 44 - i));
}

}  // namespace
}  // namespace cedana::direct
