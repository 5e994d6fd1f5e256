// The memory versions of the ports against the suites that every other version runs, too.
#include "core/transfer/testing/catalog_conformance.h"
#include "core/transfer/testing/memory_catalog.h"
#include "core/transfer/testing/memory_store.h"
#include "core/transfer/testing/store_conformance.h"

namespace cedana::transfer {
namespace {

CatalogInTest MakeCatalogInTest() {
  auto catalog = std::make_unique<MemoryCatalog>();
  CatalogInTest in_test;
  in_test.expire_leases = [catalog = catalog.get()] { catalog->ExpireLeases(); };
  in_test.catalog = std::move(catalog);
  return in_test;
}

StoreInTest MakeStoreInTest() {
  auto store = std::make_shared<MemoryStore>();
  return {store, store->OpenSink(), [store = store.get()] { return store->OpenSource(); }};
}

INSTANTIATE_TEST_SUITE_P(Memory, CatalogConformance, ::testing::Values(&MakeCatalogInTest));
INSTANTIATE_TEST_SUITE_P(Memory, PackStoreConformance, ::testing::Values(&MakeStoreInTest));

}  // namespace
}  // namespace cedana::transfer
