// The service's own ports against the suites that every implementation must pass.
#include <gtest/gtest.h>

#include "core/transfer/testing/catalog_conformance.h"
#include "core/transfer/testing/store_conformance.h"
#include "storage/replica/testing/test_vault.h"

namespace cedana::transfer {
namespace {

using replica::OrgCatalog;
using replica::TestVault;

template <size_t kProviders>
CatalogInTest MakeCatalogInTest() {
  auto vault = std::make_shared<TestVault>(kProviders);
  CatalogInTest in_test;
  in_test.catalog = std::make_unique<OrgCatalog>(&vault->vault, vault->organisation);
  in_test.store_pack = [raw = vault.get()](const base::SaveId& save) {
    return raw->StorePack(save);
  };
  in_test.expire_leases = [raw = vault.get()] { raw->clock.Advance(raw->vault.times.lease); };
  in_test.storage = std::move(vault);
  return in_test;
}
INSTANTIATE_TEST_SUITE_P(OneProvider, CatalogConformance, ::testing::Values(&MakeCatalogInTest<1>));
INSTANTIATE_TEST_SUITE_P(ThreeProviders, CatalogConformance,
                         ::testing::Values(&MakeCatalogInTest<3>));

// Remembers what was put, so that a commit can name it.
class RecordingSink : public PackSink {
 public:
  RecordingSink(std::unique_ptr<PackSink> sink, std::vector<StoredPack>* packs)
      : sink_(std::move(sink)), packs_(packs) {}
  absl::StatusOr<std::vector<std::string>> Put(const base::Context& context,
                                               const base::PackId& pack,
                                               std::span<const uint8_t> bytes,
                                               uint32_t crc32c) override {
    auto put = sink_->Put(context, pack, bytes, crc32c);
    const bool known = std::any_of(packs_->begin(), packs_->end(),
                                   [&](const StoredPack& one) { return one.id == pack; });
    if (put.ok() && !known) packs_->push_back({pack, bytes.size(), crc32c, 1, true, *put});
    return put;
  }

 private:
  const std::unique_ptr<PackSink> sink_;
  std::vector<StoredPack>* const packs_;
};

struct StoreParts {
  TestVault vault{2};
  std::vector<StoredPack> packs;
};

StoreInTest MakeStoreInTest() {
  auto parts = std::make_shared<StoreParts>();
  const auto save = base::DrawId<base::SaveId>(base::SystemRandom());
  const auto checkpoint = base::DrawId<base::CheckpointId>(base::SystemRandom());
  OrgCatalog catalog(&parts->vault.vault, parts->vault.organisation);
  EXPECT_TRUE(catalog.Begin({}, {save, checkpoint, "path", false}).ok());
  StoreInTest in_test;
  in_test.sink = std::make_unique<RecordingSink>(replica::MakePackSink(&parts->vault.vault, save),
                                                 &parts->packs);
  in_test.open_source = [raw = parts.get(), save, checkpoint] {
    OrgCatalog catalog(&raw->vault.vault, raw->vault.organisation);
    CommitRequest commit{.save = save, .checkpoint = checkpoint, .path = "path"};
    commit.manifest = "manifest";
    commit.packs = raw->packs;
    const auto committed = catalog.Commit({}, commit);
    EXPECT_TRUE(committed.ok()) << committed.status();
    const auto lease = base::DrawId<base::LeaseId>(base::SystemRandom());
    EXPECT_TRUE(catalog.Open({}, "path", lease).ok());
    return replica::MakePackSource(&raw->vault.vault, raw->vault.organisation, lease);
  };
  in_test.store = std::move(parts);
  return in_test;
}
INSTANTIATE_TEST_SUITE_P(Providers, PackStoreConformance, ::testing::Values(&MakeStoreInTest));

}  // namespace
}  // namespace cedana::transfer
