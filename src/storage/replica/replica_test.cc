#include <gtest/gtest.h>

#include "core/format/commit_record.h"
#include "storage/metadata/errors.h"
#include "storage/replica/collector.h"
#include "storage/replica/crypto.h"
#include "storage/replica/testing/test_vault.h"

namespace cedana::replica {
namespace {

using objstore::Operation;

TEST(Grants, AnyChangeOrTheEndOfItsTimeRefuses) {
  const GrantSigner signer{format::Key256{1}};
  const ObjectGrant grant{"PUT", "local", "s/aa/p-bb", 100, 7, 5000};
  const std::string signature = signer.Sign(grant);
  EXPECT_TRUE(signer.Verify(grant, signature, 4999).ok());
  EXPECT_TRUE(absl::IsPermissionDenied(signer.Verify(grant, signature, 5000)));
  std::vector<ObjectGrant> altered(6, grant);
  altered[0].method = "GET";
  altered[1].provider = "other";
  altered[2].key = "s/aa/p-bc";
  altered[3].bytes = 101;
  altered[4].crc32c = 8;
  altered[5].expires_ms = 6000;
  for (const ObjectGrant& one : altered) {
    EXPECT_TRUE(absl::IsPermissionDenied(signer.Verify(one, signature, 10)));
  }
  EXPECT_FALSE(signer.Verify(grant, signature.substr(1), 10).ok());
  EXPECT_FALSE(signer.Verify(grant, "", 10).ok());
  EXPECT_NE(GrantSigner(format::Key256{2}).Sign(grant), signature);
  using Parts = std::vector<std::string>;
  EXPECT_NE(signer.Sign(Parts{"ab", "c"}), signer.Sign(Parts{"a", "bc"}));
}

TEST(KeyRing, WrapsAnOrganisationsKeyUnderTheMasterKeyAndItsId) {
  const KeyRing ring = *KeyRing::FromHex(std::string(64, 'a'));
  const auto organisation = base::DrawId<base::OrgId>(base::SystemRandom());
  std::string wrapped = ring.DrawOrganisationKey(base::SystemRandom(), organisation);
  const auto keys = ring.Unwrap(organisation, wrapped);
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_NE(keys->page_id_key, keys->sealing[0].key);
  EXPECT_EQ(ring.Unwrap(organisation, wrapped)->page_id_key, keys->page_id_key);
  EXPECT_TRUE(absl::IsDataLoss(
      KeyRing::FromHex(std::string(64, 'b'))->Unwrap(organisation, wrapped).status()));
  EXPECT_TRUE(absl::IsDataLoss(
      ring.Unwrap(base::DrawId<base::OrgId>(base::SystemRandom()), wrapped).status()));
  for (size_t i = 0; i < wrapped.size(); ++i) {
    std::string broken = wrapped;
    broken[i] = static_cast<char>(broken[i] ^ 1);
    EXPECT_FALSE(ring.Unwrap(organisation, broken).ok()) << i;
  }
  EXPECT_FALSE(ring.Unwrap(organisation, "").ok());
  EXPECT_TRUE(KeyRing::FromHex(std::string(64, 'a') + "\n").ok());
  for (const char* bad : {"", "abc", "zz"}) EXPECT_FALSE(KeyRing::FromHex(bad).ok());
}

class VaultTest : public ::testing::Test {
 protected:
  VaultTest() : test_(2), catalog_(&test_.vault, test_.organisation), collector_(&test_.vault) {}

  CollectionCounts Collect() {
    const auto counts = collector_.Round({});
    EXPECT_TRUE(counts.ok()) << counts.status();
    return counts.value_or(CollectionCounts());
  }

  TestVault test_;
  OrgCatalog catalog_;
  Collector collector_;
};

TEST_F(VaultTest, ACommitWantsEveryOwnPackWholeAtEveryCopy) {
  const auto save = base::DrawId<base::SaveId>(base::SystemRandom());
  const auto checkpoint = base::DrawId<base::CheckpointId>(base::SystemRandom());
  ASSERT_TRUE(catalog_.Begin({}, {save, checkpoint, "a", false}).ok());
  transfer::CommitRequest commit{.save = save, .checkpoint = checkpoint, .path = "a"};
  commit.manifest = "manifest";
  commit.packs.push_back(test_.StorePack(save));
  const transfer::StoredPack good = commit.packs[0];
  EXPECT_EQ(good.providers, (std::vector<std::string>{"p0", "p1"}));

  commit.packs[0].bytes += 1;
  EXPECT_TRUE(absl::IsFailedPrecondition(catalog_.Commit({}, commit).status()));
  commit.packs[0] = good;
  commit.packs[0].crc32c += 1;
  EXPECT_TRUE(absl::IsFailedPrecondition(catalog_.Commit({}, commit).status()));
  commit.packs[0] = good;
  commit.packs[0].id = base::DrawId<base::PackId>(base::SystemRandom());
  EXPECT_TRUE(absl::IsFailedPrecondition(catalog_.Commit({}, commit).status()));
  commit.packs[0] = good;
  commit.packs[0].key_epoch = 9;
  EXPECT_TRUE(absl::IsInvalidArgument(catalog_.Commit({}, commit).status()));
  commit.packs[0] = good;
  const auto key = objstore::ObjectKey::Parse(PackKey(save, good.id));
  ASSERT_TRUE(test_.memories[1]->Delete({}, *key).ok());
  // Gone from one of them, and not to be copied there again.
  test_.stores[1]->Add(
      {.operation = Operation::kPut, .times = 1, .fail = absl::PermissionDeniedError("read only")});
  EXPECT_TRUE(absl::IsFailedPrecondition(catalog_.Commit({}, commit).status()));
  // A provider that cannot be listed counts with what it acknowledged.
  test_.stores[1]->Add({.operation = Operation::kList, .fail = absl::UnavailableError("dark")});
  const auto committed = catalog_.Commit({}, commit);
  ASSERT_TRUE(committed.ok()) << committed.status();
  EXPECT_EQ(test_.Keys(0, SavePrefix(save)).size(), 2u);
}

TEST_F(VaultTest, ACommitThatAProviderRefusesLeavesNothingVisible) {
  test_.stores[1]->Add({.operation = Operation::kPut,
                        .prefix = "s/",
                        .skip = 1,  // the pack passes, the manifest does not
                        .fail = absl::ResourceExhaustedError("full")});
  const absl::Status status = test_.Save(catalog_, "a").status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_NE(status.message().find("p1"), std::string::npos) << status;
  EXPECT_TRUE(absl::IsNotFound(catalog_.Find("a").status()));
}

TEST_F(VaultTest, AManifestIsReadFromTheProviderThatHasTheCommittedOne) {
  const auto info = test_.Save(catalog_, "a");
  ASSERT_TRUE(info.ok()) << info.status();
  test_.stores[0]->Add({.operation = Operation::kGet, .times = 1, .flip_bit = 3});
  const auto lease = base::DrawId<base::LeaseId>(base::SystemRandom());
  EXPECT_EQ(catalog_.Open({}, "a", lease)->manifest, "manifest");
  for (auto& store : test_.stores) {
    store->Add({.operation = Operation::kGet, .times = 1, .flip_bit = 3});
  }
  const absl::Status broken = catalog_.Open({}, "a", lease).status();
  EXPECT_TRUE(absl::IsDataLoss(broken)) << broken;
  EXPECT_NE(broken.message().find("p1"), std::string::npos) << broken;
}

TEST_F(VaultTest, CommitRecordsFollowAndCanBeOpenedByTheOrganisation) {
  const auto info = test_.Save(catalog_, "a/b");
  ASSERT_TRUE(info.ok());
  test_.stores[1]->Add({.operation = Operation::kPut, .fail = absl::UnavailableError("dark")});
  ASSERT_TRUE(collector_.WriteRecords({}).ok());
  EXPECT_EQ(*collector_.DoChores({}), 1u);
  const auto row = test_.metadata->identities().FindOrganisation(test_.organisation);
  const auto keys = test_.keys.Unwrap(row->id, row->wrapped_key);
  for (size_t provider = 0; provider < 2; ++provider) {
    const std::string key = RecordKey(test_.organisation, info->sequence);
    const auto sealed = ReadObject({}, *test_.memories[provider], key, 4096);
    ASSERT_TRUE(sealed.ok()) << sealed.status();
    const auto record = format::OpenCommitRecord(*sealed, info->id, *keys);
    ASSERT_TRUE(record.ok()) << record.status();
    EXPECT_EQ(record->path, "a/b");
    EXPECT_EQ(record->sequence, info->sequence);
  }
  EXPECT_EQ(test_.metadata->collection().PendingRecords(10)->size(), 0u);
}

TEST_F(VaultTest, ADeletedCheckpointGoesFromEveryProviderWhatIsSharedStays) {
  const auto first = test_.Save(catalog_, "a");
  ASSERT_TRUE(first.ok());
  transfer::StoredPack shared = test_.last_own;
  shared.own = false;
  ASSERT_TRUE(test_.Save(catalog_, "b", {shared}).ok());
  ASSERT_TRUE(catalog_.Delete({}, "a").ok());
  Collect();
  test_.clock.Advance(test_.vault.times.grace);
  Collect();
  for (size_t provider = 0; provider < 2; ++provider) {
    EXPECT_EQ(test_.Keys(provider, "s/").size(), 3u);  // shared pack, own pack, manifest
    EXPECT_EQ(test_.Keys(provider, "c/").size(), 1u);
  }
  ASSERT_TRUE(catalog_.Delete({}, "b").ok());
  Collect();
  test_.clock.Advance(test_.vault.times.grace);
  const CollectionCounts last = Collect();
  EXPECT_EQ(last.deleted_packs, 2u);
  for (size_t provider = 0; provider < 2; ++provider) {
    EXPECT_EQ(test_.Keys(provider, "").size(), 0u);
  }
}

TEST_F(VaultTest, WhatADarkProviderOwesIsDoneLaterAndNothingIsLost) {
  ASSERT_TRUE(test_.Save(catalog_, "a").ok());
  ASSERT_TRUE(catalog_.Delete({}, "a").ok());
  test_.vault.times.grace = absl::ZeroDuration();
  test_.stores[1]->Add(
      {.operation = Operation::kDelete, .times = -1, .fail = absl::UnavailableError("dark")});
  EXPECT_GT(Collect().chores_left, 0u);
  EXPECT_EQ(test_.metadata->collection().HiddenCheckpoints(10)->size(), 0u);
  EXPECT_EQ(test_.Keys(0, "").size(), 0u);
  test_.stores[1]->Clear();
  test_.health.Record("p1", absl::OkStatus());
  test_.health.Record("p1", absl::OkStatus());
  EXPECT_EQ(Collect().chores_left, 0u);
  EXPECT_EQ(test_.Keys(1, "").size(), 0u);
}

TEST_F(VaultTest, AHoldKeepsADeletedCheckpointReadable) {
  ASSERT_TRUE(test_.Save(catalog_, "a").ok());
  const auto lease = base::DrawId<base::LeaseId>(base::SystemRandom());
  ASSERT_TRUE(catalog_.Open({}, "a", lease).ok());
  ASSERT_TRUE(catalog_.Delete({}, "a").ok());
  test_.vault.times.grace = absl::ZeroDuration();
  Collect();
  std::vector<uint8_t> out(6);
  const auto source = MakePackSource(&test_.vault, test_.organisation, lease);
  EXPECT_TRUE(source->Read({}, test_.last_own.id, 0, out, {}).ok());
  ASSERT_TRUE(catalog_.Close({}, lease).ok());
  Collect();
  EXPECT_EQ(test_.Keys(0, "").size(), 0u);
}

TEST_F(VaultTest, LeftoversOfDeadSavesAreSweptAndOnlyThose) {
  const auto info = test_.Save(catalog_, "kept");
  ASSERT_TRUE(info.ok());
  // A committed save's stray, an aborted save's pack, and one of a save that lives.
  const auto committed = test_.metadata->checkpoints().Find(test_.organisation, "kept")->save;
  test_.StorePack(committed);
  const auto aborted = base::DrawId<base::SaveId>(base::SystemRandom());
  ASSERT_TRUE(catalog_.Begin({}, {aborted, {}, "aborted", false}).ok());
  test_.StorePack(aborted);
  ASSERT_TRUE(catalog_.Abort({}, aborted).ok());
  Collect();
  EXPECT_EQ(test_.Keys(0, SavePrefix(aborted)).size(), 1u);  // its grants may still be used
  test_.clock.Advance(test_.vault.times.grant);
  const auto living = base::DrawId<base::SaveId>(base::SystemRandom());
  const auto checkpoint = base::DrawId<base::CheckpointId>(base::SystemRandom());
  ASSERT_TRUE(catalog_.Begin({}, {living, checkpoint, "living", false}).ok());
  test_.StorePack(living);
  const CollectionCounts counts = Collect();
  EXPECT_EQ(counts.swept_saves, 2u);
  EXPECT_EQ(counts.swept_objects, 4u);  // at two providers
  EXPECT_EQ(test_.Keys(0, SavePrefix(aborted)).size(), 0u);
  EXPECT_EQ(test_.Keys(0, SavePrefix(committed)).size(), 2u);
  EXPECT_EQ(test_.Keys(0, SavePrefix(living)).size(), 1u);
  // An upload that was under way at the first sweep.
  test_.StorePack(aborted);
  test_.clock.Advance(test_.vault.times.sweep_again);
  Collect();
  EXPECT_EQ(test_.Keys(0, SavePrefix(aborted)).size(), 0u);
}

TEST_F(VaultTest, GrantsAreForLivingSavesAndHeldPacksOnly) {
  const auto save = base::DrawId<base::SaveId>(base::SystemRandom());
  const auto pack = base::DrawId<base::PackId>(base::SystemRandom());
  EXPECT_TRUE(absl::IsNotFound(catalog_.GrantUploads(save, {{pack, 10, 1}}).status()));
  ASSERT_TRUE(catalog_.Begin({}, {save, {}, "a", false}).ok());
  EXPECT_EQ(catalog_.GrantUploads(save, {{pack, 10, 1}})->size(), 2u);
  EXPECT_TRUE(absl::IsInvalidArgument(catalog_.GrantUploads(save, {{pack, 0, 1}}).status()));
  EXPECT_TRUE(
      absl::IsInvalidArgument(catalog_.GrantUploads(save, {{pack, 64u << 20, 1}}).status()));
  OrgCatalog other(&test_.vault, test_.AddOrganisation("two"));
  EXPECT_TRUE(absl::IsNotFound(other.GrantUploads(save, {{pack, 10, 1}}).status()));
  test_.clock.Advance(test_.vault.times.lease);
  EXPECT_TRUE(absl::IsFailedPrecondition(catalog_.GrantUploads(save, {{pack, 10, 1}}).status()));
  ASSERT_TRUE(test_.Save(catalog_, "b").ok());
  const auto lease = base::DrawId<base::LeaseId>(base::SystemRandom());
  ASSERT_TRUE(catalog_.Open({}, "b", lease).ok());
  EXPECT_EQ(catalog_.GrantReads(lease, {test_.last_own.id})->size(), 2u);
  EXPECT_TRUE(absl::IsNotFound(catalog_.GrantReads(lease, {pack}).status()));
  EXPECT_TRUE(absl::IsNotFound(other.GrantReads(lease, {test_.last_own.id}).status()));
}

}  // namespace
}  // namespace cedana::replica
