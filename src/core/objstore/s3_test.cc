#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/objstore/memory_store.h"
#include "core/objstore/open_store.h"
#include "core/objstore/s3_error.h"
#include "core/objstore/s3_store.h"
#include "core/objstore/testing/conformance.h"
#include "core/objstore/testing/fault_conformance.h"
#include "core/objstore/testing/grant_conformance.h"
#include "core/objstore/testing/s3_imposter.h"

namespace cedana::objstore {
namespace {

// A cloud of one bucket, and a store on it.
struct Cloud {
  explicit Cloud(const std::string& prefix = "", const std::string& parameters = "",
                 S3ImposterOptions options = {})
      : account(std::move(options)) {
    imposter = *Imposter::Start({}, MakeS3Imposter(account, &objects));
    http::ClientOptions patient;
    patient.stall_timeout = absl::Seconds(2);
    client = *http::Client::Create(patient);
    store = Store(prefix, parameters, account.credentials);
  }
  std::unique_ptr<S3Store> Store(const std::string& prefix, const std::string& parameters,
                                 const S3Credentials& credentials) {
    // A name for the bucket needs a host with names: *.localhost is loopback, by its own rule.
    const std::string endpoint = absl::StrReplaceAll(
        imposter->url(),
        {{"127.0.0.1",
          absl::StrContains(parameters, "style=virtual") ? "localhost" : "127.0.0.1"}});
    const auto url = StoreUrl::Parse(
        absl::StrCat("s3://", account.bucket, "/", prefix, "?endpoint=", endpoint, parameters));
    return S3Store::Create(url.value(), credentials, client.get()).value();
  }

  S3ImposterOptions account;
  MemoryStore objects;
  std::shared_ptr<Imposter> imposter;
  std::unique_ptr<http::Client> client;
  std::unique_ptr<S3Store> store;
};

StoreMaker MakeS3(const std::string& prefix, const std::string& parameters = "",
                  const S3ImposterOptions& options = {}) {
  return {[=]() -> std::shared_ptr<ObjectStore> {
    auto cloud = std::make_shared<Cloud>(prefix, parameters, options);
    return {cloud, cloud->store.get()};
  }};
}

const S3ImposterOptions kTemporary = {
    .bucket = "packs", .region = "eu-1", .credentials = {"ASIA", "secret/+=", "to/ken+=="}};
const S3ImposterOptions kPlainServer = {
    .bucket = "packs", .conditional_writes = false, .checksums = false};

INSTANTIATE_TEST_SUITE_P(S3, ObjectStoreConformance, testing::Values(MakeS3("")));
INSTANTIATE_TEST_SUITE_P(S3BelowAPrefix, ObjectStoreConformance,
                         testing::Values(MakeS3("team/a-b/c")));
INSTANTIATE_TEST_SUITE_P(S3ByHostName, ObjectStoreConformance,
                         testing::Values(MakeS3("p", "&style=virtual")));
INSTANTIATE_TEST_SUITE_P(S3WithASessionToken, ObjectStoreConformance,
                         testing::Values(MakeS3("p", "&region=eu-1", kTemporary)));

INSTANTIATE_TEST_SUITE_P(S3, GrantConformance,
                         testing::Values(GrantMaker{.make = MakeS3("a/b").make,
                                                    .error_of = S3ErrorOf,
                                                    .binds_headers = true,
                                                    .header_prefix = "x-amz-"}));
INSTANTIATE_TEST_SUITE_P(S3ByHostNameWithASessionToken, GrantConformance,
                         testing::Values(GrantMaker{
                             .make = MakeS3("", "&region=eu-1&style=virtual", kTemporary).make,
                             .error_of = S3ErrorOf,
                             .binds_headers = true,
                             .header_prefix = "x-amz-"}));
INSTANTIATE_TEST_SUITE_P(S3WithoutConditionsAndChecksums, GrantConformance,
                         testing::Values(GrantMaker{
                             .make = MakeS3("a", "&conditional=no&checksum=no", kPlainServer).make,
                             .error_of = S3ErrorOf,
                             .binds_headers = true,
                             .header_prefix = "x-amz-"}));

INSTANTIATE_TEST_SUITE_P(S3, FaultConformance, testing::Values(CloudMaker{[] {
                           auto cloud = std::make_shared<Cloud>("p", "&region=eu-1", kTemporary);
                           return CloudUnderTest{
                               {cloud, cloud->imposter.get()},
                               {cloud, cloud->store.get()},
                               {cloud->account.credentials.access_key_id,
                                cloud->account.credentials.secret_access_key,
                                cloud->account.credentials.session_token, "to%2Fken"}};
                         }}));

TEST(S3Store, SaysWhatItsGrantsEnforce) {
  const Capabilities all = Cloud().store->capabilities();
  EXPECT_TRUE(all.signs_requests && all.grant_enforces_size && all.grant_enforces_checksum &&
              all.grant_enforces_create_only && all.creates_atomically && all.keeps_checksum);
  const Capabilities less =
      Cloud("", "&conditional=no&checksum=no", kPlainServer).store->capabilities();
  EXPECT_TRUE(less.signs_requests && less.grant_enforces_size);
  EXPECT_FALSE(less.grant_enforces_checksum || less.grant_enforces_create_only ||
               less.creates_atomically || less.keeps_checksum);
}

TEST(S3Store, WritesToServersWithoutConditionsOrChecksums) {
  Cloud cloud("", "&conditional=no&checksum=no", kPlainServer);
  const auto bytes = RandomBytes(1000);
  EXPECT_TRUE(cloud.store->Put({}, Key("a"), bytes, {.crc32c = codec::Crc32c(bytes)}).ok());
  EXPECT_EQ(cloud.store->Put({}, Key("a"), bytes, {}).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(cloud.store->Put({}, Key("b"), bytes, {.crc32c = 1}).code(),
            absl::StatusCode::kDataLoss);
  EXPECT_TRUE(cloud.store->Put({}, Key("a"), bytes, {.create_only = false}).ok());
  EXPECT_EQ((*cloud.store->Head({}, Key("a")))->crc32c, std::nullopt);
}

TEST(S3Store, IsDeniedWithWrongCredentials) {
  Cloud cloud("", "", kTemporary);
  const auto code = [&](const S3Credentials& credentials, const std::string& region = "eu-1") {
    const auto store = cloud.Store("", "&region=" + region, credentials);
    const absl::Status status = store->Put({}, Key("a"), RandomBytes(10), {});
    EXPECT_FALSE(absl::StrContains(status.message(), "wrong")) << status;
    return status.code();
  };
  EXPECT_EQ(code({"ASIA", "secret/+=", "to/ken+=="}), absl::StatusCode::kOk);
  EXPECT_EQ(code({"ASIA", "wrong", "to/ken+=="}), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(code({"wrong", "secret/+=", "to/ken+=="}), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(code({"ASIA", "secret/+=", "wrong"}), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(code({"ASIA", "secret/+=", ""}), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(code({"ASIA", "secret/+=", "to/ken+=="}, "eu-2"),
            absl::StatusCode::kFailedPrecondition);
}

TEST(S3Store, TellsAMissingBucketFromAMissingObject) {
  Cloud cloud;
  const auto url = StoreUrl::Parse(absl::StrCat("s3://other?endpoint=", cloud.imposter->url()));
  const auto store = *S3Store::Create(*url, cloud.account.credentials, cloud.client.get());
  EXPECT_EQ(Fetch(*store, Key("a")).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(store->List({}, "", "", 10).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(store->Delete({}, Key("a")).code(), absl::StatusCode::kFailedPrecondition);
}

TEST(S3Store, ListsThousandsOverPages) {
  Cloud cloud("p");
  for (int i = 0; i < 2500; ++i) {
    ASSERT_TRUE(cloud.objects.Put({}, Key(absl::StrCat("p/s/", i)), RandomBytes(1), {}).ok());
  }
  ASSERT_TRUE(cloud.objects.Put({}, Key("p2/s/1"), RandomBytes(1), {}).ok());
  EXPECT_EQ(cloud.store->List({}, "s/", "", 10000)->size(), 2500u);
  EXPECT_EQ(cloud.store->List({}, "s/", "", 1700)->size(), 1700u);
  EXPECT_EQ(cloud.imposter->counts().requests, 3 + 2);
}

TEST(S3Store, SendsNoBodyThatWillBeRefused) {
  Cloud cloud;
  const auto bytes = RandomBytes(4 << 20);
  ASSERT_TRUE(cloud.store->Put({}, Key("a"), bytes, {}).ok());
  EXPECT_EQ(cloud.store->Put({}, Key("a"), bytes, {}).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(cloud.imposter->counts().body_bytes_in, 4 << 20);
}

TEST(S3Store, RefusesAListingThatItCannotTrust) {
  Cloud cloud;
  class Garbled final : public ImposterDialect {
   public:
    explicit Garbled(std::string body) : body_(std::move(body)) {}
    ImposterTarget TargetOf(const http::ServerRequest&) const override { return {}; }
    std::optional<ImposterAnswer> Refuse(const http::ServerRequest&, absl::Time) override {
      return std::nullopt;
    }
    ImposterAnswer Serve(const base::Context&, const http::ServerRequest&, absl::string_view,
                         absl::Time) override {
      return {.body = body_};
    }
    ImposterAnswer ErrorAnswer(const http::ServerRequest&, int, const std::string&) const override {
      return {};
    }

   private:
    const std::string body_;
  };
  const auto list = [&](const std::string& body) {
    const auto other = *Imposter::Start({}, std::make_unique<Garbled>(body));
    const auto url = StoreUrl::Parse(absl::StrCat("s3://packs?endpoint=", other->url()));
    const auto store = *S3Store::Create(*url, cloud.account.credentials, cloud.client.get());
    return store->List({}, "", "", 10).status().code();
  };
  const auto entry = [](absl::string_view key, absl::string_view size = "1") {
    return absl::StrCat("<Contents><Key>", key, "</Key><Size>", size,
                        "</Size><LastModified>2026-11-27T19:00:00.000Z</LastModified></Contents>");
  };
  const auto page = [](absl::string_view inside) {
    return absl::StrCat("<ListBucketResult>", inside, "</ListBucketResult>");
  };
  EXPECT_EQ(list(page(entry("a") + entry("b") + entry("Not/a/key"))),
            absl::StatusCode::kFailedPrecondition);  // "N" < "b"
  EXPECT_EQ(list(page(entry("NotAKey") + entry("a") + entry("b%20"))), absl::StatusCode::kOk);
  EXPECT_EQ(list(page(entry("b") + entry("a"))), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(list(page(entry("a", "-1"))), absl::StatusCode::kInternal);
  EXPECT_EQ(list(page("<Contents><Size>1</Size></Contents>")), absl::StatusCode::kInternal);
  EXPECT_EQ(list(page("<IsTruncated>true</IsTruncated>")), absl::StatusCode::kInternal);
  EXPECT_EQ(list(page("<IsTruncated>true</IsTruncated>"
                      "<NextContinuationToken>t</NextContinuationToken>")),
            absl::StatusCode::kInternal);  // for ever
  EXPECT_EQ(list("<html>"), absl::StatusCode::kInternal);
  EXPECT_EQ(list(""), absl::StatusCode::kInternal);
}

TEST(S3Store, SignsNothingThatHasEnded) {
  Cloud cloud;
  EXPECT_EQ(cloud.store->SignPut(Key("a"), 1, 0, absl::Now() - absl::Seconds(1)).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(cloud.store->SignGet(Key("a"), absl::Now()).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(
      cloud.store->SignPut(Key("a"), uint64_t{6} << 30, 0, absl::InfiniteFuture()).status().code(),
      absl::StatusCode::kInvalidArgument);
}

TEST(OpenStore, OpensEveryDialectWithItsCredentials) {
  const auto client = *http::Client::Create({});
  const auto open = [&](absl::string_view url, Credentials credentials) {
    return OpenStore(*StoreUrl::Parse(url), credentials, client.get()).status().code();
  };
  Credentials s3;
  s3.s3 = S3Credentials{"a", "b", ""};
  Credentials azure;
  azure.azure = AzureCredentials{"acme", "a2V5", ""};
  EXPECT_EQ(open("s3://b", s3), absl::StatusCode::kOk);
  EXPECT_EQ(open("s3://b", {}), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(open("gcs://b", s3), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(open("azure://container", azure), absl::StatusCode::kOk);
  EXPECT_EQ(open("azure://container", s3), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(open("file:///nowhere/at/all", {}), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace cedana::objstore
