// Many providers: who is written to first, and what happens when one of them is dark, slow, full or
// lying before, during and after a commit.
#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "core/base/status.h"
#include "storage/replica/collector.h"
#include "storage/replica/health.h"
#include "storage/replica/prober.h"
#include "storage/replica/read_ahead.h"
#include "storage/replica/spread.h"
#include "storage/replica/testing/placement_fixture.h"

namespace cedana::replica {
namespace {

using objstore::Operation;

using Names = std::vector<std::string>;

TEST(GrantUploads, NameTheBestOfEachDomainBeforeASecondOneOfAny) {
  TestVault test(10);
  const auto move_to = [&](size_t provider, const std::string& domain) {
    Provider moved = *test.providers.Find(absl::StrCat("p", provider));
    moved.domain = domain;
    test.providers.Put(std::move(moved));
  };
  for (size_t i = 0; i < 9; ++i) move_to(i, "one");
  OrgCatalog catalog(&test.vault, test.organisation);
  const auto save = base::DrawId<base::SaveId>(base::SystemRandom());
  const auto checkpoint = base::DrawId<base::CheckpointId>(base::SystemRandom());
  ASSERT_TRUE(catalog.Begin({}, {save, checkpoint, "a", false}).ok());
  const auto granted = [&] {
    Names names;
    const auto grants =
        catalog.GrantUploads(save, {{base::DrawId<base::PackId>(base::SystemRandom()), 10, 1}});
    EXPECT_TRUE(grants.ok()) << grants.status();
    for (const PackGrant& grant : *grants) names.push_back(grant.provider->name);
    return names;
  };
  EXPECT_EQ(granted(), (Names{"p0", "p1", "p2", "p3", "p4", "p5", "p6", "p9"}));
  for (size_t i = 1; i < 10; ++i) move_to(i, absl::StrCat("domain-", i));
  EXPECT_EQ(granted(), (Names{"p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7"}));
}

TEST(PutOnce, SaysThatSomethingElseIsThereOnlyWhenItWasRead) {
  TestVault test(1);
  const Provider& p0 = *test.providers.Find("p0");
  const auto put = [&](absl::string_view bytes) {
    return PutOnce({}, p0, test.health, "s/a", bytes);
  };
  ASSERT_TRUE(put("the same").ok());
  EXPECT_TRUE(put("the same").ok());
  for (const char* other : {"the sane", "the same and more", "the"}) {
    EXPECT_TRUE(absl::IsAlreadyExists(put(other))) << other;
  }
  test.stores[0]->Add({.operation = Operation::kGet, .fail = absl::UnavailableError("just now")});
  EXPECT_TRUE(absl::IsUnavailable(put("the same")));
  test.stores[0]->Add({.operation = Operation::kGet, .cut_after = 3});
  EXPECT_TRUE(absl::IsUnavailable(put("the same")));
  EXPECT_TRUE(put("the same").ok());
}

TEST(PutManifest, CanBeRepeatedWhereACopyCannotBeReadJustNow) {
  TestVault test(2);
  const auto put = [&] {
    return PutManifest({}, test.vault, "s/a", "manifest", {.copies = 2, .needed = 2}).status();
  };
  ASSERT_TRUE(put().ok());
  test.stores[1]->Add({.operation = Operation::kGet, .fail = absl::UnavailableError("just now")});
  const absl::Status repeated = put();
  EXPECT_TRUE(absl::IsUnavailable(repeated)) << repeated;
  EXPECT_TRUE(put().ok());
}

TEST_F(PlacementTest, GrantsAreForEveryActiveProviderBestFirst) {
  const transfer::CommitRequest commit = Begin("a");
  EXPECT_EQ(GrantedAt(commit), (Names{"p0", "p1", "p2"}));
  EXPECT_EQ(catalog_.Policy()->copies, 2u);
  test_.Darken(0);
  ProbeTimes(3);
  EXPECT_EQ(GrantedAt(commit), (Names{"p1", "p2", "p0"}));
  test_.health.RecordWrite("p1", absl::ResourceExhaustedError("full"));
  EXPECT_EQ(GrantedAt(commit), (Names{"p2", "p1", "p0"}));
  test_.stores[0]->Clear();
  ProbeTimes(2);
  EXPECT_EQ(GrantedAt(commit), (Names{"p0", "p2", "p1"}));
  Provider draining = *test_.providers.Find("p0");
  draining.state = metadata::ProviderState::kDraining;
  test_.providers.Put(draining);
  EXPECT_EQ(GrantedAt(commit), (Names{"p2", "p1"}));
}

TEST_F(PlacementTest, ADarkProviderBeforeTheCommitIsPassedOver) {
  test_.Darken(1);
  const auto info = test_.Save(catalog_, "a");
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(test_.last_own.providers, (Names{"p0", "p2"}));
  EXPECT_EQ(info->durability, "fully replicated");
  // The commit record is owed to the dark one, and written when it is back.
  ASSERT_TRUE(collector_.WriteRecords({}).ok());
  EXPECT_EQ(test_.metadata->chores().Of("p1", 10)->size(), 1u);
  EXPECT_EQ(*collector_.DoChores({}), 0u);
  test_.stores[1]->Clear();
  ProbeTimes(2);
  EXPECT_EQ(*collector_.DoChores({}), 1u);
  EXPECT_EQ(test_.Keys(1, "c/").size(), 1u);
}

TEST_F(PlacementTest, AProviderThatGoesDarkAfterTheUploadCountsWithWhatItAcknowledged) {
  transfer::CommitRequest commit = Begin("a");
  commit.packs.push_back(test_.StorePack(commit.save));
  EXPECT_EQ(commit.packs[0].providers, (Names{"p0", "p1"}));
  test_.Darken(1);
  const auto info = catalog_.Commit({}, commit);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->durability, "durable");
  EXPECT_EQ(PacksInDebt(), 1u);
}

TEST_F(PlacementTest, ASilentProviderHoldsUpACommitForSecondsOnly) {
  transfer::CommitRequest commit = Begin("a");
  commit.packs.push_back(test_.StorePack(commit.save));
  test_.Darken(2, /*latency=*/absl::Seconds(60));
  absl::Time started = absl::Now();
  ASSERT_TRUE(catalog_.Commit({}, commit).ok());
  EXPECT_LT(absl::Now() - started, absl::Seconds(1.5));  // twice the grace of this test, 0.3 s
  // Not held up at all where it is needed to reach `ack`, but cut off by the bound of a commit.
  commit = Begin("b");
  test_.stores[2]->Clear();
  commit.packs.push_back(test_.StorePack(commit.save));
  test_.Darken(1, /*latency=*/absl::Seconds(60));
  started = absl::Now();
  const auto info = catalog_.Commit({}, commit);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->durability, "durable");
  EXPECT_LT(absl::Now() - started, absl::Seconds(4));
}

// Slow is better than nowhere, and worse than elsewhere.
TEST_F(PlacementTest, ASlowProviderIsUsedWhereThereIsNoOther) {
  test_.vault.times.slow_put = test_.vault.times.slow_read = absl::Milliseconds(50);
  const objstore::Fault slow{.times = -1, .latency = absl::Milliseconds(150)};
  test_.stores[1]->Add(slow);
  EXPECT_EQ(test_.StorePack(Begin("a").save).providers, (Names{"p0", "p2"}));
  for (const size_t i : {0, 2}) test_.stores[i]->Add(slow);
  test_.vault.times.patience.healthy = absl::Seconds(5);
  const auto info = test_.Save(catalog_, "b");
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->durability, "fully replicated");
  const auto lease = base::DrawId<base::LeaseId>(base::SystemRandom());
  ASSERT_TRUE(catalog_.Open({}, "b", lease).ok());
  std::vector<uint8_t> out(6);
  const auto read = MakePackSource(&test_.vault, test_.organisation, lease)
                        ->Read({}, test_.last_own.id, 0, out, {});
  EXPECT_TRUE(read.ok()) << read.status();
}

TEST_F(PlacementTest, AFullProviderIsPassedOver) {
  test_.stores[0]->Add(
      {.operation = Operation::kPut, .times = -1, .fail = absl::ResourceExhaustedError("full")});
  const auto info = test_.Save(catalog_, "a");
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(test_.last_own.providers, (Names{"p1", "p2"}));
  EXPECT_TRUE(test_.health.Of("p0").full);
  EXPECT_EQ(GrantedAt(Begin("b")), (Names{"p1", "p2", "p0"}));
}

TEST_F(PlacementTest, AProviderThatKeptOtherBytesIsNotBelieved) {
  SetPolicy(3, 3);
  transfer::CommitRequest commit = Begin("a");
  commit.packs.push_back(test_.StorePack(commit.save));
  const auto key = *objstore::ObjectKey::Parse(PackKey(commit.save, commit.packs[0].id));
  const std::vector<uint8_t> lie(commit.packs[0].bytes, 'x');
  ASSERT_TRUE(test_.memories[1]->Put({}, key, lie, {.create_only = false}).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(catalog_.Commit({}, commit).status()));
  // The same where neither grants nor listings tell the checksum: it is read back.
  ASSERT_TRUE(test_.memories[1]->Delete({}, key).ok());
  const std::vector<uint8_t> good = {'a', ' ', 'p', 'a', 'c', 'k'};
  ASSERT_TRUE(test_.memories[1]->Put({}, key, good, {}).ok());
  EXPECT_TRUE(catalog_.Commit({}, commit).ok());
}

TEST_F(PlacementTest, WhatAProviderLostBeforeTheCommitIsCopiedToAnother) {
  SetPolicy(2, 2);
  for (const bool changed : {false, true}) {
    transfer::CommitRequest commit = Begin(changed ? "changed" : "gone");
    for (int i = 0; i < 3; ++i) commit.packs.push_back(test_.StorePack(commit.save));
    EXPECT_EQ(commit.packs[1].providers, (Names{"p0", "p1"}));
    const auto key = *objstore::ObjectKey::Parse(PackKey(commit.save, commit.packs[1].id));
    const std::vector<uint8_t> other(commit.packs[1].bytes, 'x');
    ASSERT_TRUE(test_.memories[1]->Delete({}, key).ok());
    if (changed) {
      ASSERT_TRUE(test_.memories[1]->Put({}, key, other, {}).ok());
    }
    const auto info = catalog_.Commit({}, commit);
    ASSERT_TRUE(info.ok()) << info.status();
    EXPECT_EQ(info->durability, "fully replicated");
    // Gone, it is written there again; what lies there wrong is for repair.
    EXPECT_TRUE(test_.memories[changed ? 2 : 1]->Head({}, key)->has_value());
    const auto object = test_.metadata->replication().Find(
        metadata::ObjectRef::Pack(test_.organisation, commit.packs[1].id));
    ASSERT_TRUE(object.ok()) << object.status();
    for (const metadata::Shard& shard : object->shards) {
      EXPECT_NE(shard.provider, changed ? "p1" : "p2");
    }
  }
  // With nowhere to copy it to, the commit fails.
  transfer::CommitRequest commit = Begin("nowhere");
  commit.packs.push_back(test_.StorePack(commit.save));
  const auto key = *objstore::ObjectKey::Parse(PackKey(commit.save, commit.packs[0].id));
  ASSERT_TRUE(test_.memories[1]->Delete({}, key).ok());
  test_.providers.Remove("p2");
  test_.stores[1]->Add({.operation = Operation::kPut,
                        .times = -1,
                        .fail = absl::PermissionDeniedError("read only")});
  const absl::Status refused = catalog_.Commit({}, commit).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
}

TEST_F(PlacementTest, TwoOfThreeGoneFailsACommitClearlyAndReadsGoOn) {
  SetPolicy(3, 2);
  ASSERT_TRUE(test_.Save(catalog_, "old").ok());
  const base::PackId pack = test_.last_own.id;
  transfer::CommitRequest commit = Begin("new");
  test_.Darken(0);
  test_.Darken(1);
  EXPECT_FALSE(MakePackSink(&test_.vault, commit.save)
                   ->Put({}, base::DrawId<base::PackId>(base::SystemRandom()), {}, 0)
                   .ok());
  commit.packs.push_back({base::DrawId<base::PackId>(base::SystemRandom()), 6, 1, 1, true, {"p2"}});
  const absl::Status refused = catalog_.Commit({}, commit).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_NE(refused.message().find("failure domains, 2 are wanted"), std::string::npos) << refused;
  EXPECT_TRUE(absl::IsNotFound(catalog_.Find("new").status()));
  const auto lease = base::DrawId<base::LeaseId>(base::SystemRandom());
  ASSERT_TRUE(catalog_.Open({}, "old", lease).ok());
  std::vector<uint8_t> out(6);
  const auto read =
      MakePackSource(&test_.vault, test_.organisation, lease)->Read({}, pack, 0, out, {});
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, "p2");
}

TEST_F(PlacementTest, TwoProvidersInOneDomainAreOneCopy) {
  Provider twin = *test_.providers.Find("p1");
  twin.domain = "d-p0";
  test_.providers.Put(twin);
  ASSERT_TRUE(test_.Save(catalog_, "a").ok());
  EXPECT_EQ(test_.last_own.providers, (Names{"p0", "p2"}));
  // Its neighbour takes over where the first of the domain fails.
  test_.Darken(0);
  ASSERT_TRUE(test_.Save(catalog_, "b").ok());
  EXPECT_EQ(test_.last_own.providers, (Names{"p1", "p2"}));
}

TEST_F(PlacementTest, CollectionGoesOnWithoutADarkProviderAndCatchesUp) {
  SetPolicy(3, 2);
  ASSERT_TRUE(test_.Save(catalog_, "a").ok());
  ASSERT_TRUE(collector_.WriteRecords({}).ok());
  const auto aborted = base::DrawId<base::SaveId>(base::SystemRandom());
  ASSERT_TRUE(catalog_.Begin({}, {aborted, {}, "aborted", false}).ok());
  test_.StorePack(aborted);
  ASSERT_TRUE(catalog_.Abort({}, aborted).ok());
  test_.clock.Advance(test_.vault.times.grant);
  test_.Darken(1);
  ASSERT_TRUE(catalog_.Delete({}, "a").ok());
  test_.vault.times.grace = absl::ZeroDuration();
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(collector_.Round({}).ok());
    test_.clock.Advance(test_.vault.times.sweep_again);
  }
  EXPECT_EQ(test_.Keys(0, "").size(), 0u);
  EXPECT_EQ(test_.Keys(2, "").size(), 0u);
  EXPECT_GT(test_.Keys(1, "").size(), 3u);
  test_.stores[1]->Clear();
  ProbeTimes(2);
  ASSERT_TRUE(collector_.Round({}).ok());
  EXPECT_EQ(test_.Keys(1, "").size(), 0u);
  EXPECT_EQ(test_.metadata->chores().Counts()->size(), 0u);
}

}  // namespace
}  // namespace cedana::replica
