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
#include "storage/replica/testing/test_vault.h"

namespace cedana::replica {
namespace {

using objstore::Operation;

using Names = std::vector<std::string>;

class PlacementTest : public ::testing::Test {
 protected:
  PlacementTest()
      : test_(3), catalog_(&test_.vault, test_.organisation), collector_(&test_.vault) {}

  void SetPolicy(uint32_t copies, uint32_t ack) {
    ASSERT_TRUE(test_.metadata->providers()
                    .SetPolicy(test_.organisation, metadata::Policy{copies, ack})
                    .ok());
  }
  void ProbeTimes(int times) {
    for (int i = 0; i < times; ++i) ProbeAll({}, test_.vault);
  }
  // A save that was begun.
  transfer::CommitRequest Begin(const std::string& path) {
    transfer::CommitRequest commit;
    commit.save = base::DrawId<base::SaveId>(base::SystemRandom());
    commit.checkpoint = base::DrawId<base::CheckpointId>(base::SystemRandom());
    commit.path = path;
    commit.manifest = "manifest";
    EXPECT_TRUE(catalog_.Begin({}, {commit.save, commit.checkpoint, path, false}).ok());
    return commit;
  }
  std::vector<std::string> GrantedAt(const transfer::CommitRequest& commit) {
    const auto grants = catalog_.GrantUploads(
        commit.save, {{base::DrawId<base::PackId>(base::SystemRandom()), 10, 1}});
    EXPECT_TRUE(grants.ok()) << grants.status();
    std::vector<std::string> names;
    for (const PackGrant& grant : *grants) names.push_back(grant.provider->name);
    return names;
  }
  std::string DurabilityOf(const std::string& path) {
    const auto found = catalog_.Find(path);
    return found.ok() ? found->durability : std::string(found.status().message());
  }
  uint64_t PacksInDebt() { return test_.metadata->replication().Summary()->packs; }

  TestVault test_;
  OrgCatalog catalog_;
  Collector collector_;
};

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

// A store whose listings and heads tell no checksum.
class NoChecksums : public objstore::ObjectStore {
 public:
  explicit NoChecksums(ObjectStore* inner) : inner_(inner) {}
  absl::Status Put(const base::Context& context, const objstore::ObjectKey& key,
                   std::span<const uint8_t> bytes, const objstore::PutOptions& options) override {
    return inner_->Put(context, key, bytes, options);
  }
  absl::Status Get(const base::Context& context, const objstore::ObjectKey& key, uint64_t offset,
                   std::optional<uint64_t> length,
                   const std::function<absl::Status(std::span<const uint8_t>)>& sink) override {
    return inner_->Get(context, key, offset, length, sink);
  }
  absl::StatusOr<std::optional<objstore::ObjectInfo>> Head(
      const base::Context& context, const objstore::ObjectKey& key) override {
    auto info = inner_->Head(context, key);
    if (info.ok() && info->has_value()) (*info)->crc32c.reset();
    return info;
  }
  absl::StatusOr<std::vector<objstore::ObjectInfo>> List(const base::Context& context,
                                                         const std::string& prefix,
                                                         const std::string& after,
                                                         size_t limit) override {
    auto list = inner_->List(context, prefix, after, limit);
    if (list.ok()) {
      for (objstore::ObjectInfo& info : *list) info.crc32c.reset();
    }
    return list;
  }
  absl::Status Delete(const base::Context& context, const objstore::ObjectKey& key) override {
    return inner_->Delete(context, key);
  }
  objstore::Capabilities capabilities() const override { return {}; }

 private:
  ObjectStore* const inner_;
};

// From now on p1 says nothing of checksums.
void VouchForNothing(TestVault& test) {
  Provider lax = *test.providers.Find("p1");
  lax.capabilities = {};
  lax.store = std::make_shared<NoChecksums>(test.stores[1].get());
  test.providers.Put(lax);
}

TEST_F(PlacementTest, WhereNobodyTellsTheChecksumThePackIsReadBack) {
  VouchForNothing(test_);
  SetPolicy(3, 3);
  transfer::CommitRequest commit = Begin("a");
  commit.packs.push_back(test_.StorePack(commit.save));
  test_.providers.read_backs().Forget("p1");  // as if a client had uploaded it
  test_.stores[1]->Add({.operation = Operation::kGet, .times = -1, .flip_bit = 3});
  const absl::Status wrong = catalog_.Commit({}, commit).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(wrong)) << wrong;
  test_.stores[1]->Clear();
  EXPECT_TRUE(catalog_.Commit({}, commit).ok());
}

TEST_F(PlacementTest, AReadBackThatTakesTooLongIsRetryableAndGoesOn) {
  constexpr int kPacks = 40;  // of which eight are read at once
  VouchForNothing(test_);
  test_.vault.times.patience.healthy = absl::Milliseconds(300);
  test_.vault.times.patience.read_back = absl::Milliseconds(300);
  SetPolicy(2, 2);
  transfer::CommitRequest commit = Begin("a");
  const auto put = [&](size_t store, const transfer::StoredPack& pack, absl::string_view text) {
    const auto key = *objstore::ObjectKey::Parse(PackKey(commit.save, pack.id));
    EXPECT_TRUE(test_.memories[store]
                    ->Put({}, key, {reinterpret_cast<const uint8_t*>(text.data()), text.size()}, {})
                    .ok());
  };
  for (int i = 0; i < kPacks; ++i) {
    transfer::StoredPack pack;  // as a client uploads it
    pack.id = base::DrawId<base::PackId>(base::SystemRandom());
    pack.bytes = 4;
    pack.crc32c = codec::Crc32c(std::vector<uint8_t>{'p', 'a', 'c', 'k'});
    pack.key_epoch = 1;
    pack.providers = {"p0", "p1"};
    put(0, pack, "pack");
    put(1, pack, "pack");
    commit.packs.push_back(pack);
  }
  test_.stores[1]->Add(
      {.operation = Operation::kGet, .times = -1, .latency = absl::Milliseconds(120)});
  int unavailable = 0;
  absl::Status status;
  for (int attempt = 0; attempt < 10; ++attempt) {
    status = catalog_.Commit({}, commit).status();
    if (!absl::IsUnavailable(status)) break;
    EXPECT_NE(status.message().find("still being read back"), std::string::npos) << status;
    ++unavailable;
  }
  EXPECT_TRUE(status.ok()) << status;
  // 40 packs, two times eight in each attempt.
  EXPECT_GE(unavailable, 2);
  EXPECT_LE(unavailable, 6);
  // One that is wrong ends it clearly as soon as it was read, however many are not read yet.
  SetPolicy(3, 3);
  commit.save = base::DrawId<base::SaveId>(base::SystemRandom());
  commit.checkpoint = base::DrawId<base::CheckpointId>(base::SystemRandom());
  commit.path = "b";
  ASSERT_TRUE(catalog_.Begin({}, {commit.save, commit.checkpoint, commit.path, false}).ok());
  for (int i = 0; i < kPacks; ++i) {
    put(0, commit.packs[i], "pack");
    put(1, commit.packs[i], i == 0 ? "pick" : "pack");
    put(2, commit.packs[i], "pack");
  }
  for (int attempt = 0; attempt < 10; ++attempt) {
    status = catalog_.Commit({}, commit).status();
    if (!absl::IsUnavailable(status)) break;
  }
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_NE(status.message().find("provider p1"), std::string::npos) << status;
}

TEST_F(PlacementTest, WhatCannotBeReadBackInTimeIsCopiedElsewhere) {
  VouchForNothing(test_);
  test_.vault.times.patience.healthy = absl::Milliseconds(300);
  test_.vault.times.patience.read_back = absl::Milliseconds(300);
  SetPolicy(2, 2);
  transfer::CommitRequest commit = Begin("a");
  for (int i = 0; i < 3; ++i) commit.packs.push_back(test_.StorePack(commit.save));
  ASSERT_EQ(commit.packs[0].providers, (Names{"p0", "p1"}));
  test_.providers.read_backs().Forget("p1");  // as if a client had uploaded them
  // One was read while the provider was well.
  ASSERT_TRUE(test_.providers.read_backs()
                  .Check({}, "p1", *test_.stores[1], PackKey(commit.save, commit.packs[0].id),
                         {commit.packs[0].bytes, commit.packs[0].crc32c})
                  .ok());
  test_.stores[1]->Add({.operation = Operation::kGet, .times = -1, .latency = absl::Seconds(5)});
  const auto info = catalog_.Commit({}, commit);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(test_.Keys(2, absl::StrCat(SavePrefix(commit.save), "p-")).size(), 2u);
  // Where there is no other, it is waited for.
  transfer::CommitRequest waits = Begin("b");
  waits.packs.push_back(test_.StorePack(waits.save));
  ASSERT_EQ(waits.packs[0].providers, (Names{"p0", "p1"}));
  test_.providers.read_backs().Forget("p1");
  test_.Darken(2);
  const absl::Status slow = catalog_.Commit({}, waits).status();
  EXPECT_TRUE(absl::IsUnavailable(slow)) << slow;
}

// Its word does not count, but neither does its silence against the dump.
TEST_F(PlacementTest, AProviderThatVouchesForNothingAndGoesDarkIsReplacedOrAwaited) {
  VouchForNothing(test_);
  transfer::CommitRequest commit = Begin("a");
  commit.packs = {test_.StorePack(commit.save), test_.StorePack(commit.save)};
  EXPECT_EQ(commit.packs[1].providers, (Names{"p0", "p1"}));
  test_.providers.read_backs().Forget("p1");  // as if a client had uploaded them
  test_.Darken(1);
  test_.Darken(2);
  const absl::Status awaited = catalog_.Commit({}, commit).status();
  EXPECT_TRUE(absl::IsUnavailable(awaited)) << awaited;
  EXPECT_NE(awaited.message().find("provider p1 has to show it (provider p1: dark)"),
            std::string::npos)
      << awaited;
  // Another one takes a copy.
  test_.stores[2]->Clear();
  ProbeTimes(2);
  auto info = catalog_.Commit({}, commit);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->durability, "fully replicated");
  EXPECT_EQ(test_.Keys(2, absl::StrCat(SavePrefix(commit.save), "p-")).size(), 2u);
  // Even where it still takes what it does not show: whoever just did not answer is not asked.
  commit = Begin("c");
  test_.stores[1]->Clear();
  ProbeTimes(2);
  commit.packs.push_back(test_.StorePack(commit.save));
  EXPECT_EQ(commit.packs[0].providers, (Names{"p0", "p1"}));
  test_.providers.read_backs().Forget("p1");
  test_.stores[1]->Add(
      {.operation = Operation::kList, .times = -1, .fail = absl::UnavailableError("dark")});
  ASSERT_TRUE(catalog_.Commit({}, commit).ok());
  EXPECT_EQ(test_.Keys(2, absl::StrCat(SavePrefix(commit.save), "p-")).size(), 1u);
  // Without any other, it is there again in time.
  commit = Begin("b");
  test_.stores[1]->Clear();
  ProbeTimes(2);
  commit.packs.push_back(test_.StorePack(commit.save));
  EXPECT_EQ(commit.packs[0].providers, (Names{"p0", "p1"}));
  test_.providers.read_backs().Forget("p1");
  test_.Darken(1);
  test_.Darken(2);
  EXPECT_TRUE(absl::IsUnavailable(catalog_.Commit({}, commit).status()));
  test_.stores[1]->Clear();
  info = catalog_.Commit({}, commit);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->durability, "fully replicated");
}

TEST_F(PlacementTest, WhoMayNotListIsNotAwaited) {
  VouchForNothing(test_);
  SetPolicy(3, 3);
  transfer::CommitRequest commit = Begin("a");
  commit.packs.push_back(test_.StorePack(commit.save));
  test_.providers.read_backs().Forget("p1");
  test_.stores[1]->Add({.times = -1, .fail = absl::PermissionDeniedError("revoked")});
  const absl::Status refused = catalog_.Commit({}, commit).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
}

TEST_F(PlacementTest, WhatWasReadAheadCountsWhenItsProviderGoesDark) {
  VouchForNothing(test_);
  transfer::CommitRequest commit = Begin("a");
  commit.packs.push_back(test_.StorePack(commit.save));
  test_.providers.read_backs().Forget("p1");
  EXPECT_EQ(*ReadAheadRound({}, test_.vault), 1u);
  test_.Darken(1);
  test_.Darken(2);
  auto info = catalog_.Commit({}, commit);
  EXPECT_TRUE(absl::IsUnavailable(info.status())) << info.status();  // the manifest has one place
  test_.stores[2]->Clear();
  ProbeTimes(2);
  info = catalog_.Commit({}, commit);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->durability, "durable");
  EXPECT_EQ(PacksInDebt(), 1u);
  EXPECT_EQ(test_.Keys(2, absl::StrCat(SavePrefix(commit.save), "p-")).size(), 0u);
}

TEST_F(PlacementTest, WhatWasReadAheadIsNotReadAtTheCommit) {
  VouchForNothing(test_);
  SetPolicy(2, 2);
  transfer::CommitRequest commit = Begin("a");
  commit.packs.push_back(test_.StorePack(commit.save));
  commit.packs.push_back(test_.StorePack(commit.save));
  test_.providers.read_backs().Forget("p1");  // as if a client had uploaded them
  EXPECT_EQ(*ReadAheadRound({}, test_.vault), 2u);
  EXPECT_EQ(*ReadAheadRound({}, test_.vault), 0u);
  test_.stores[1]->Add(
      {.operation = Operation::kGet, .times = -1, .fail = absl::UnavailableError("read again")});
  const auto info = catalog_.Commit({}, commit);
  EXPECT_TRUE(info.ok()) << info.status();
  // Of a save that has ended nothing is read; a provider that vouches is not asked.
  test_.providers.read_backs().Forget("p1");
  EXPECT_EQ(*ReadAheadRound({}, test_.vault), 0u);
}

TEST_F(PlacementTest, NothingThatLiesThereHoldsUpTheReadingAheadOfOthers) {
  VouchForNothing(test_);
  SetPolicy(2, 2);
  test_.vault.times.read_ahead_save = absl::Milliseconds(200);
  const transfer::CommitRequest slow = Begin("slow");
  const transfer::CommitRequest large = Begin("large");
  const transfer::CommitRequest good = Begin("good");
  for (const auto* commit : {&slow, &good}) test_.StorePack(commit->save);
  test_.providers.read_backs().Forget("p1");
  // Under a grant that binds no size; no pack is so large.
  const std::vector<uint8_t> huge(base::kPackBytesMax + 1);
  const auto pack = base::DrawId<base::PackId>(base::SystemRandom());
  const auto key = objstore::ObjectKey::Parse(PackKey(large.save, pack));
  ASSERT_TRUE(test_.memories[1]->Put({}, *key, huge, {}).ok());
  test_.stores[1]->Add({.operation = Operation::kGet,
                        .prefix = SavePrefix(slow.save),
                        .times = -1,
                        .latency = absl::Seconds(20)});
  const absl::Time begin = absl::Now();
  EXPECT_EQ(*ReadAheadRound({}, test_.vault), 1u);
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
}

TEST_F(PlacementTest, AWrongPackThatWasReadAheadIsRefused) {
  VouchForNothing(test_);
  SetPolicy(3, 3);
  transfer::CommitRequest commit = Begin("a");
  commit.packs.push_back(test_.StorePack(commit.save));
  test_.providers.read_backs().Forget("p1");
  test_.stores[1]->Add({.operation = Operation::kGet, .times = -1, .flip_bit = 3});
  EXPECT_EQ(*ReadAheadRound({}, test_.vault), 1u);
  EXPECT_TRUE(absl::IsFailedPrecondition(catalog_.Commit({}, commit).status()));
}

TEST_F(PlacementTest, WhatTheServiceWroteItselfIsNotReadBack) {
  VouchForNothing(test_);
  test_.stores[1]->Add(
      {.operation = Operation::kGet, .times = -1, .fail = absl::UnavailableError("no reads")});
  const auto info = test_.Save(catalog_, "a");
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->durability, "fully replicated");
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
