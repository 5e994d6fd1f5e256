// Answers of a cloud that break off or stall in the middle of an object: of the object they say
// nothing, whoever reads it.
#include <gtest/gtest.h>

#include "core/http/client.h"
#include "core/objstore/open_store.h"
#include "core/objstore/testing/azure_imposter.h"
#include "core/objstore/testing/s3_imposter.h"
#include "storage/replica/registry.h"
#include "storage/replica/repair.h"
#include "storage/replica/testing/test_vault.h"

namespace cedana::replica {
namespace {

using metadata::ShardState;
using objstore::Imposter;
using objstore::Operation;

// p0 and p2 in memory; p1 is a cloud, whose objects are those of the vault's memory.
class CutReads : public ::testing::Test {
 protected:
  CutReads()
      : test_(3),
        catalog_(&test_.vault, test_.organisation),
        registry_(&test_.vault, test_.folder / "providers"),
        repairer_(&test_.vault, {.bytes_per_s = 0}),
        client_(*http::Client::Create({.stall_timeout = absl::Milliseconds(500)})) {}

  void UseS3() {
    const objstore::S3ImposterOptions options;
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

TEST_F(CutReads, TheLastCopyIsNotDamagedByThem) {
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

TEST_F(CutReads, ACommitThatReadsBackGoesOn) {
  UseAzure();
  transfer::CommitRequest commit = Begin("a");
  commit.packs.push_back(test_.StorePack(commit.save, std::string(100000, 'x')));
  test_.providers.read_backs().Forget("p1");  // as if a client had uploaded it
  cloud_->AddFault({.operation = Operation::kGet, .times = 1, .cut_after = 50000});
  const absl::Status cut = catalog_.Commit({}, commit).status();
  EXPECT_TRUE(absl::IsUnavailable(cut)) << cut;
  const auto info = catalog_.Commit({}, commit);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->durability, "fully replicated");
}

}  // namespace
}  // namespace cedana::replica
