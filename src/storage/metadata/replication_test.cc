// Providers, policies and debt, as the catalog alone judges them.
#include "storage/metadata/replication.h"

#include <gtest/gtest.h>

#include "core/sqlite/database.h"
#include "storage/metadata/schema.h"
#include "storage/metadata/testing/fake_catalog.h"

namespace cedana::metadata {
namespace {

class ReplicationTest : public CatalogTest {
 protected:
  void AddProviders(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      ASSERT_TRUE(metadata_->providers().Add(name, "file:///" + name, "d-" + name).ok());
    }
  }
  static CommittedPack PackAt(const std::vector<std::string>& seen,
                              const std::vector<std::string>& acknowledged = {}) {
    CommittedPack pack = OwnPack();
    pack.providers = seen;
    pack.acknowledged = acknowledged;
    return pack;
  }
  // A save whose manifest is at `manifest_at`.
  absl::StatusOr<Checkpoint> TrySave(const std::string& path, std::vector<CommittedPack> packs,
                                     std::vector<std::string> manifest_at) {
    const NewSave save = Want(path);
    EXPECT_TRUE(metadata_->saves().Begin(org_, save).ok());
    NewCheckpoint wanted = ToCommit(save, path, std::move(packs));
    wanted.row.manifest_providers = std::move(manifest_at);
    return metadata_->saves().Commit(org_, wanted);
  }
  std::string DurabilityOf(const std::string& path) {
    const auto found = metadata_->checkpoints().Find(org_, path);
    return found.ok() ? found->durability : std::string(found.status().message());
  }
  DebtSummary Summary() { return *metadata_->replication().Summary(); }
  std::vector<Debt> Claim(int limit = 10) {
    return *metadata_->replication().Claim("w", limit, absl::Seconds(30));
  }
  ObjectRef Pack(const CommittedPack& pack) const { return ObjectRef::Pack(org_, pack.id); }
};

TEST_F(ReplicationTest, TheDefaultPolicyIsTwoCopiesWhereThereAreTwoDomains) {
  EXPECT_EQ(metadata_->providers().PolicyOf(org_)->copies, 0u);
  AddProviders({"a"});
  EXPECT_EQ(*metadata_->providers().PolicyOf(org_), (Policy{1, 1, false}));
  ASSERT_TRUE(metadata_->providers().Add("a2", "file:///a2", "d-a").ok());
  EXPECT_EQ(*metadata_->providers().PolicyOf(org_), (Policy{1, 1, false}));
  AddProviders({"b", "c"});
  EXPECT_EQ(*metadata_->providers().PolicyOf(org_), (Policy{2, 2, false}));
  ASSERT_TRUE(metadata_->providers().SetPolicy(org_, Policy{3, 2}).ok());
  EXPECT_EQ(*metadata_->providers().PolicyOf(org_), (Policy{3, 2, true}));
  EXPECT_EQ(*metadata_->providers().PolicyOf(other_), (Policy{2, 2, false}));
  ASSERT_TRUE(metadata_->providers().SetPolicy(org_, std::nullopt).ok());
  EXPECT_EQ(*metadata_->providers().PolicyOf(org_), (Policy{2, 2, false}));
}

TEST_F(ReplicationTest, ACommitWantsAckInDifferentDomainsAndOwesTheRest) {
  AddProviders({"a", "b", "c"});
  ASSERT_TRUE(metadata_->providers().Add("b2", "file:///b2", "d-b").ok());
  ASSERT_TRUE(metadata_->providers().SetPolicy(org_, Policy{3, 2}).ok());
  const absl::Status one = TrySave("one", {PackAt({"b", "b2"})}, {"a", "b"}).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(one)) << one;
  EXPECT_TRUE(absl::IsFailedPrecondition(TrySave("m", {PackAt({"a", "b"})}, {"a"}).status()));
  EXPECT_EQ(Summary().packs, 0u);  // a commit that failed owes nothing

  const CommittedPack pack = PackAt({"a", "b"});
  const auto durable = TrySave("durable", {pack}, {"a", "b"});
  ASSERT_TRUE(durable.ok()) << durable.status();
  EXPECT_EQ(durable->durability, "durable");
  EXPECT_EQ(Summary().packs, 1u);
  EXPECT_EQ(Summary().manifests, 1u);
  EXPECT_EQ(Summary().bytes, pack.bytes);
  ASSERT_TRUE(metadata_->replication().SetShard(Pack(pack), "c", ShardState::kLive).ok());
  EXPECT_EQ(Summary().packs, 0u);
  EXPECT_EQ(DurabilityOf("durable"), "durable");  // its manifest is in two places only
  const ObjectRef manifest = ObjectRef::Manifest(org_, durable->id);
  EXPECT_EQ(metadata_->replication().Find(manifest)->copies, 3u);
  ASSERT_TRUE(metadata_->replication().SetShard(manifest, "c", ShardState::kLive).ok());
  EXPECT_EQ(DurabilityOf("durable"), "fully replicated");
  EXPECT_EQ(Summary().manifests, 0u);
  const CommittedPack everywhere = PackAt({"a", "b", "c"});
  EXPECT_EQ(TrySave("full", {everywhere}, {"a", "b", "c"})->durability, "fully replicated");
  // As many acknowledge a manifest as a pack.
  ASSERT_TRUE(metadata_->providers().SetPolicy(org_, Policy{3, 3}).ok());
  const CommittedPack all = PackAt({"a", "b", "c"});
  EXPECT_TRUE(absl::IsFailedPrecondition(TrySave("ack", {all}, {"a", "b"}).status()));
}

TEST_F(ReplicationTest, EndangeredIsWhatFewerDomainsHaveThanAck) {
  AddProviders({"a", "b", "c"});
  const auto after_losing_one = [&](uint32_t copies, uint32_t ack, const std::string& path,
                                    std::vector<std::string> at) {
    EXPECT_TRUE(metadata_->providers().SetPolicy(org_, Policy{copies, ack}).ok());
    const CommittedPack pack = PackAt(at);
    EXPECT_TRUE(TrySave(path, {pack}, {"a", "b", "c"}).ok());
    EXPECT_TRUE(metadata_->replication().SetShard(Pack(pack), "a", ShardState::kDamaged).ok());
    return DurabilityOf(path);
  };
  EXPECT_EQ(after_losing_one(2, 1, "one left of ack 1", {"a", "b"}), "durable");
  EXPECT_EQ(Summary().endangered, 0u);
  EXPECT_EQ(after_losing_one(3, 2, "two left of ack 2", {"a", "b", "c"}), "durable");
  // The one with a single copy is now under a policy that wants two acknowledged.
  EXPECT_EQ(DurabilityOf("one left of ack 1"), "endangered");
  EXPECT_EQ(Summary().endangered, 1u);
  EXPECT_EQ(after_losing_one(3, 3, "two left of ack 3", {"a", "b", "c"}), "endangered");
  EXPECT_EQ(Summary().endangered, 3u);
  EXPECT_EQ(Summary().lost, 0u);
  // Without a policy `ack` is 2 here.
  ASSERT_TRUE(metadata_->providers().SetPolicy(org_, std::nullopt).ok());
  EXPECT_EQ(Summary().endangered, 1u);
  EXPECT_EQ(DurabilityOf("two left of ack 3"), "durable");
}

TEST_F(ReplicationTest, WhatWasOnlyAcknowledgedCountsForTheCommitAndIsDebt) {
  AddProviders({"a", "b"});
  const CommittedPack pack = PackAt({"a"}, {"b"});
  EXPECT_EQ(TrySave("x", {pack}, {"a", "b"})->durability, "durable");
  const auto object = metadata_->replication().Find(Pack(pack));
  ASSERT_TRUE(object.ok()) << object.status();
  EXPECT_EQ(object->copies, 2u);
  EXPECT_EQ(object->shards.size(), 2u);
  EXPECT_EQ(object->crc32c, pack.crc32c);
  ASSERT_TRUE(metadata_->replication().SetShard(Pack(pack), "b", ShardState::kLive).ok());
  EXPECT_EQ(DurabilityOf("x"), "fully replicated");
}

TEST_F(ReplicationTest, DamageAndLossBecomeDebtAtOnce) {
  AddProviders({"a", "b"});
  const CommittedPack first = PackAt({"a", "b"});
  const CommittedPack second = PackAt({"a", "b"});
  ASSERT_TRUE(TrySave("x", {first}, {"a", "b"}).ok());
  ASSERT_TRUE(TrySave("y", {second}, {"a", "b"}).ok());
  ASSERT_TRUE(metadata_->replication().SetShard(Pack(first), "a", ShardState::kDamaged).ok());
  EXPECT_EQ(DurabilityOf("x"), "endangered");
  EXPECT_EQ(DurabilityOf("y"), "fully replicated");
  // A shard that is known to be bad is not read.
  const auto lease = Draw<base::LeaseId>();
  ASSERT_TRUE(metadata_->checkpoints().Hold(org_, "x", lease).ok());
  const auto places = metadata_->checkpoints().HeldPacks(org_, lease, {first.id});
  EXPECT_EQ((*places)[0].providers, std::vector<std::string>{"b"});
  clock_.Advance(absl::Seconds(1));

  ASSERT_TRUE(metadata_->providers().SetState("b", ProviderState::kLost).ok());
  EXPECT_EQ(DurabilityOf("x"), "lost");
  // With one domain left, the default policy wants no more than one copy.
  EXPECT_EQ(DurabilityOf("y"), "fully replicated");
  EXPECT_TRUE(absl::IsFailedPrecondition(metadata_->providers().Add("b", "file:///b", "d-b")));
  AddProviders({"c"});
  EXPECT_EQ(DurabilityOf("y"), "endangered");
  EXPECT_EQ(Summary().lost, 1u);
  EXPECT_EQ(Summary().packs, 2u);
  EXPECT_EQ(Summary().manifests, 2u);
  // The most endangered first.
  const std::vector<Debt> debts = Claim();
  ASSERT_EQ(debts.size(), 4u);
  EXPECT_EQ(debts[0].ref.id, Pack(first).id);
  EXPECT_EQ(debts[0].live, 0u);
}

TEST_F(ReplicationTest, ADebtIsClaimedByOneWorkerUntilItsLeaseEnds) {
  AddProviders({"a", "b"});
  const CommittedPack pack = PackAt({"a"}, {"b"});
  ASSERT_TRUE(TrySave("x", {pack}, {"a", "b"}).ok());
  const std::vector<Debt> mine = Claim();
  ASSERT_EQ(mine.size(), 1u);
  EXPECT_EQ(Claim().size(), 0u);
  ASSERT_TRUE(metadata_->replication().MakeDue().ok());
  EXPECT_EQ(Claim().size(), 0u);
  clock_.Advance(absl::Seconds(20));
  ASSERT_TRUE(metadata_->replication().Renew("w", mine[0], absl::Seconds(30)).ok());
  ASSERT_TRUE(metadata_->replication().Renew("another", mine[0], absl::Minutes(5)).ok());
  clock_.Advance(absl::Seconds(29));
  EXPECT_EQ(Claim().size(), 0u);
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(Claim().size(), 1u);
  ASSERT_TRUE(metadata_->replication().Postpone(mine[0], absl::Minutes(5)).ok());
  clock_.Advance(absl::Minutes(4));
  EXPECT_EQ(Claim().size(), 0u);
  ASSERT_TRUE(metadata_->replication().MakeDue().ok());
  EXPECT_EQ(Claim().size(), 1u);
}

TEST_F(ReplicationTest, ADrainedProviderIsForgottenOnceNothingNeedsIt) {
  AddProviders({"a", "b", "c"});
  const CommittedPack pack = PackAt({"a", "b"});
  ASSERT_TRUE(TrySave("x", {pack}, {"a", "b"}).ok());
  ASSERT_TRUE(metadata_->providers().SetState("b", ProviderState::kDraining).ok());
  EXPECT_EQ(DurabilityOf("x"), "durable");  // it is still read
  EXPECT_EQ(Summary().packs, 1u);
  EXPECT_EQ(metadata_->replication().Surplus("b", 10)->size(), 0u);
  EXPECT_TRUE(absl::IsFailedPrecondition(metadata_->providers().Forget("b")));
  const auto info = metadata_->checkpoints().Find(org_, "x");
  const ObjectRef manifest = ObjectRef::Manifest(org_, info->id);
  ASSERT_TRUE(metadata_->replication().SetShard(Pack(pack), "c", ShardState::kLive).ok());
  ASSERT_TRUE(metadata_->replication().SetShard(manifest, "c", ShardState::kLive).ok());
  EXPECT_EQ(DurabilityOf("x"), "fully replicated");
  const auto surplus = metadata_->replication().Surplus("b", 10);
  ASSERT_EQ(surplus->size(), 2u);
  for (const PlacedShard& shard : *surplus) {
    ASSERT_TRUE(metadata_->replication().DropShard(shard.ref, "b").ok());
  }
  EXPECT_TRUE(metadata_->providers().Forget("b").ok());
  EXPECT_EQ(metadata_->providers().All()->size(), 2u);
  EXPECT_EQ(DurabilityOf("x"), "fully replicated");
  // What was under way when it was forgotten says nothing about another one of that name.
  ASSERT_TRUE(metadata_->replication().SetShard(Pack(pack), "b", ShardState::kLive).ok());
  ASSERT_TRUE(metadata_->replication().SetShard(manifest, "b", ShardState::kLive).ok());
  AddProviders({"b"});
  for (const ObjectRef& ref : {Pack(pack), manifest}) {
    const auto object = metadata_->replication().Find(ref);
    ASSERT_TRUE(object.ok()) << object.status();
    for (const Shard& shard : object->shards) EXPECT_NE(shard.provider, "b");
  }
}

TEST_F(ReplicationTest, AShardIsGivenUpOnlyWhileItIsSurplus) {
  AddProviders({"a", "b", "c"});
  const CommittedPack pack = PackAt({"a", "b", "c"});
  ASSERT_TRUE(TrySave("one", {pack}, {"b", "c"}).ok());
  const Chore deletion{"a", "s/pack", ChoreKind::kDelete, 0};
  Replication& replication = metadata_->replication();
  EXPECT_TRUE(absl::IsFailedPrecondition(replication.Retire(Pack(pack), deletion)));  // not drained
  ASSERT_TRUE(metadata_->providers().SetState("a", ProviderState::kDraining).ok());
  ASSERT_EQ(replication.Surplus("a", 10)->size(), 1u);
  // After it was listed another copy is found to be bad.
  ASSERT_TRUE(replication.SetShard(Pack(pack), "b", ShardState::kDamaged).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(replication.Retire(Pack(pack), deletion)));
  EXPECT_EQ(metadata_->chores().Of("a", 10)->size(), 0u);
  EXPECT_EQ(replication.Find(Pack(pack))->shards.size(), 3u);
  ASSERT_TRUE(replication.SetShard(Pack(pack), "b", ShardState::kLive).ok());
  EXPECT_TRUE(replication.Retire(Pack(pack), deletion).ok());
  EXPECT_EQ(metadata_->chores().Of("a", 10)->size(), 1u);
  EXPECT_EQ(replication.Find(Pack(pack))->shards.size(), 2u);
}

TEST_F(ReplicationTest, ListsWhatAProviderShouldHoldSaveBySave) {
  AddProviders({"a"});
  std::vector<base::SaveId> saves;
  for (int i = 0; i < 5; ++i) {
    const auto info = TrySave(absl::StrCat("x", i), {PackAt({"a"}), PackAt({"a"})}, {"a"});
    ASSERT_TRUE(info.ok());
    saves.push_back(info->save);
  }
  std::sort(saves.begin(), saves.end());
  const int64_t now = absl::ToUnixMillis(clock_.Now());
  std::optional<base::SaveId> after;
  for (const base::SaveId& save : saves) {
    const auto shards = metadata_->replication().ShardsAt("a", after, now, 1);
    ASSERT_EQ(shards->size(), 3u);
    for (const PlacedShard& shard : *shards) EXPECT_EQ(shard.save, save);
    EXPECT_EQ((*shards)[0].ref.kind, ObjectKind::kManifest);  // "m-" sorts before "p-"
    after = save;
  }
  EXPECT_EQ(metadata_->replication().ShardsAt("a", after, now, 1)->size(), 0u);
  EXPECT_EQ(metadata_->replication().ShardsAt("a", {}, now - 1, 1)->size(), 0u);
  const auto usage = metadata_->providers().Usage();
  ASSERT_EQ(usage->size(), 1u);
  EXPECT_EQ((*usage)[0].packs, 10u);
  EXPECT_EQ((*usage)[0].bytes, 40960u);
  EXPECT_EQ((*usage)[0].manifests, 5u);
}

TEST_F(ReplicationTest, WhatIsDeletedOwesNothing) {
  AddProviders({"a", "b"});
  const CommittedPack pack = PackAt({"a"}, {"b"});
  const auto info = TrySave("x", {pack}, {"a", "b"});
  ASSERT_TRUE(info.ok());
  const ObjectRef manifest = ObjectRef::Manifest(org_, info->id);
  ASSERT_TRUE(metadata_->replication().DropShard(manifest, "a").ok());
  EXPECT_EQ(Summary().manifests, 1u);
  ASSERT_TRUE(metadata_->checkpoints().Hide(org_, "x").ok());
  EXPECT_EQ(Summary().manifests, 0u);
  ASSERT_TRUE(metadata_->collection().Forget(org_, info->id).ok());
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(*metadata_->collection().Condemn(), 1u);
  EXPECT_EQ(Claim().size(), 0u);
  EXPECT_EQ(Summary().packs, 0u);
  EXPECT_EQ(*metadata_->collection().Doom(absl::ZeroDuration()), 1u);
  EXPECT_TRUE(
      absl::IsNotFound(metadata_->replication().SetShard(Pack(pack), "b", ShardState::kLive)));
  ASSERT_TRUE(metadata_->collection().ForgetPacks(*metadata_->collection().Doomed(10)).ok());
  EXPECT_TRUE(absl::IsNotFound(metadata_->replication().Find(Pack(pack)).status()));
}

TEST_F(ReplicationTest, AChoreTakesThePlaceOfAnOlderOneForTheSameObject) {
  Chores& chores = metadata_->chores();
  const Chore record{"a", "c/x/1", ChoreKind::kWriteRecord, 1};
  const Chore manifest{"a", "s/x/m-1", ChoreKind::kDelete, 0};
  ASSERT_TRUE(chores.Add({manifest, record}).ok());
  ASSERT_TRUE(chores.Add({{"a", "c/x/1", ChoreKind::kDelete, 0}}).ok());
  EXPECT_TRUE(chores.Done(record).ok());  // that one is not owed any more
  const auto due = chores.Of("a", 10);
  ASSERT_EQ(due->size(), 2u);
  EXPECT_EQ((*due)[0].key, "c/x/1");
  EXPECT_EQ((*due)[0].kind, ChoreKind::kDelete);
  for (const Chore& chore : *due) EXPECT_TRUE(chores.Done(chore).ok());
  EXPECT_EQ(chores.Counts()->size(), 0u);
}

TEST(Schema, ACatalogOfVersionOneOpensWithAllThatItHeld) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() /
      absl::StrCat("cedana-schema-", absl::Hex(base::SystemRandom().Next64()));
  std::filesystem::create_directory(folder);
  const std::string file = folder / "catalog.db";
  const base::OrgId org = base::OrgId(std::array<uint8_t, 16>{1});
  {
    auto database = *sqlite::Database::Open(file);
    ASSERT_TRUE(database->Execute(kSchemaStep1).ok());
    ASSERT_TRUE(database->Execute("PRAGMA user_version=1").ok());
    ASSERT_TRUE(database
                    ->Execute("INSERT INTO organisations VALUES(x'01000000000000000000000000000000'"
                              ", 'default', x'00', 0);"
                              "INSERT INTO packs VALUES(x'01000000000000000000000000000000', "
                              "x'02000000000000000000000000000000', "
                              "x'03000000000000000000000000000000', 10, 7, 1, 0, 0);"
                              "INSERT INTO shards VALUES(x'01000000000000000000000000000000', "
                              "x'02000000000000000000000000000000', 'p0', 5);"
                              "INSERT INTO shards VALUES(x'01000000000000000000000000000000', "
                              "x'02000000000000000000000000000000', 'p1', 5);"
                              "INSERT INTO checkpoints VALUES(x'01000000000000000000000000000000', "
                              "x'04000000000000000000000000000000', "
                              "x'03000000000000000000000000000000', 'a', 1, 5, 9, 10, 10, 'lz4', "
                              "'fully replicated', '', '', '{}', x'aa', 8, 'p0,p1', NULL, "
                              "x'0102000000000000000000000000000000');")
                    .ok());
  }
  std::vector<base::VaultId> ids;
  for (int start = 0; start < 2; ++start) {
    const auto metadata = Metadata::Open(file, {});
    ASSERT_TRUE(metadata.ok()) << metadata.status();
    for (const char* name : {"p0", "p1"}) {
      ASSERT_TRUE((*metadata)->providers().Add(name, absl::StrCat("file:///", name), name).ok());
    }
    const auto found = (*metadata)->checkpoints().Find(org, "a");
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(found->manifest_providers, (std::vector<std::string>{"p0", "p1"}));
    EXPECT_EQ(found->durability, "fully replicated");
    EXPECT_EQ((*metadata)->replication().Summary()->packs, 0u);
    const auto usage = (*metadata)->providers().Usage();
    ASSERT_EQ(usage->size(), 2u);
    EXPECT_EQ((*usage)[1].bytes, 18u);
    ids.push_back(*(*metadata)->VaultId(base::SystemRandom()));
  }
  {
    auto database = *sqlite::Database::Open(file);
    ASSERT_TRUE(
        database->Execute(absl::StrCat("PRAGMA user_version=", kSchemaVersion + 1).c_str()).ok());
  }
  EXPECT_TRUE(absl::IsFailedPrecondition(Metadata::Open(file, {}).status()));
  // Named by what was there, so that a backup of it gets the same name when it is opened anew.
  EXPECT_EQ(ids, std::vector<base::VaultId>(2, base::VaultId::FromBytes(org.data())));
  std::filesystem::remove_all(folder);
}

TEST(Schema, RowsOfProvidersThatAreNoneGo) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() /
      absl::StrCat("cedana-schema-", absl::Hex(base::SystemRandom().Next64()));
  std::filesystem::create_directory(folder);
  const std::string file = folder / "catalog.db";
  {
    auto database = *sqlite::Database::Open(file);
    ASSERT_TRUE(database->Execute(kSchemaStep1).ok());
    ASSERT_TRUE(database->Execute(kSchemaStep2).ok());
    ASSERT_TRUE(database
                    ->Execute("PRAGMA user_version=2;"
                              "INSERT INTO organisations VALUES(x'01', 'default', x'00', 0);"
                              "INSERT INTO packs VALUES(x'01', x'02', x'03', 10, 7, 1, 0, 0);"
                              "INSERT INTO providers VALUES('a', 'file:///a', 'a', 0, 0, 0);"
                              "INSERT INTO shards VALUES(x'01', x'02', 'a', 5, 0);"
                              "INSERT INTO shards VALUES(x'01', x'02', 'gone', 5, 0);")
                    .ok());
  }
  const auto metadata = Metadata::Open(file, {});
  ASSERT_TRUE(metadata.ok()) << metadata.status();
  const auto usage = (*metadata)->providers().Usage();
  ASSERT_EQ(usage->size(), 1u);
  EXPECT_EQ((*usage)[0].provider, "a");
  std::filesystem::remove_all(folder);
}

TEST(Schema, ManifestsOfVersionTwoOweTheCopiesThatTheyLack) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() /
      absl::StrCat("cedana-schema-", absl::Hex(base::SystemRandom().Next64()));
  std::filesystem::create_directory(folder);
  const std::string file = folder / "catalog.db";
  const base::OrgId org = base::OrgId(std::array<uint8_t, 16>{1});
  {
    auto database = *sqlite::Database::Open(file);
    ASSERT_TRUE(database->Execute(kSchemaStep1).ok());
    ASSERT_TRUE(database->Execute(kSchemaStep2).ok());
    ASSERT_TRUE(database
                    ->Execute("PRAGMA user_version=2;"
                              "INSERT INTO organisations VALUES(x'01000000000000000000000000000000'"
                              ", 'one', x'00', 0);"
                              "INSERT INTO providers VALUES('p0', '', 'p0', 0, 0, 0), "
                              "('p1', '', 'p1', 0, 0, 0), ('p2', '', 'p2', 0, 0, 0);"
                              "INSERT INTO policies VALUES(x'01000000000000000000000000000000', "
                              "3, 2);"
                              "INSERT INTO checkpoints VALUES(x'01000000000000000000000000000000', "
                              "x'04000000000000000000000000000000', "
                              "x'03000000000000000000000000000000', 'a', 1, 5, 9, 10, 10, 'lz4', "
                              "'', '', '', '{}', x'aa', 8, NULL, x'01');"
                              "INSERT INTO manifest_shards VALUES"
                              "(x'01000000000000000000000000000000', "
                              "x'04000000000000000000000000000000', 'p0', 5, 0), "
                              "(x'01000000000000000000000000000000', "
                              "x'04000000000000000000000000000000', 'p1', 5, 0);")
                    .ok());
  }
  FakeClock clock;
  for (int start = 0; start < 2; ++start) {
    const auto metadata = Metadata::Open(file, {.clock = &clock});
    ASSERT_TRUE(metadata.ok()) << metadata.status();
    const DebtSummary summary = *(*metadata)->replication().Summary();
    EXPECT_EQ(summary.manifests, 1u);
    EXPECT_EQ(summary.packs, 0u);
    EXPECT_EQ((*metadata)->checkpoints().Find(org, "a")->durability, "durable");
    // Repair finds it.
    EXPECT_EQ((*metadata)->replication().Claim("w", 10, absl::ZeroDuration())->size(), 1u);
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace cedana::metadata
