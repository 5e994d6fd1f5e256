// A vault one of whose providers is a cloud over HTTP, and what such a cloud does: answers that
// break off, grants that bind less than they say.
#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "core/http/client.h"
#include "core/objstore/open_store.h"
#include "core/objstore/testing/azure_imposter.h"
#include "core/objstore/testing/s3_imposter.h"
#include "storage/replica/grant_trial.h"
#include "storage/replica/registry.h"
#include "storage/replica/repair.h"
#include "storage/replica/repair_worker.h"
#include "storage/replica/testing/test_vault.h"

namespace cedana::replica {
namespace {

using metadata::ShardState;
using objstore::Imposter;
using objstore::Operation;

// p0 and p2 in memory; p1 is a cloud, whose objects are those of the vault's memory.
class CloudProvider : public ::testing::Test {
 protected:
  CloudProvider()
      : test_(3),
        catalog_(&test_.vault, test_.organisation),
        registry_(&test_.vault, test_.folder / "providers"),
        repairer_(&test_.vault, {.bytes_per_s = 0}),
        client_(*http::Client::Create({.stall_timeout = absl::Milliseconds(500)})) {}

  void UseS3(const objstore::S3ImposterOptions& options = {}) {
    cloud_ = *Imposter::Start({}, objstore::MakeS3Imposter(options, test_.stores[1].get()));
    Use(absl::StrCat("s3://packs?style=path&endpoint=", cloud_->url()),
        {.s3 = options.credentials});
  }
  void UseAzure() {
    const objstore::AzureImposterOptions options;
    cloud_ = *Imposter::Start({}, objstore::MakeAzureImposter(options, test_.stores[1].get()));
    Use(absl::StrCat("azure://packs?endpoint=", cloud_->url(), "/", options.account),
        {.azure = objstore::AzureCredentials{options.account, options.key_base64, ""}});
  }
  transfer::CommitRequest Begin(const std::string& path) {
    transfer::CommitRequest commit;
    commit.save = base::DrawId<base::SaveId>(base::SystemRandom());
    commit.checkpoint = base::DrawId<base::CheckpointId>(base::SystemRandom());
    commit.path = path;
    commit.manifest = "manifest";
    EXPECT_TRUE(catalog_.Begin({}, {commit.save, commit.checkpoint, path, false}).ok());
    return commit;
  }
  std::string DurabilityOf(const std::string& path) { return catalog_.Find(path)->durability; }

  TestVault test_;
  OrgCatalog catalog_;
  ProviderRegistry registry_;
  Repairer repairer_;
  std::unique_ptr<http::Client> client_;
  std::unique_ptr<Imposter> cloud_;
  std::shared_ptr<objstore::ObjectStore> store_;

 private:
  void Use(const std::string& url, const objstore::Credentials& credentials) {
    store_ = *objstore::OpenStore(*objstore::StoreUrl::Parse(url), credentials, client_.get());
    Provider cloud = *test_.providers.Find("p1");
    cloud.capabilities = store_->capabilities();
    cloud.store = store_;
    test_.providers.Put(cloud);
  }
};

TEST_F(CloudProvider, AReadThatIsCutOrStallsDamagesNoCopy) {
  UseS3();
  transfer::CommitRequest commit = Begin("a");
  commit.packs.push_back(test_.StorePack(commit.save, std::string(100000, 'x')));
  ASSERT_EQ(commit.packs[0].providers, (std::vector<std::string>{"p0", "p1"}));
  ASSERT_TRUE(catalog_.Commit({}, commit).ok());
  ASSERT_TRUE(registry_.Remove("p0", /*lost=*/true).ok());
  ASSERT_EQ(DurabilityOf("a"), "endangered");
  const std::string pack = PackKey(commit.save, commit.packs[0].id);
  const auto ref = metadata::ObjectRef::Pack(test_.organisation, commit.packs[0].id);
  cloud_->AddFault({.operation = Operation::kGet, .prefix = pack, .cut_after = 50000});
  EXPECT_EQ(*repairer_.Round({}), 0u);
  EXPECT_EQ(*repairer_.Inspect({}, ref, "p1"), DamageVerdict::kUnreachable);
  EXPECT_EQ(DurabilityOf("a"), "endangered");
  cloud_->ClearFaults();
  cloud_->SetPace({.bytes_per_s = 10});  // the head comes at once
  ASSERT_TRUE(test_.metadata->replication().MakeDue().ok());
  EXPECT_EQ(*repairer_.Round({}), 0u);
  cloud_->SetPace({});
  EXPECT_EQ(repairer_.counts().damaged_shards, 0u);
  ASSERT_TRUE(test_.metadata->replication().MakeDue().ok());
  EXPECT_EQ(*repairer_.Round({}), 1u);
  EXPECT_EQ(DurabilityOf("a"), "fully replicated");
}

TEST_F(CloudProvider, ACommitGoesOnWhereItsReadBackWasCut) {
  UseAzure();
  transfer::CommitRequest commit = Begin("a");
  commit.packs.push_back(test_.StorePack(commit.save, std::string(100000, 'x')));
  test_.providers.read_backs().Forget("p1");  // as if a client had uploaded it
  test_.Darken(2);                            // nobody else to copy it to
  cloud_->AddFault({.operation = Operation::kGet, .times = 1, .cut_after = 50000});
  const absl::Status cut = catalog_.Commit({}, commit).status();
  EXPECT_TRUE(absl::IsUnavailable(cut)) << cut;
  const auto info = catalog_.Commit({}, commit);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->durability, "fully replicated");
}

TEST_F(CloudProvider, WhatItsGrantsDoNotBindIsFoundOut) {
  struct Case {
    objstore::S3ImposterOptions cloud;
    bool size;
    bool checksum;
  };
  const std::vector<Case> cases = {{{}, true, true},
                                   {{.checksums = false}, true, false},
                                   {{.signatures = false}, false, true},
                                   {{.checksums = false, .signatures = false}, false, false}};
  for (const Case& one : cases) {
    UseS3(one.cloud);
    const ProviderPtr provider = test_.providers.Find("p1");
    ASSERT_TRUE(provider->enforces());
    const auto found = TryGrants({}, test_.vault, *provider);
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(found->grant_enforces_size, one.size);
    EXPECT_EQ(found->grant_enforces_checksum, one.checksum);
    EXPECT_EQ(found->keeps_checksum, one.checksum);
    EXPECT_TRUE(found->grant_enforces_create_only);
    EXPECT_EQ(test_.Keys(1, "x/").size(), 0u);
  }
  // An answer that says nothing is no verdict.
  cloud_->AddFault({.operation = Operation::kPut, .skip = 1, .status = 503});
  EXPECT_FALSE(TryGrants({}, test_.vault, *test_.providers.Find("p1")).ok());
}

TEST_F(CloudProvider, TheServiceDoesWithoutWhatItsGrantsDoNotBind) {
  UseS3({.checksums = false});
  test_.vault.clock = &base::SystemClock();
  const RepairWorker worker(&test_.vault, &repairer_, &registry_);
  const auto believed = [&] { return test_.providers.Find("p1")->vouches_for_checksums(); };
  for (int i = 0; i < 400 && believed(); ++i) absl::SleepFor(absl::Milliseconds(20));
  EXPECT_FALSE(believed());
  // So one wrong byte is found, and refused where nobody else can have a copy.
  ASSERT_TRUE(
      test_.metadata->providers().SetPolicy(test_.organisation, metadata::Policy{3, 3, true}).ok());
  transfer::CommitRequest commit = Begin("a");
  commit.packs.push_back(test_.StorePack(commit.save, "a pack"));
  test_.providers.read_backs().Forget("p1");
  const auto key = *objstore::ObjectKey::Parse(PackKey(commit.save, commit.packs[0].id));
  const std::vector<uint8_t> bent = {'a', ' ', 'p', 'a', 'c', 'j'};
  ASSERT_TRUE(test_.memories[1]->Put({}, key, bent, {.create_only = false}).ok());
  const absl::Status refused = catalog_.Commit({}, commit).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
}

}  // namespace
}  // namespace cedana::replica
