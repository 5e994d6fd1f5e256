#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/objstore/gcs_error.h"
#include "core/objstore/gcs_store.h"
#include "core/objstore/memory_store.h"
#include "core/objstore/testing/conformance.h"
#include "core/objstore/testing/fault_conformance.h"
#include "core/objstore/testing/gcs_imposter.h"
#include "core/objstore/testing/grant_conformance.h"
#include "core/objstore/testing/service_account.h"

namespace cedana::objstore {
namespace {

// A cloud of one bucket, and a store on it.
struct Cloud {
  explicit Cloud(const std::string& prefix = "") {
    imposter =
        *Imposter::Start({}, MakeGcsImposter({.bucket = "packs",
                                              .client_email = TestServiceAccount().client_email,
                                              .public_key = TestServiceAccountPublicKey()},
                                             &objects));
    http::ClientOptions patient;
    patient.stall_timeout = absl::Seconds(2);
    client = *http::Client::Create(patient);
    const auto url =
        StoreUrl::Parse(absl::StrCat("gs://packs/", prefix, "?endpoint=", imposter->url()));
    store = GcsStore::Create(url.value(), TestServiceAccount(), client.get()).value();
  }

  MemoryStore objects;
  std::shared_ptr<Imposter> imposter;
  std::unique_ptr<http::Client> client;
  std::unique_ptr<GcsStore> store;
};

StoreMaker MakeGcs(const std::string& prefix) {
  return {[=]() -> std::shared_ptr<ObjectStore> {
    auto cloud = std::make_shared<Cloud>(prefix);
    return {cloud, cloud->store.get()};
  }};
}

INSTANTIATE_TEST_SUITE_P(Gcs, ObjectStoreConformance, testing::Values(MakeGcs("")));
INSTANTIATE_TEST_SUITE_P(GcsBelowAPrefix, ObjectStoreConformance,
                         testing::Values(MakeGcs("team/a/b")));
INSTANTIATE_TEST_SUITE_P(Gcs, GrantConformance,
                         testing::Values(GrantMaker{.make = MakeGcs("a/b").make,
                                                    .error_of = GcsErrorOf,
                                                    .binds_headers = true,
                                                    .header_prefix = "x-goog-"}));
INSTANTIATE_TEST_SUITE_P(Gcs, FaultConformance, testing::Values(CloudMaker{[] {
                           auto cloud = std::make_shared<Cloud>("p");
                           return CloudUnderTest{{cloud, cloud->imposter.get()},
                                                 {cloud, cloud->store.get()},
                                                 {TestServiceAccount().client_email,
                                                  TestServiceAccount().private_key}};
                         }}));

TEST(GcsStore, SaysWhatItsGrantsEnforce) {
  const Capabilities all = Cloud().store->capabilities();
  EXPECT_TRUE(all.signs_requests && all.grant_enforces_size && all.grant_enforces_checksum &&
              all.grant_enforces_create_only && all.keeps_checksum);
}

TEST(GcsStore, SignsEveryHeaderOfAGrant) {
  Cloud cloud;
  const auto bytes = RandomBytes(10);
  const auto grant =
      cloud.store->SignPut(Key("a"), 10, codec::Crc32c(bytes), absl::Now() + absl::Minutes(1));
  ASSERT_TRUE(grant.ok());
  EXPECT_TRUE(
      absl::StrContains(grant->url,
                        "X-Goog-SignedHeaders=host%3Bx-goog-content-length-range%3Bx-goog-hash%3B"
                        "x-goog-if-generation-match&"));
  EXPECT_EQ(grant->headers.size(), 3u);
}

TEST(GcsStore, RefusesAKeyThatIsNone) {
  const auto client = *http::Client::Create({});
  EXPECT_EQ(GcsStore::Create(*StoreUrl::Parse("gcs://b"), {"a@b", "no key"}, client.get())
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace cedana::objstore
