// The stores against servers that others wrote. servers.bash starts them and says in the
// environment where each is; one that is not named there fails here, it is not skipped.
//
// What a server does not do as the cloud documents it is a flag below, tested as such: a server
// that learns it makes its test fail. docs/providers.md lists them.
#include <functional>

#include "absl/strings/ascii.h"
#include "core/base/environment.h"
#include "core/objstore/credentials.h"
#include "core/objstore/dialect.h"
#include "core/objstore/open_store.h"
#include "core/objstore/store_url.h"
#include "core/objstore/testing/conformance.h"
#include "core/objstore/testing/grant_conformance.h"

namespace cedana::objstore {
namespace {

http::Client* Http() {
  static http::Client* const client = (*http::Client::Create({})).release();
  return client;
}

std::string Setting(const std::string& name) {
  const std::string value = base::GetEnv(name).value_or("");
  if (value.empty()) ADD_FAILURE() << name << " is not set: run `make test-peers`";
  return value;
}

// The bucket `packs` of the peer of this dialect. Each test has a prefix of its own, so that it
// finds its store empty.
std::shared_ptr<ObjectStore> OpenPeer(Dialect dialect, absl::string_view options = "") {
  const std::string name(DialectName(dialect));
  const std::string setting = "CEDANA_PEER_" + absl::AsciiStrToUpper(name);
  const auto url = StoreUrl::Parse(absl::StrCat(
      name, "://packs/t-", base::SystemRandom().Next64(), "?endpoint=", Setting(setting),
      "&credentials=", Setting(setting + "_CREDENTIALS"), options));
  EXPECT_TRUE(url.ok()) << url.status();
  const auto credentials = LoadCredentials(*url);
  EXPECT_TRUE(credentials.ok()) << credentials.status();
  return OpenStore(*url, *credentials, Http()).value();
}

std::shared_ptr<ObjectStore> Versitygw() { return OpenPeer(Dialect::kS3, "&style=path"); }
std::shared_ptr<ObjectStore> FakeGcs() { return OpenPeer(Dialect::kGcs); }
std::shared_ptr<ObjectStore> Azurite() { return OpenPeer(Dialect::kAzure); }

auto ErrorsOf(Dialect dialect) { return std::bind_front(ErrorOfAnswer, dialect); }

INSTANTIATE_TEST_SUITE_P(Versitygw, ObjectStoreConformance, testing::Values(StoreMaker{Versitygw}));
INSTANTIATE_TEST_SUITE_P(Versitygw, GrantConformance,
                         testing::Values(GrantMaker{.make = Versitygw,
                                                    .error_of = ErrorsOf(Dialect::kS3)}));

INSTANTIATE_TEST_SUITE_P(FakeGcs, ObjectStoreConformance,
                         testing::Values(StoreMaker{.make = FakeGcs,
                                                    .enforces_create_only = false,
                                                    .checks_checksums = false,
                                                    .words_absence = false}));
INSTANTIATE_TEST_SUITE_P(FakeGcs, GrantConformance,
                         testing::Values(GrantMaker{.make = FakeGcs,
                                                    .error_of = ErrorsOf(Dialect::kGcs),
                                                    .checks_signatures = false,
                                                    .checks_expiry = false,
                                                    .enforces_create_only = false,
                                                    .enforces_checksum = false,
                                                    .enforces_size = false}));

INSTANTIATE_TEST_SUITE_P(Azurite, ObjectStoreConformance, testing::Values(StoreMaker{Azurite}));
INSTANTIATE_TEST_SUITE_P(Azurite, GrantConformance,
                         testing::Values(GrantMaker{.make = Azurite,
                                                    .error_of = ErrorsOf(Dialect::kAzure),
                                                    .names_the_overwrite = false}));

}  // namespace
}  // namespace cedana::objstore
