// Debts are paid: by the provider that is back, or elsewhere; damage is replaced, an emptied bucket
// filled again, a drained provider left.
#include "storage/replica/repair.h"

#include <gtest/gtest.h>

#include <map>

#include "absl/time/clock.h"
#include "core/base/status.h"
#include "core/base/thread.h"
#include "storage/replica/collector.h"
#include "storage/replica/prober.h"
#include "storage/replica/registry.h"
#include "storage/replica/repair_worker.h"
#include "storage/replica/scrub.h"
#include "storage/replica/testing/test_vault.h"

namespace cedana::replica {
namespace {

using metadata::ObjectRef;
using metadata::ProviderState;
using objstore::Operation;

class RepairTest : public ::testing::Test {
 protected:
  RepairTest()
      : test_(3),
        catalog_(&test_.vault, test_.organisation),
        collector_(&test_.vault),
        registry_(&test_.vault, test_.folder / "providers"),
        repairer_(&test_.vault, {.bytes_per_s = 0}) {}

  void SetPolicy(uint32_t copies, uint32_t ack) {
    ASSERT_TRUE(test_.metadata->providers()
                    .SetPolicy(test_.organisation, metadata::Policy{copies, ack})
                    .ok());
  }
  void Save(const std::string& path) {
    const auto info = test_.Save(catalog_, path);
    ASSERT_TRUE(info.ok()) << info.status();
    pack_ = test_.last_own.id;
    key_ = PackKey(test_.metadata->checkpoints().Find(test_.organisation, path)->save, pack_);
  }
  uint64_t Round() {
    const auto paid = repairer_.Round({});
    EXPECT_TRUE(paid.ok()) << paid.status();
    return paid.value_or(0);
  }
  void BackAgain(size_t provider) {
    test_.stores[provider]->Clear();
    for (int i = 0; i < 2; ++i) ProbeAll({}, test_.vault);
    ASSERT_TRUE(test_.metadata->replication().MakeDue().ok());
  }
  void Empty(size_t provider) {
    for (const std::string& key : test_.Keys(provider, "")) {
      ASSERT_TRUE(test_.memories[provider]->Delete({}, *objstore::ObjectKey::Parse(key)).ok());
    }
  }
  void Overwrite(size_t provider, const std::string& text) {
    const std::vector<uint8_t> bytes(text.begin(), text.end());
    ASSERT_TRUE(test_.memories[provider]
                    ->Put({}, *objstore::ObjectKey::Parse(key_), bytes, {.create_only = false})
                    .ok());
  }
  std::string BytesAt(size_t provider) {
    return ReadObject({}, *test_.memories[provider], key_, 1000).value_or("none");
  }
  std::string DurabilityOf(const std::string& path) {
    const auto found = catalog_.Find(path);
    return found.ok() ? found->durability : std::string(found.status().message());
  }
  uint64_t Owed() {
    const auto summary = test_.metadata->replication().Summary();
    return summary->packs + summary->manifests;
  }
  DamageVerdict Inspect(const std::string& provider) {
    const auto verdict =
        repairer_.Inspect({}, ObjectRef::Pack(test_.organisation, pack_), provider);
    EXPECT_TRUE(verdict.ok()) << verdict.status();
    return verdict.value_or(DamageVerdict::kUnreachable);
  }

  TestVault test_;
  OrgCatalog catalog_;
  Collector collector_;
  ProviderRegistry registry_;
  Repairer repairer_;
  base::PackId pack_;
  std::string key_;
};

TEST_F(RepairTest, TheDebtOfADarkProviderIsPaidWhenItIsBack) {
  SetPolicy(3, 2);
  test_.Darken(1);
  Save("a");
  EXPECT_EQ(DurabilityOf("a"), "durable");
  EXPECT_EQ(Round(), 0u);
  EXPECT_EQ(repairer_.counts().postponed, 2u);  // a pack and a manifest
  EXPECT_EQ(Round(), 0u);                       // they wait
  EXPECT_EQ(repairer_.counts().postponed, 2u);
  test_.clock.Advance(repairer_.options().retry);
  EXPECT_EQ(Round(), 0u);
  EXPECT_EQ(repairer_.counts().postponed, 4u);
  BackAgain(1);
  EXPECT_EQ(*repairer_.Round({}, absl::ZeroDuration()), 0u);  // no time for it
  EXPECT_EQ(Round(), 2u);
  EXPECT_EQ(DurabilityOf("a"), "fully replicated");
  EXPECT_EQ(BytesAt(1), "a pack");
  EXPECT_EQ(repairer_.counts().written_bytes, 6u + 8u);
}

TEST_F(RepairTest, ThreeCopiesSurviveTheLossOfAnyTwoProviders) {
  SetPolicy(3, 2);
  transfer::CommitRequest commit;
  commit.save = base::DrawId<base::SaveId>(base::SystemRandom());
  commit.checkpoint = base::DrawId<base::CheckpointId>(base::SystemRandom());
  commit.path = "a";
  commit.manifest = "manifest";
  ASSERT_TRUE(catalog_.Begin({}, {commit.save, commit.checkpoint, "a", false}).ok());
  commit.packs = {test_.StorePack(commit.save)};
  // All have the pack, but the manifest does not reach the third.
  test_.stores[2]->Add(
      {.operation = Operation::kPut, .times = -1, .fail = absl::UnavailableError("dark")});
  ASSERT_TRUE(catalog_.Commit({}, commit).ok());
  EXPECT_EQ(DurabilityOf("a"), "durable");
  BackAgain(2);
  EXPECT_EQ(Round(), 1u);
  EXPECT_EQ(DurabilityOf("a"), "fully replicated");
  for (size_t left = 0; left < 3; ++left) {
    for (size_t gone = 0; gone < 3; ++gone) {
      test_.stores[gone]->Clear();
      if (gone != left) test_.Darken(gone);
    }
    const auto lease = base::DrawId<base::LeaseId>(base::SystemRandom());
    const auto opened = catalog_.Open({}, "a", lease);
    ASSERT_TRUE(opened.ok()) << left << ": " << opened.status();
    EXPECT_EQ(opened->manifest, "manifest");
    std::vector<uint8_t> out(6);
    const auto read = MakePackSource(&test_.vault, test_.organisation, lease)
                          ->Read({}, commit.packs[0].id, 0, out, {});
    EXPECT_TRUE(read.ok()) << left << ": " << read.status();
  }
}

TEST_F(RepairTest, WhatWasOnlyAcknowledgedIsLookedAtOnce) {
  transfer::CommitRequest commit;
  commit.save = base::DrawId<base::SaveId>(base::SystemRandom());
  commit.checkpoint = base::DrawId<base::CheckpointId>(base::SystemRandom());
  commit.path = "a";
  commit.manifest = "manifest";
  ASSERT_TRUE(catalog_.Begin({}, {commit.save, commit.checkpoint, "a", false}).ok());
  commit.packs = {test_.StorePack(commit.save), test_.StorePack(commit.save)};
  test_.Darken(1);
  ASSERT_TRUE(catalog_.Commit({}, commit).ok());
  EXPECT_EQ(Owed(), 2u);
  // They can be read in one place for certain: a third provider takes them at once, and what the
  // dark one holds stays to be looked at.
  EXPECT_EQ(Round(), 0u);
  EXPECT_EQ(repairer_.counts().written_shards, 2u);
  EXPECT_EQ(Owed(), 2u);
  // One is there, the other was a lie.
  key_ = PackKey(commit.save, commit.packs[1].id);
  ASSERT_TRUE(test_.memories[1]->Delete({}, *objstore::ObjectKey::Parse(key_)).ok());
  BackAgain(1);
  EXPECT_EQ(Round(), 2u);
  EXPECT_EQ(repairer_.counts().written_shards, 2u);
  EXPECT_EQ(DurabilityOf("a"), "fully replicated");
}

TEST_F(RepairTest, ALostProviderIsReplacedByAFourth) {
  Save("a");
  ASSERT_TRUE(registry_.Remove("p1", /*lost=*/true).ok());
  EXPECT_EQ(test_.providers.Find("p1"), nullptr);
  EXPECT_EQ(DurabilityOf("a"), "endangered");
  test_.Darken(2);
  for (int i = 0; i < 3; ++i) ProbeAll({}, test_.vault);
  EXPECT_EQ(Round(), 0u);
  test_.AddProvider();  // p3
  ASSERT_TRUE(test_.metadata->replication().MakeDue().ok());
  EXPECT_EQ(Round(), 1u);  // its manifest was everywhere anyhow
  EXPECT_EQ(BytesAt(3), "a pack");
  EXPECT_EQ(DurabilityOf("a"), "fully replicated");
}

TEST_F(RepairTest, ADrainedProviderIsLeftOnceAllIsElsewhere) {
  Save("a");
  ASSERT_TRUE(registry_.Remove("p1", /*lost=*/false).ok());
  EXPECT_EQ(DurabilityOf("a"), "durable");
  ASSERT_TRUE(repairer_.Drain({}, &registry_).ok());
  EXPECT_EQ(BytesAt(1), "a pack");
  EXPECT_EQ(Round(), 1u);
  EXPECT_EQ(BytesAt(2), "a pack");
  EXPECT_EQ(DurabilityOf("a"), "fully replicated");
  ASSERT_TRUE(repairer_.Drain({}, &registry_).ok());
  EXPECT_NE(test_.providers.Find("p1"), nullptr);  // it has objects to delete
  ASSERT_TRUE(collector_.DoChores({}).ok());
  EXPECT_EQ(test_.Keys(1, "s/").size(), 0u);
  ASSERT_TRUE(repairer_.Drain({}, &registry_).ok());
  EXPECT_EQ(test_.providers.Find("p1"), nullptr);
  EXPECT_EQ(DurabilityOf("a"), "fully replicated");
}

TEST_F(RepairTest, ADamagedShardIsFoundReplacedAndNeverTheOnlyCopyDeleted) {
  Save("a");
  EXPECT_EQ(Inspect("p0"), DamageVerdict::kSound);
  EXPECT_EQ(Inspect("p2"), DamageVerdict::kMissing);  // was never there
  EXPECT_EQ(Owed(), 0u);
  Overwrite(1, "b pack");
  EXPECT_EQ(Inspect("p1"), DamageVerdict::kDamaged);
  EXPECT_EQ(repairer_.counts().damaged_shards, 1u);
  EXPECT_EQ(DurabilityOf("a"), "endangered");
  // It is not granted for reads any more.
  const auto lease = base::DrawId<base::LeaseId>(base::SystemRandom());
  ASSERT_TRUE(catalog_.Open({}, "a", lease).ok());
  EXPECT_EQ(catalog_.GrantReads(lease, {pack_})->size(), 1u);
  // While no good copy can be read, the bad one stays.
  test_.stores[0]->Add(
      {.operation = Operation::kGet, .times = -1, .fail = absl::UnavailableError("dark")});
  EXPECT_EQ(Round(), 0u);
  EXPECT_EQ(BytesAt(1), "b pack");
  BackAgain(0);
  EXPECT_EQ(Round(), 1u);
  EXPECT_EQ(BytesAt(1), "a pack");
  EXPECT_EQ(DurabilityOf("a"), "fully replicated");
}

TEST_F(RepairTest, AMarkOfDamageNeverCostsTheLastCopy) {
  Save("a");
  const ObjectRef ref = ObjectRef::Pack(test_.organisation, pack_);
  // Wrongly marked, while its twin is lost.
  ASSERT_TRUE(
      test_.metadata->replication().SetShard(ref, "p1", metadata::ShardState::kDamaged).ok());
  ASSERT_TRUE(registry_.Remove("p0", /*lost=*/true).ok());
  EXPECT_EQ(DurabilityOf("a"), "lost");
  EXPECT_EQ(Inspect("p1"), DamageVerdict::kDamaged);
  EXPECT_EQ(Round(), 1u);
  EXPECT_EQ(BytesAt(2), "a pack");
  EXPECT_EQ(DurabilityOf("a"), "fully replicated");
  EXPECT_EQ(repairer_.counts().damaged_shards, 0u);
  // One that is damaged indeed stays where it is, and is not read all the time.
  ASSERT_TRUE(registry_.Remove("p2", /*lost=*/true).ok());
  Overwrite(1, "b pack");
  test_.clock.Advance(absl::Minutes(1));
  EXPECT_EQ(Inspect("p1"), DamageVerdict::kDamaged);
  const int before = test_.stores[1]->operations();
  EXPECT_EQ(Round(), 0u);
  EXPECT_EQ(test_.stores[1]->operations(), before);
  test_.clock.Advance(absl::Minutes(10));
  EXPECT_EQ(Round(), 0u);
  EXPECT_GT(test_.stores[1]->operations(), before);
  EXPECT_EQ(BytesAt(1), "b pack");
  EXPECT_EQ(repairer_.counts().damaged_shards, 1u);
  // An operator has put it right.
  Overwrite(1, "a pack");
  test_.AddProvider();  // p3
  test_.clock.Advance(absl::Minutes(10));
  EXPECT_EQ(Round(), 2u);  // the manifest as well
  EXPECT_EQ(BytesAt(3), "a pack");
  EXPECT_EQ(DurabilityOf("a"), "fully replicated");
}

TEST_F(RepairTest, ASecondReportWithinAMinuteIsAnsweredFromMemory) {
  Save("a");
  const int before = test_.stores[0]->operations();
  EXPECT_EQ(Inspect("p0"), DamageVerdict::kSound);
  const int after = test_.stores[0]->operations();
  EXPECT_GT(after, before);
  EXPECT_EQ(Inspect("p0"), DamageVerdict::kSound);
  EXPECT_EQ(test_.stores[0]->operations(), after);
  test_.clock.Advance(absl::Minutes(1));
  test_.stores[0]->Add({.operation = Operation::kGet, .fail = absl::UnavailableError("dark")});
  EXPECT_EQ(Inspect("p0"), DamageVerdict::kUnreachable);
  EXPECT_EQ(Owed(), 0u);
}

TEST_F(RepairTest, ASourceThatLiesIsNotCopied) {
  SetPolicy(3, 2);
  test_.Darken(2);
  Save("a");
  Overwrite(0, "c pack");
  BackAgain(2);
  EXPECT_EQ(Round(), 2u);
  for (size_t provider = 0; provider < 3; ++provider) EXPECT_EQ(BytesAt(provider), "a pack");
  EXPECT_EQ(repairer_.counts().damaged_shards, 1u);
}

TEST_F(RepairTest, AnEmptiedBucketIsFilledAgain) {
  Save("a");
  Save("b");
  ASSERT_TRUE(collector_.WriteRecords({}).ok());
  test_.clock.Advance(absl::Seconds(1));
  Empty(0);
  // The probe misses the organisation's key, and the listing tells the rest.
  EXPECT_EQ(ProbeAll({}, test_.vault)[0], "p0");
  const auto counts = ScrubProvider({}, test_.vault, *test_.providers.Find("p0"), {});
  ASSERT_TRUE(counts.ok()) << counts.status();
  EXPECT_EQ(counts->missing, 4u);
  EXPECT_EQ(counts->records, 2u);
  EXPECT_EQ(repairer_.counts().missing_shards, 4u);
  EXPECT_EQ(DurabilityOf("a"), "endangered");
  EXPECT_EQ(Round(), 2u);  // the manifests are in two other domains
  ASSERT_TRUE(collector_.DoChores({}).ok());
  EXPECT_EQ(test_.Keys(0, "s/").size(), 2u);
  EXPECT_EQ(test_.Keys(0, "c/").size(), 2u);
  EXPECT_EQ(test_.Keys(0, "k/").size(), 1u);
  for (const char* path : {"a", "b"}) EXPECT_EQ(DurabilityOf(path), "fully replicated");
  const auto again = ScrubProvider({}, test_.vault, *test_.providers.Find("p0"), {});
  EXPECT_EQ(again->missing + again->records + again->damaged, 0u);
}

// A folder that was not mounted, for instance.
TEST_F(RepairTest, WhatWasMissedAndIsBackIsFoundAgain) {
  SetPolicy(1, 1);
  for (size_t provider : {1, 2}) {
    test_.stores[provider]->Add(
        {.operation = Operation::kPut, .times = -1, .fail = absl::UnavailableError("dark")});
  }
  Save("a");
  for (size_t provider : {1, 2}) test_.stores[provider]->Clear();
  std::map<std::string, std::string> bytes;
  for (const std::string& key : test_.Keys(0, "s/")) {
    bytes[key] = *ReadObject({}, *test_.memories[0], key, 1000);
  }
  ASSERT_EQ(bytes.size(), 2u);
  test_.clock.Advance(absl::Seconds(1));
  Empty(0);
  const Provider& provider = *test_.providers.Find("p0");
  EXPECT_EQ(ScrubProvider({}, test_.vault, provider, {})->missing, 2u);
  EXPECT_EQ(DurabilityOf("a"), "lost");
  EXPECT_EQ(Round(), 0u);
  for (const auto& [key, text] : bytes) {
    const std::vector<uint8_t> back(text.begin(), text.end());
    ASSERT_TRUE(test_.memories[0]->Put({}, *objstore::ObjectKey::Parse(key), back, {}).ok());
  }
  // One that is to be deleted there is not.
  const metadata::Chore deletion{"p0", key_, metadata::ChoreKind::kDelete, 0};
  ASSERT_TRUE(test_.metadata->chores().Add({deletion}).ok());
  EXPECT_EQ(ScrubProvider({}, test_.vault, provider, {})->found, 1u);
  ASSERT_TRUE(test_.metadata->chores().Done(deletion).ok());
  EXPECT_EQ(ScrubProvider({}, test_.vault, provider, {})->found, 1u);
  EXPECT_EQ(ScrubProvider({}, test_.vault, provider, {})->found, 0u);
  ASSERT_TRUE(test_.metadata->replication().MakeDue().ok());
  EXPECT_EQ(Round(), 2u);
  EXPECT_EQ(DurabilityOf("a"), "fully replicated");
  EXPECT_EQ(BytesAt(0), "a pack");
}

TEST_F(RepairTest, AScrubFindsWrongSizesAndDeletesOldStraysOnly) {
  Save("a");
  Overwrite(1, "longer than it was");
  // A stray of a save that nobody knows, and a fresh upload of one that lives.
  const auto gone = base::DrawId<base::SaveId>(base::SystemRandom());
  const auto living = base::DrawId<base::SaveId>(base::SystemRandom());
  const auto pack = base::DrawId<base::PackId>(base::SystemRandom());
  const std::vector<uint8_t> bytes(3, 1);
  for (const auto& save : {gone, living}) {
    const auto key = *objstore::ObjectKey::Parse(PackKey(save, pack));
    ASSERT_TRUE(test_.memories[1]->Put({}, key, bytes, {}).ok());
  }
  test_.clock.Advance(absl::Milliseconds(1));
  auto counts = ScrubProvider({}, test_.vault, *test_.providers.Find("p1"), {});
  ASSERT_TRUE(counts.ok()) << counts.status();
  EXPECT_EQ(counts->damaged, 1u);
  EXPECT_EQ(repairer_.counts().damaged_shards, 1u);
  EXPECT_EQ(counts->strays, 0u);  // too young
  EXPECT_EQ(Round(), 1u);
  EXPECT_EQ(BytesAt(1), "a pack");
  test_.clock.Advance(absl::Hours(25));
  ASSERT_TRUE(catalog_.Begin({}, {living, {}, "living", false}).ok());
  counts = ScrubProvider({}, test_.vault, *test_.providers.Find("p1"), {});
  EXPECT_EQ(counts->strays, 1u);
  EXPECT_EQ(test_.Keys(1, SavePrefix(gone)).size(), 0u);
  EXPECT_EQ(test_.Keys(1, SavePrefix(living)).size(), 1u);
  EXPECT_EQ(BytesAt(1), "a pack");
}

TEST_F(RepairTest, ABucketThatIsGoneIsDarkAndNotEmpty) {
  Save("a");
  const absl::Status gone = absl::NotFoundError("no such bucket");
  for (const Operation operation : {Operation::kList, Operation::kPut, Operation::kGet}) {
    test_.stores[1]->Add({.operation = operation, .times = -1, .fail = gone});
  }
  Empty(1);
  for (int i = 0; i < 3; ++i) ProbeAll({}, test_.vault);
  EXPECT_FALSE(test_.health.Healthy("p1"));
  EXPECT_FALSE(ScrubProvider({}, test_.vault, *test_.providers.Find("p1"), {}).ok());
  EXPECT_EQ(Owed(), 0u);
}

TEST_F(RepairTest, ADamagedManifestIsReplacedAfterAReader) {
  Save("a");
  const auto row = test_.metadata->checkpoints().Find(test_.organisation, "a");
  key_ = ManifestKey(row->save, row->id);
  Overwrite(0, "manifesto");
  const auto lease = base::DrawId<base::LeaseId>(base::SystemRandom());
  EXPECT_EQ(catalog_.Open({}, "a", lease)->manifest, "manifest");
  EXPECT_EQ(repairer_.counts().damaged_shards, 1u);
  EXPECT_EQ(Owed(), 1u);
  EXPECT_EQ(Round(), 1u);
  EXPECT_EQ(BytesAt(0), "none");  // there are two good ones elsewhere
  Empty(1);
  Overwrite(2, "manifesto");
  EXPECT_TRUE(absl::IsDataLoss(catalog_.Open({}, "a", base::LeaseId()).status()));
  EXPECT_EQ(DurabilityOf("a"), "lost");
  EXPECT_EQ(Round(), 0u);
}

TEST_F(RepairTest, NothingIsReadWhileThereIsNowhereToWriteIt) {
  SetPolicy(3, 2);
  test_.Darken(1);
  for (int i = 0; i < 3; ++i) ProbeAll({}, test_.vault);
  Save("a");
  const int before = test_.stores[0]->operations() + test_.stores[2]->operations();
  EXPECT_EQ(Round(), 0u);
  EXPECT_EQ(repairer_.counts().postponed, 2u);  // pack and manifest
  EXPECT_EQ(test_.stores[0]->operations() + test_.stores[2]->operations(), before);
}

TEST_F(RepairTest, ASlowCopyHasTimeEnough) {
  // A pack of 32 MiB at 100 kB/s.
  EXPECT_GT(TransferTime(32u << 20), absl::Seconds(336));
  Save("a");
  ASSERT_TRUE(registry_.Remove("p1", /*lost=*/true).ok());
  test_.stores[0]->Add({.operation = Operation::kGet, .latency = absl::Milliseconds(400)});
  Repairer slow(&test_.vault, {.bytes_per_s = 0, .claim = absl::Milliseconds(150)});
  base::Thread round("round", [&] { EXPECT_EQ(*slow.Round({}), 1u); });
  // Meanwhile its claim goes on, and nobody else takes it.
  for (int i = 0; i < 3; ++i) {
    absl::SleepFor(absl::Milliseconds(100));
    test_.clock.Advance(absl::Milliseconds(100));
    EXPECT_EQ(Round(), 0u);
  }
  round.Join();
  EXPECT_EQ(repairer_.counts().paid + repairer_.counts().postponed, 0u);
  EXPECT_EQ(BytesAt(2), "a pack");
}

// The deadlines with which a store is asked.
class Watched : public objstore::ObjectStore {
 public:
  explicit Watched(ObjectStore* inner) : inner_(inner) {}
  absl::Status Put(const base::Context& context, const objstore::ObjectKey& key,
                   std::span<const uint8_t> bytes, const objstore::PutOptions& options) override {
    if (bytes.size() > 1000) least = std::min(least, context.Remaining());
    return inner_->Put(context, key, bytes, options);
  }
  absl::Status Get(const base::Context& context, const objstore::ObjectKey& key, uint64_t offset,
                   std::optional<uint64_t> length,
                   const std::function<absl::Status(std::span<const uint8_t>)>& sink) override {
    least = std::min(least, context.Remaining());
    return inner_->Get(context, key, offset, length, sink);
  }
  absl::StatusOr<std::optional<objstore::ObjectInfo>> Head(
      const base::Context& context, const objstore::ObjectKey& key) override {
    return inner_->Head(context, key);
  }
  absl::StatusOr<std::vector<objstore::ObjectInfo>> List(const base::Context& context,
                                                         const std::string& prefix,
                                                         const std::string& after,
                                                         size_t limit) override {
    return inner_->List(context, prefix, after, limit);
  }
  absl::Status Delete(const base::Context& context, const objstore::ObjectKey& key) override {
    return inner_->Delete(context, key);
  }
  objstore::Capabilities capabilities() const override { return inner_->capabilities(); }

  absl::Duration least = absl::InfiniteDuration();

 private:
  ObjectStore* const inner_;
};

TEST_F(RepairTest, ALargePackIsReadAndWrittenHoweverSlowly) {
  transfer::CommitRequest commit;
  commit.save = base::DrawId<base::SaveId>(base::SystemRandom());
  commit.checkpoint = base::DrawId<base::CheckpointId>(base::SystemRandom());
  commit.path = "a";
  commit.manifest = "manifest";
  ASSERT_TRUE(catalog_.Begin({}, {commit.save, commit.checkpoint, "a", false}).ok());
  commit.packs = {test_.StorePack(commit.save, std::string(32u << 20, 'x'))};
  ASSERT_TRUE(catalog_.Commit({}, commit).ok());
  ASSERT_TRUE(registry_.Remove("p1", /*lost=*/true).ok());
  for (const char* name : {"p0", "p2"}) {
    Provider provider = *test_.providers.Find(name);
    provider.store = std::make_shared<Watched>(provider.store.get());
    test_.providers.Put(provider);
  }
  EXPECT_EQ(Round(), 1u);
  for (const char* name : {"p0", "p2"}) {
    const auto store = test_.providers.Find(name)->store;
    const absl::Duration least = static_cast<const Watched&>(*store).least;
    EXPECT_GT(least, absl::Seconds(400)) << name;
    EXPECT_LT(least, absl::Hours(1)) << name;
  }
}

TEST_F(RepairTest, AProviderThatAsksToSlowDownIsLeftAloneByAllRepair) {
  SetPolicy(3, 2);
  test_.Darken(1);
  for (const char* path : {"a", "b", "c"}) Save(path);
  BackAgain(1);
  Repairer one(&test_.vault, {.bytes_per_s = 0, .parallel = 1});
  test_.stores[1]->Add(
      {.operation = Operation::kPut,
       .fail = base::WithRetryAfter(absl::UnavailableError("SlowDown"), absl::Minutes(2))});
  const int before = test_.stores[1]->operations();
  EXPECT_EQ(*one.Round({}), 0u);
  EXPECT_EQ(one.counts().postponed, 6u);                 // three packs and three manifests
  EXPECT_EQ(test_.stores[1]->operations(), before + 1);  // the first has heard it for all
  EXPECT_TRUE(test_.health.Healthy("p1"));
  ProbeAll({}, test_.vault);
  EXPECT_EQ(test_.stores[1]->operations(), before + 1);
  test_.clock.Advance(absl::Minutes(2) - absl::Milliseconds(1));
  EXPECT_EQ(*one.Round({}), 0u);
  EXPECT_EQ(one.counts().postponed, 6u);  // nothing was due
  test_.clock.Advance(absl::Milliseconds(1));
  EXPECT_EQ(*one.Round({}), 6u);
}

TEST_F(RepairTest, AThrottlingSourceIsNotRead) {
  Save("a");
  ASSERT_TRUE(registry_.Remove("p1", /*lost=*/true).ok());
  test_.health.Record("p0",
                      base::WithRetryAfter(absl::UnavailableError("SlowDown"), absl::Minutes(2)));
  const int before = test_.stores[0]->operations();
  EXPECT_EQ(Round(), 0u);
  EXPECT_EQ(test_.stores[0]->operations(), before);
  EXPECT_EQ(repairer_.counts().damaged_shards + repairer_.counts().missing_shards, 0u);
  test_.clock.Advance(absl::Minutes(2));
  EXPECT_EQ(Round(), 1u);
}

TEST_F(RepairTest, TheRateIsBounded) {
  SetPolicy(3, 2);
  test_.Darken(1);
  for (const char* path : {"a", "b", "c"}) Save(path);
  BackAgain(1);
  // Packs of six bytes, and manifests: the second is read 0.02 s after the first, and written 0.02
  // s after that, the third …
  Repairer slow(&test_.vault, {.bytes_per_s = 300, .parallel = 1});
  const absl::Time started = absl::Now();
  EXPECT_EQ(*slow.Round({}), 6u);
  EXPECT_GE(absl::Now() - started, absl::Milliseconds(200));
  // Whoever waits for its turn ends with its context.
  Pace pace(&base::SystemClock(), 1000);
  EXPECT_TRUE(pace.Take({}, 100).ok());
  EXPECT_FALSE(pace.Take(base::Context{}.WithTimeout(absl::Milliseconds(10)), 100).ok());
}

TEST_F(RepairTest, TheWorkersDoAllOfItByThemselves) {
  SetPolicy(3, 2);
  test_.Darken(1);
  Save("a");
  const Prober prober(&test_.vault, &registry_, &repairer_);
  const RepairWorker worker(&test_.vault, &repairer_, &registry_);
  test_.stores[1]->Clear();
  const absl::Time give_up = absl::Now() + absl::Seconds(20);
  while (DurabilityOf("a") != "fully replicated" && absl::Now() < give_up) {
    absl::SleepFor(absl::Milliseconds(50));
    test_.clock.Advance(absl::Seconds(1));
  }
  EXPECT_EQ(DurabilityOf("a"), "fully replicated");
}

TEST_F(RepairTest, WhatCannotBeComparedIsNotDeleted) {
  SetPolicy(2, 2);
  Save("a");
  const ObjectRef ref = ObjectRef::Pack(test_.organisation, pack_);
  ASSERT_TRUE(test_.metadata->replication().DropShard(ref, "p1").ok());
  test_.Darken(2);
  for (int i = 0; i < 3; ++i) ProbeAll({}, test_.vault);
  const auto fail = [&](Operation operation, int times) {
    test_.stores[1]->Add({.operation = operation,
                          .prefix = key_,
                          .times = times,
                          .fail = absl::UnavailableError("just now")});
  };
  fail(Operation::kGet, 1);
  fail(Operation::kDelete, -1);
  EXPECT_EQ(Round(), 0u);
  EXPECT_EQ(test_.stores[1]->hits(), 1);  // the look
  EXPECT_EQ(test_.Keys(1, key_).size(), 1u);
  ASSERT_TRUE(test_.metadata->replication().MakeDue().ok());
  EXPECT_EQ(Round(), 1u);
}

}  // namespace
}  // namespace cedana::replica
