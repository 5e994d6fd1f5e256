// The stores against servers that others wrote (servers.bash starts them). Which ones: the
// environment names each by its endpoint; one that is not named fails here, it is not skipped.
#include "core/base/environment.h"
#include "core/objstore/azure_error.h"
#include "core/objstore/azure_store.h"
#include "core/objstore/testing/conformance.h"
#include "core/objstore/testing/grant_conformance.h"

namespace cedana::objstore {
namespace {

std::string Setting(const char* name) {
  const std::string value = base::GetEnv(name).value_or("");
  EXPECT_FALSE(value.empty()) << name << " is not set: run `make test-peers`";
  return value;
}

http::Client* Http() {
  static http::Client* const client = (*http::Client::Create({})).release();
  return client;
}

// Each test has a prefix of its own, so that all of them find their store empty.
std::string FreshPrefix() { return absl::StrCat("t-", base::SystemRandom().Next64()); }

std::shared_ptr<ObjectStore> Azurite() {
  return AzureStore::Create({.endpoint = Setting("CEDANA_PEER_AZURITE"),
                             .container = "packs",
                             .prefix = FreshPrefix(),
                             .account = "devstoreaccount1",
                             .key_base64 = Setting("AZURE_STORAGE_KEY")},
                            Http())
      .value();
}

INSTANTIATE_TEST_SUITE_P(Azurite, ObjectStoreConformance, testing::Values(StoreMaker{Azurite}));
INSTANTIATE_TEST_SUITE_P(Azurite, GrantConformance,
                         testing::Values(GrantMaker{.make = Azurite, .error_of = AzureErrorOf}));

}  // namespace
}  // namespace cedana::objstore
