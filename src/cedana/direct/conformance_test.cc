// The direct ports against the suites that every version of the ports runs, over memory and over a
// directory.
#include <filesystem>

#include "cedana/direct/decisions.h"
#include "cedana/direct/folder_store.h"
#include "cedana/direct/testing/bucket.h"
#include "core/codec/crc32c.h"
#include "core/format/bytes.h"
#include "core/transfer/testing/catalog_conformance.h"
#include "core/transfer/testing/store_conformance.h"

namespace cedana::direct {
namespace {

// A store, and everything that stands on it.
struct Ground {
  explicit Ground(std::shared_ptr<objstore::ObjectStore> inner, std::string folder = "")
      : folder(std::move(folder)),
        inner(std::move(inner)),
        store(this->inner.get(), "test://bucket", FewTries(), {}) {}
  ~Ground() {
    if (!folder.empty()) std::filesystem::remove_all(folder);
  }
  Ground(const Ground&) = delete;

  const std::string folder;
  TestClock clock;
  const std::shared_ptr<objstore::ObjectStore> inner;
  RetryingStore store;
};

std::shared_ptr<Ground> InMemory() {
  return std::make_shared<Ground>(std::make_shared<objstore::MemoryStore>());
}

std::shared_ptr<Ground> InDirectory() {
  const std::string folder =
      absl::StrCat(testing::TempDir(), "direct-", absl::Hex(base::SystemRandom().Next64()));
  return std::make_shared<Ground>(std::make_shared<FolderStore>(folder), folder);
}

// As a collection does it a day later.
void EndAll(Ground& ground, DirectCatalog& catalog) {
  ground.clock.Advance(absl::Hours(25));
  const auto repository = catalog.OpenedRepository({});
  ASSERT_TRUE(repository.ok()) << repository.status();
  const Site site{&ground.store, &*repository, Times(), {}};
  const auto intents = ground.store.List({}, kIntents, "", 1000);
  ASSERT_TRUE(intents.ok());
  for (const objstore::ObjectInfo& intent : *intents) {
    EXPECT_TRUE(
        EndUncommitted({}, site, *SaveOfKey(kIntents, intent.key), DecisionState::kFenced).ok());
  }
}

template <std::shared_ptr<Ground> (*kMake)()>
transfer::CatalogInTest MakeCatalogInTest() {
  std::shared_ptr<Ground> ground = kMake();
  auto catalog = std::make_unique<DirectCatalog>(
      &ground->store,
      DirectCatalog::Options{std::nullopt, Times(), {&ground->clock, &base::SystemRandom()}});
  transfer::CatalogInTest in_test;
  in_test.store_pack = [ground = ground.get()](const base::SaveId&) {
    const std::string text = "a pack";
    transfer::StoredPack pack;
    pack.id = base::DrawId<base::PackId>(base::SystemRandom());
    pack.bytes = text.size();
    pack.crc32c = codec::Crc32c(format::AsBytes(text));
    pack.key_epoch = 1;
    EXPECT_TRUE(DirectSink(&ground->store, "test")
                    .Put({}, pack.id, format::AsBytes(text), pack.crc32c)
                    .ok());
    return pack;
  };
  in_test.expire_leases = [ground = ground.get(), catalog = catalog.get()] {
    EndAll(*ground, *catalog);
  };
  in_test.catalog = std::move(catalog);
  in_test.storage = std::move(ground);
  return in_test;
}

template <std::shared_ptr<Ground> (*kMake)()>
transfer::StoreInTest MakeStoreInTest() {
  std::shared_ptr<Ground> ground = kMake();
  RetryingStore* const store = &ground->store;
  return {std::move(ground), std::make_unique<DirectSink>(store, "test"),
          [store] { return std::make_unique<DirectSource>(store, "test"); }};
}

}  // namespace

using transfer::CatalogConformance;
using transfer::PackStoreConformance;

INSTANTIATE_TEST_SUITE_P(DirectMemory, CatalogConformance,
                         ::testing::Values(&MakeCatalogInTest<&InMemory>));
INSTANTIATE_TEST_SUITE_P(DirectDirectory, CatalogConformance,
                         ::testing::Values(&MakeCatalogInTest<&InDirectory>));
INSTANTIATE_TEST_SUITE_P(DirectMemory, PackStoreConformance,
                         ::testing::Values(&MakeStoreInTest<&InMemory>));
INSTANTIATE_TEST_SUITE_P(DirectDirectory, PackStoreConformance,
                         ::testing::Values(&MakeStoreInTest<&InDirectory>));

}  // namespace cedana::direct
