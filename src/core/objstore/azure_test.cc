#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/status.h"
#include "core/objstore/azure_auth.h"
#include "core/objstore/azure_error.h"
#include "core/objstore/azure_listing.h"
#include "core/objstore/azure_store.h"
#include "core/objstore/memory_store.h"
#include "core/objstore/testing/azure_imposter.h"
#include "core/objstore/testing/conformance.h"
#include "core/objstore/testing/fault_conformance.h"
#include "core/objstore/testing/grant_conformance.h"
#include "gmock/gmock.h"

namespace cedana::objstore {
namespace {

using absl::StatusCode;
using testing::HasSubstr;
using testing::Not;

// The emulator's account, which the documentation gives with its key.
constexpr char kName[] = "devstoreaccount1";
constexpr char kKey[] =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/"
    "K1SZFPTOtr/KBHBeksoGMGw==";

// A cloud of one container, and a store on it.
struct Cloud {
  explicit Cloud(const std::string& prefix = "") {
    imposter = *Imposter::Start({}, MakeAzureImposter(account, &objects));
    http::ClientOptions fast;
    fast.stall_timeout = absl::Milliseconds(500);
    client = *http::Client::Create(fast);
    store = Store({.prefix = prefix, .key_base64 = account.key_base64});
  }
  std::unique_ptr<AzureStore> Store(AzureOptions options) {
    options.endpoint = absl::StrCat(imposter->url(), "/", account.account);
    options.account = account.account;
    if (options.container.empty()) options.container = account.container;
    return AzureStore::Create(options, client.get()).value();
  }
  // Sends a signed request as a client does, and what comes of it.
  absl::StatusOr<std::string> Send(const SignedRequest& grant, absl::string_view body,
                                   http::Headers more = {}) {
    http::ClientRequest request;
    request.method = grant.method;
    request.url = grant.url;
    request.headers = grant.headers;
    request.headers.insert(request.headers.end(), more.begin(), more.end());
    request.body = {reinterpret_cast<const uint8_t*>(body.data()), body.size()};
    request.has_body = grant.method == "PUT";
    CEDANA_ASSIGN_OR_RETURN(const http::ClientResponse response, client->Do({}, request));
    if (response.status / 100 != 2) return AzureErrorOf("grant", response);
    return response.body;
  }

  AzureImposterOptions account;
  MemoryStore objects;
  std::unique_ptr<Imposter> imposter;
  std::unique_ptr<http::Client> client;
  std::unique_ptr<AzureStore> store;
};

std::shared_ptr<ObjectStore> MakeAzure(const std::string& prefix) {
  auto cloud = std::make_shared<Cloud>(prefix);
  return {cloud, cloud->store.get()};
}

INSTANTIATE_TEST_SUITE_P(Azure, ObjectStoreConformance,
                         testing::Values(StoreMaker{[] { return MakeAzure(""); }}));
INSTANTIATE_TEST_SUITE_P(AzureBelowAPrefix, ObjectStoreConformance,
                         testing::Values(StoreMaker{[] { return MakeAzure("a/b"); }}));

INSTANTIATE_TEST_SUITE_P(Azure, GrantConformance,
                         testing::Values(GrantMaker{.make = [] { return MakeAzure("a/b"); },
                                                    .error_of = AzureErrorOf}));

INSTANTIATE_TEST_SUITE_P(Azure, FaultConformance, testing::Values(CloudMaker{[] {
                           auto cloud = std::make_shared<Cloud>("p");
                           return CloudUnderTest{{cloud, cloud->imposter.get()},
                                                 {cloud, cloud->store.get()},
                                                 {cloud->account.key_base64}};
                         }}));

TEST(AzureAuth, SignsTheDocumentedRequest) {
  const AzureRequest request{
      .method = "GET",
      .path = "/mycontainer",
      .query = {{"restype", "container"}, {"comp", "metadata"}, {"timeout", "20"}},
      .headers = {{"x-ms-version", "2015-02-21"}, {"x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT"}}};
  EXPECT_EQ(SharedKeyText("myaccount", request),
            "GET\n\n\n\n\n\n\n\n\n\n\n\n"
            "x-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n"
            "/myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20");
  // The text above through another program's HMAC, under the emulator's documented key.
  const AzureAccount account{.name = "myaccount", .key = AzureAccount::Parse(kName, kKey)->key};
  EXPECT_EQ(SharedKeyAuthorization(account, request),
            "SharedKey myaccount:1u9lui2jDxj0+fpbHjQ5m5NnastJRSYM+PSmfi8TXx4=");
}

TEST(AzureAuth, PutsHeadersInTheirPlacesAndOrder) {
  const AzureRequest request{.method = "PUT",
                             .path = "/c/a%20b",
                             .query = {{"Tag", "b"}, {"tag", "a"}},
                             .headers = {{"X-Ms-Meta-B", " 2 "},
                                         {"Content-MD5", "md5"},
                                         {"x-ms-blob-type", "BlockBlob"},
                                         {"Range", "bytes=1-2"},
                                         {"If-None-Match", "*"},
                                         {"Content-Length", "11"},
                                         {"User-Agent", "not signed"},
                                         {"Content-Type", "text/plain"}}};
  EXPECT_EQ(SharedKeyText("acme", request),
            "PUT\n\n\n11\nmd5\ntext/plain\n\n\n\n*\n\nbytes=1-2\n"
            "x-ms-blob-type:BlockBlob\nx-ms-meta-b:2\n/acme/c/a%20b\ntag:a,b");
}

TEST(AzureAuth, SignsOneBlobForAWhile) {
  const AzureAccount account = *AzureAccount::Parse(kName, kKey);
  absl::Time expires;
  ASSERT_TRUE(absl::ParseTime(absl::RFC3339_full, "2026-11-27T20:00:00Z", &expires, nullptr));
  const BlobSas sas{
      .permissions = "c", .container = "packs", .blob = "s/a/p-1", .expires = expires};
  EXPECT_EQ(BlobSasText(kName, sas),
            "c\n\n2026-11-27T20:00:00Z\n/blob/devstoreaccount1/packs/s/a/p-1\n\n\nhttps\n"
            "2021-12-02\nb\n\n\n\n\n\n\n");
  EXPECT_EQ(BlobSasQuery(account, sas),
            "sv=2021-12-02&sr=b&sp=c&se=2026-11-27T20%3A00%3A00Z&spr=https&sig="
            "lPZPxOHmsZFnzWx4eymG1fDZROao8oCjitDQmgW%2FWf0%3D");
}

TEST(AzureAuth, RefusesAKeyThatIsNone) {
  const auto account = AzureAccount::Parse("acme", "secret!");
  EXPECT_EQ(account.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(account.status().message(), Not(HasSubstr("secret")));
  EXPECT_FALSE(AzureAccount::Parse("a/b", kKey).ok());
  EXPECT_FALSE(AzureAccount::Parse("acme", "").ok());
}

http::ClientResponse Answer(int status, const std::string& code, http::Headers headers = {}) {
  if (!code.empty()) headers.emplace_back("x-ms-error-code", code);
  return {.status = status, .headers = std::move(headers)};
}

TEST(AzureError, KnowsTheDocumentedCodes) {
  const struct {
    int status;
    const char* code;
    StatusCode meaning;
  } rows[] = {{503, "ServerBusy", StatusCode::kUnavailable},
              {429, "TooManyRequests", StatusCode::kUnavailable},
              {500, "InternalError", StatusCode::kUnavailable},
              {500, "OperationTimedOut", StatusCode::kUnknown},
              {409, "BlobAlreadyExists", StatusCode::kAlreadyExists},
              {412, "ConditionNotMet", StatusCode::kAlreadyExists},
              {403, "UnauthorizedBlobOverwrite", StatusCode::kAlreadyExists},
              {412, "LeaseIdMissing", StatusCode::kFailedPrecondition},
              {404, "BlobNotFound", StatusCode::kNotFound},
              {404, "ContainerNotFound", StatusCode::kFailedPrecondition},
              {409, "ContainerBeingDeleted", StatusCode::kFailedPrecondition},
              {409, "BlobImmutableDueToPolicy", StatusCode::kFailedPrecondition},
              {400, "Md5Mismatch", StatusCode::kDataLoss},
              {400, "Crc64Mismatch", StatusCode::kDataLoss},
              {400, "InvalidMd5", StatusCode::kInvalidArgument},
              {403, "AuthenticationFailed", StatusCode::kPermissionDenied},
              {401, "NoAuthenticationInformation", StatusCode::kPermissionDenied},
              {400, "InvalidAuthenticationInfo", StatusCode::kPermissionDenied},
              {403, "AuthorizationPermissionMismatch", StatusCode::kPermissionDenied},
              {403, "InsufficientAccountPermissions", StatusCode::kPermissionDenied},
              {413, "RequestBodyTooLarge", StatusCode::kInvalidArgument},
              {416, "InvalidRange", StatusCode::kInvalidArgument},
              {507, "", StatusCode::kResourceExhausted},
              {504, "", StatusCode::kUnknown},
              {503, "", StatusCode::kUnavailable},
              // A proxy, or another server: it says nothing about blobs.
              {404, "", StatusCode::kFailedPrecondition},
              {301, "", StatusCode::kInternal}};
  for (const auto& row : rows) {
    const absl::Status status = AzureErrorOf("PUT packs/a", Answer(row.status, row.code));
    EXPECT_EQ(status.code(), row.meaning) << row.status << " " << row.code;
    EXPECT_THAT(status.message(), HasSubstr(absl::StrCat("PUT packs/a: HTTP ", row.status)));
    EXPECT_THAT(status.message(), HasSubstr(row.code));
  }
}

TEST(AzureError, ReadsTheBodyAndRetryAfter) {
  http::ClientResponse answer{.status = 503, .headers = {{"retry-after", "7"}}};
  answer.body = "\xEF\xBB\xBF<?xml version=\"1.0\"?><Error><Code>ServerBusy</Code></Error>";
  EXPECT_EQ(base::RetryAfter(AzureErrorOf("PUT", answer)), absl::Seconds(7));
  EXPECT_EQ(AzureErrorOf("PUT", answer).message(), "PUT: HTTP 503 ServerBusy");
  answer.headers = {{"retry-after", "99999999"}};
  EXPECT_EQ(base::RetryAfter(AzureErrorOf("PUT", answer)), absl::Hours(1));
  answer.headers = {{"retry-after", "soon"}};
  EXPECT_EQ(base::RetryAfter(AzureErrorOf("PUT", answer)), absl::Milliseconds(100));
  // What is no code is not repeated, nor is the message, which quotes what was signed.
  answer.body = "<Error><Code>bad\ncode</Code><Message>sig=SECRET</Message></Error>";
  EXPECT_EQ(AzureErrorOf("PUT", answer).message(), "PUT: HTTP 503");
  answer.body = std::string(100, '<');
  EXPECT_EQ(AzureErrorOf("PUT", answer).message(), "PUT: HTTP 503");
}

TEST(AzureError, NamesTheRequestForTheProvidersSupport) {
  const std::string id = "f5e6a7b8-001e-0052-1234-56789a000000";
  EXPECT_EQ(AzureErrorOf("GET x", Answer(404, "BlobNotFound", {{"x-ms-request-id", id}})).message(),
            absl::StrCat("GET x: HTTP 404 BlobNotFound (request ", id, ")"));
  EXPECT_EQ(
      AzureErrorOf("GET x", Answer(404, "BlobNotFound", {{"x-ms-request-id", "a b\n"}})).message(),
      "GET x: HTTP 404 BlobNotFound");
}

TEST(AzureListing, RefusesWhatIsNone) {
  EXPECT_FALSE(ParseAzureListing("", "").ok());
  EXPECT_FALSE(ParseAzureListing("<html>hello</html>", "").ok());
  const auto listing = [](absl::string_view blob) {
    return absl::StrCat("<EnumerationResults><Blobs><Blob>", blob,
                        "</Blob></Blobs><NextMarker>m</NextMarker></EnumerationResults>");
  };
  EXPECT_FALSE(ParseAzureListing(listing("<Name>a</Name>"), "").ok());
  EXPECT_FALSE(ParseAzureListing(listing("<Name>b/a</Name>"), "a/").ok());
  EXPECT_FALSE(ParseAzureListing(listing("<Name>a</Name><Properties><Content-Length>1"
                                         "</Content-Length></Properties>"),
                                 "")
                   .ok());
  const auto foreign = ParseAzureListing(listing("<Name>a/Not Ours</Name>"), "a/");
  ASSERT_TRUE(foreign.ok()) << foreign.status();
  EXPECT_TRUE(foreign->objects.empty());
  EXPECT_EQ(foreign->next_marker, "m");
}

TEST(AzureStore, RefusesOptionsThatCannotWork) {
  const auto client = *http::Client::Create({});
  const AzureOptions good{.endpoint = "https://acme.blob.core.windows.net",
                          .container = "packs",
                          .account = "acme",
                          .key_base64 = kKey};
  EXPECT_TRUE(AzureStore::Create(good, client.get()).ok());
  const auto refused = [&](void (*change)(AzureOptions&)) {
    AzureOptions bad = good;
    change(bad);
    const auto store = AzureStore::Create(bad, client.get());
    EXPECT_THAT(store.status().message(), Not(HasSubstr("SECRET")));
    return store.status().code() == StatusCode::kInvalidArgument;
  };
  EXPECT_TRUE(refused([](AzureOptions& o) { o.endpoint = "acme.blob.core.windows.net"; }));
  EXPECT_TRUE(refused([](AzureOptions& o) { o.endpoint += "?sig=SECRET"; }));
  EXPECT_TRUE(refused([](AzureOptions& o) { o.endpoint = "https://me:SECRET@host"; }));
  EXPECT_TRUE(refused([](AzureOptions& o) { o.container = "a/b"; }));
  EXPECT_TRUE(refused([](AzureOptions& o) { o.container = "Packs"; }));
  EXPECT_TRUE(refused([](AzureOptions& o) { o.key_base64 = "SECRET!"; }));
  EXPECT_TRUE(refused([](AzureOptions& o) { o.key_base64 = ""; }));
  EXPECT_TRUE(refused([](AzureOptions& o) { o.sas = "sv=1&sig=SECRET"; }));
}

TEST(AzureStore, SaysWhatItsGrantsEnforce) {
  Cloud cloud;
  const Capabilities can = cloud.store->capabilities();
  EXPECT_TRUE(can.signs_requests && can.grant_enforces_create_only);
  EXPECT_FALSE(can.grant_enforces_size || can.grant_enforces_checksum || can.keeps_checksum);
  const auto borrower = cloud.Store({.sas = "sv=2021-12-02&sig=x"});
  EXPECT_FALSE(borrower->capabilities().signs_requests);
  EXPECT_EQ(borrower->SignGet(Key("a"), absl::Now()).status().code(), StatusCode::kUnimplemented);
}

TEST(AzureStore, KeepsBothChecksumsOfWhatItPuts) {
  Cloud cloud("pre/fix/");
  const auto bytes = RandomBytes(1000);
  ASSERT_TRUE(cloud.store->Put({}, Key("s/1"), bytes, {}).ok());
  const std::string md5 =
      *ParseMd5(ContentMd5({reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
  const auto list = cloud.store->List({}, "s/", "", 10);
  ASSERT_TRUE(list.ok() && list->size() == 1) << list.status();
  const auto head = cloud.store->Head({}, Key("s/1"));
  ASSERT_TRUE(head.ok() && *head) << head.status();
  for (const ObjectInfo& info : {list->front(), **head}) {
    EXPECT_EQ(info.crc32c, codec::Crc32c(bytes));
    EXPECT_EQ(info.md5, md5);
  }
  EXPECT_TRUE((*cloud.objects.Head({}, Key("pre/fix/s/1"))).has_value());
}

TEST(AzureStore, ReadsListingsOnFromWhereTheyWere) {
  Cloud cloud("p");
  for (int i = 0; i < 30; ++i) {
    ASSERT_TRUE(cloud.objects.Put({}, Key(absl::StrCat("p/s/", 10 + i)), RandomBytes(1), {}).ok());
  }
  const auto names = [&](const std::string& after, size_t limit) {
    std::string all;
    const auto list = cloud.store->List({}, "s/", after, limit);
    EXPECT_TRUE(list.ok()) << list.status();
    for (const ObjectInfo& info : *list) absl::StrAppend(&all, info.key.substr(2), " ");
    return all;
  };
  EXPECT_EQ(names("", 3), "10 11 12 ");
  EXPECT_EQ(names("s/12", 3), "13 14 15 ");
  EXPECT_EQ(cloud.imposter->counts().requests, 2);
  // Nobody asked up to here before, and another page size than before.
  EXPECT_EQ(names("s/30", 4), "31 32 33 34 ");
  EXPECT_EQ(names("s/34", 2), "35 36 ");
  EXPECT_EQ(names("s/36", 10), "37 38 39 ");
  // Asked for again, the bookmark is used up.
  EXPECT_EQ(names("s/12", 2), "13 14 ");
  // What was deleted meanwhile is no reason to stop.
  ASSERT_TRUE(cloud.store->Delete({}, Key("s/14")).ok());
  EXPECT_EQ(names("s/14", 1), "15 ");
}

TEST(AzureStore, StartsAgainWhenTheServiceForgotItsMarker) {
  Cloud cloud;
  for (const char* key : {"a", "b", "c"}) {
    ASSERT_TRUE(cloud.store->Put({}, Key(key), RandomBytes(1), {}).ok());
  }
  ASSERT_EQ(cloud.store->List({}, "", "", 1)->size(), 1u);
  cloud.imposter->AddFault({.operation = Operation::kList,
                            .times = 1,
                            .status = 400,
                            .code = "OutOfRangeQueryParameterValue"});
  const auto rest = cloud.store->List({}, "", "a", 5);
  ASSERT_TRUE(rest.ok()) << rest.status();
  EXPECT_EQ(rest->size(), 2u);
}

TEST(AzureStore, TellsAMissingContainerFromAMissingBlob) {
  Cloud cloud;
  const auto elsewhere =
      cloud.Store({.container = "elsewhere", .key_base64 = cloud.account.key_base64});
  EXPECT_EQ(elsewhere->Put({}, Key("a"), RandomBytes(1), {}).code(),
            StatusCode::kFailedPrecondition);
  EXPECT_EQ(elsewhere->Head({}, Key("a")).status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(elsewhere->Delete({}, Key("a")).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(elsewhere->List({}, "", "", 1).status().code(), StatusCode::kFailedPrecondition);
}

TEST(AzureStore, IsRefusedWithAnotherKeyOrClock) {
  Cloud cloud;
  const auto stranger = cloud.Store({.key_base64 = "c3RyYW5nZXI="});
  EXPECT_EQ(stranger->Put({}, Key("a"), RandomBytes(9), {}).code(), StatusCode::kPermissionDenied);
  EXPECT_EQ(stranger->Head({}, Key("a")).status().code(), StatusCode::kPermissionDenied);
  cloud.imposter->SetClockSkew(absl::Minutes(14));
  EXPECT_TRUE(cloud.store->Head({}, Key("a")).ok());
  cloud.imposter->SetClockSkew(-absl::Minutes(16));
  EXPECT_EQ(cloud.store->Head({}, Key("a")).status().code(), StatusCode::kPermissionDenied);
}

TEST(AzureStore, MeetsWhatCloudsDo) {
  Cloud cloud;
  const auto bytes = RandomBytes(100000);
  ASSERT_TRUE(cloud.store->Put({}, Key("there"), bytes, {}).ok());
  const auto put = [&](ImposterFault fault) {
    cloud.imposter->ClearFaults();
    cloud.imposter->AddFault(std::move(fault));
    const absl::Status status = cloud.store->Put({}, Key("new"), bytes, {});
    cloud.imposter->ClearFaults();
    EXPECT_THAT(status.message(), Not(HasSubstr("SharedKey")));
    EXPECT_THAT(status.message(), Not(HasSubstr("sig=")));
    return status;
  };
  const absl::Status busy = put({.status = 503, .retry_after = absl::Seconds(3)});
  EXPECT_EQ(busy.code(), StatusCode::kUnavailable);
  EXPECT_EQ(base::RetryAfter(busy), absl::Seconds(3));
  EXPECT_EQ(put({.status = 429}).code(), StatusCode::kUnavailable);
  EXPECT_EQ(put({.status = 500, .code = "OperationTimedOut"}).code(), StatusCode::kUnknown);
  EXPECT_EQ(put({.status = 507}).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(put({.no_answer = true}).code(), StatusCode::kUnknown);
  EXPECT_FALSE((*cloud.store->Head({}, Key("new"))).has_value());
  EXPECT_EQ(put({.lose_reply = true}).code(), StatusCode::kUnknown);
  EXPECT_EQ(*Fetch(*cloud.store, Key("new")), bytes);

  // A read changes nothing: whatever became of it, it may be tried again.
  for (ImposterFault fault : {ImposterFault{.no_answer = true}, ImposterFault{.lose_reply = true},
                              ImposterFault{.status = 500, .code = "OperationTimedOut"}}) {
    cloud.imposter->ClearFaults();
    cloud.imposter->AddFault(fault);
    EXPECT_EQ(Fetch(*cloud.store, Key("there")).status().code(), StatusCode::kUnavailable);
    EXPECT_EQ(cloud.store->Head({}, Key("there")).status().code(), StatusCode::kUnavailable);
    EXPECT_EQ(cloud.store->List({}, "", "", 1).status().code(), StatusCode::kUnavailable);
    EXPECT_EQ(cloud.store->Delete({}, Key("other")).code(), StatusCode::kUnknown);
  }
  cloud.imposter->ClearFaults();
  cloud.imposter->AddFault({.operation = Operation::kList, .times = 1, .cut_after = 20});
  EXPECT_EQ(cloud.store->List({}, "", "", 1).status().code(), StatusCode::kUnavailable);

  cloud.imposter->AddFault({.operation = Operation::kGet, .times = 1, .cut_after = 5000});
  EXPECT_EQ(Fetch(*cloud.store, Key("there")).status().code(), StatusCode::kUnavailable);
  cloud.imposter->AddFault({.operation = Operation::kGet, .times = 1, .cut_after = 100});
  EXPECT_EQ(Fetch(*cloud.store, Key("there"), 7, 500).status().code(), StatusCode::kUnavailable);
  ASSERT_TRUE(cloud.imposter->SetListening(false).ok());
  EXPECT_EQ(cloud.store->Put({}, Key("later"), bytes, {}).code(), StatusCode::kUnavailable);
}

// What a grant binds no checksum of, its sender may still have checked on the way.
TEST(AzureGrant, KnowsTheMd5OfWhatCame) {
  Cloud cloud("p");
  const absl::Time soon = absl::Now() + absl::Minutes(1);
  const auto put = *cloud.store->SignPut(Key("s/1"), 5, 0, soon);
  EXPECT_EQ(cloud.Send(put, "hellO", {{"Content-MD5", ContentMd5("hello")}}).status().code(),
            StatusCode::kDataLoss);
  ASSERT_TRUE(cloud.Send(put, "hello").ok());
  for (const ObjectInfo& info :
       {**cloud.store->Head({}, Key("s/1")), cloud.store->List({}, "", "", 1)->front()}) {
    EXPECT_EQ(info.bytes, 5u);
    EXPECT_EQ(info.md5, ParseMd5(ContentMd5("hello")));
    EXPECT_FALSE(info.crc32c.has_value());
  }
}

TEST(AzureGrant, IsBoundInEveryPart) {
  Cloud cloud;
  const absl::Time soon = absl::Now() + absl::Minutes(1);
  ASSERT_TRUE(cloud.store->Put({}, Key("a"), RandomBytes(10), {}).ok());
  const auto denied = [&](SignedRequest grant) {
    return absl::IsPermissionDenied(cloud.Send(grant, grant.method == "PUT" ? "x" : "").status());
  };
  const SignedRequest put = *cloud.store->SignPut(Key("b"), 1, 0, soon);
  const SignedRequest get = *cloud.store->SignGet(Key("a"), soon);
  const auto as = [](SignedRequest grant, const char* method) {
    grant.method = method;
    return grant;
  };
  const auto with = [](SignedRequest grant, absl::string_view from, absl::string_view to) {
    grant.url.replace(grant.url.find(std::string(from)), from.size(), std::string(to));
    return grant;
  };
  EXPECT_TRUE(denied(as(put, "GET")));
  EXPECT_TRUE(denied(as(put, "DELETE")));
  EXPECT_TRUE(denied(as(get, "DELETE")));
  EXPECT_TRUE(denied(with(get, "/packs/a?", "/packs/b?")));
  EXPECT_TRUE(denied(with(put, "sp=c", "sp=cw")));
  EXPECT_TRUE(denied(with(put, "se=20", "se=21")));
  EXPECT_TRUE(denied(with(put, "sig=", "sig=x")));
  cloud.imposter->SetClockSkew(absl::Minutes(2));
  EXPECT_TRUE(denied(put));
  cloud.imposter->SetClockSkew(absl::ZeroDuration());
  SignedRequest page = put;
  page.headers = {{"x-ms-blob-type", "PageBlob"}};
  EXPECT_EQ(cloud.Send(page, "x").status().code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(cloud.Send(put, "x").ok());
}

}  // namespace
}  // namespace cedana::objstore
