#include "core/objstore/v4_signer.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/objstore/testing/service_account.h"
#include "gtest/gtest.h"

namespace cedana::objstore {
namespace {

// The key, the requests and the signatures of Amazon's documented examples ("Signature Calculations
// for the Authorization Header" and "Authenticating Requests: Using Query Parameters").
const S3Credentials kAwsKey = {"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                               ""};
const absl::Time kAwsTime = absl::FromUnixSeconds(1369353600);  // 2013-05-24 00:00:00 UTC
constexpr char kAwsHost[] = "examplebucket.s3.amazonaws.com";

std::string SignatureOf(const http::Headers& headers) {
  for (const auto& [name, value] : headers) {
    if (name == "authorization") return value.substr(value.find("Signature=") + 10);
  }
  return "";
}

std::string AwsSignature(const V4Request& request, absl::string_view body = "") {
  const V4Signer signer = V4Signer::Aws(kAwsKey, "us-east-1");
  const auto* bytes = reinterpret_cast<const uint8_t*>(body.data());
  return SignatureOf(signer.SignHeaders(request, Sha256Hex({bytes, body.size()}), kAwsTime));
}

TEST(V4Signer, GivesAmazonsDocumentedHeaderSignatures) {
  EXPECT_EQ(AwsSignature({.method = "GET",
                          .host = kAwsHost,
                          .path = "/test.txt",
                          .headers = {{"Range", "bytes=0-9"}}}),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
  EXPECT_EQ(AwsSignature({.method = "PUT",
                          .host = kAwsHost,
                          .path = "/test$file.text",
                          .headers = {{"Date", "Fri, 24 May 2013 00:00:00 GMT"},
                                      {"x-amz-storage-class", "REDUCED_REDUNDANCY"}}},
                         "Welcome to Amazon S3."),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
  EXPECT_EQ(
      AwsSignature({.method = "GET", .host = kAwsHost, .path = "/", .query = {{"lifecycle", ""}}}),
      "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
  EXPECT_EQ(AwsSignature({.method = "GET",
                          .host = kAwsHost,
                          .path = "/",
                          .query = {{"prefix", "J"}, {"max-keys", "2"}}}),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

TEST(V4Signer, GivesAmazonsDocumentedPresignedUrl) {
  const V4Signer signer = V4Signer::Aws(kAwsKey, "us-east-1");
  EXPECT_EQ(signer.SignQuery({.method = "GET", .host = kAwsHost, .path = "/test.txt"}, kAwsTime,
                             absl::Seconds(86400)),
            "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
            "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
            "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
            "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
}

TEST(V4Signer, SignsTheSessionTokenInBothForms) {
  S3Credentials temporary = kAwsKey;
  temporary.session_token = "to/ken==";
  const V4Signer signer = V4Signer::Aws(temporary, "us-east-1");
  const V4Request request = {.method = "GET", .host = kAwsHost, .path = "/k"};
  EXPECT_TRUE(absl::StrContains(signer.SignQuery(request, kAwsTime, absl::Minutes(1)),
                                "&X-Amz-Security-Token=to%2Fken%3D%3D"));
  const http::Headers headers = signer.SignHeaders(request, kUnsignedPayload, kAwsTime);
  EXPECT_TRUE(absl::StrContains(
      headers.back().second,
      "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,"));
}

TEST(V4Signer, KeepsLifetimesWithinTheCloudsLimits) {
  const V4Signer signer = V4Signer::Aws(kAwsKey, "us-east-1");
  const V4Request request = {.method = "GET", .host = kAwsHost, .path = "/k"};
  EXPECT_TRUE(absl::StrContains(signer.SignQuery(request, kAwsTime, absl::ZeroDuration()),
                                "X-Amz-Expires=1&"));
  EXPECT_TRUE(absl::StrContains(signer.SignQuery(request, kAwsTime, absl::Hours(1000)),
                                "X-Amz-Expires=604800&"));
}

// True when `url` carries a signature by the test's key of the canonical request whose SHA-256 is
// `hash`.
bool SignsHash(const std::string& url, absl::string_view hash) {
  const std::string text = absl::StrCat(
      "GOOG4-RSA-SHA256\n20190201T090000Z\n20190201/auto/storage/goog4_request\n", hash);
  const std::string signature =
      absl::HexStringToBytes(url.substr(url.find("X-Goog-Signature=") + 17));
  const std::string& pem = TestServiceAccountPublicKey();
  BIO* const bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  EVP_PKEY* const key = PEM_read_bio_PUBKEY(bio, nullptr, nullptr, nullptr);
  EVP_MD_CTX* const context = EVP_MD_CTX_new();
  const auto bytes = [](const std::string& s) {
    return reinterpret_cast<const unsigned char*>(s.data());
  };
  const bool good =
      EVP_DigestVerifyInit(context, nullptr, EVP_sha256(), nullptr, key) == 1 &&
      EVP_DigestVerify(context, bytes(signature), signature.size(), bytes(text), text.size()) == 1;
  EVP_MD_CTX_free(context);
  EVP_PKEY_free(key);
  BIO_free(bio);
  return good;
}

// Requests and hashes as in Google's published conformance cases for V4 signatures; the key is
// ours, so the hash of the canonical request is what is compared.
TEST(V4Signer, SignsGooglesPublishedCanonicalRequests) {
  GcsCredentials account = TestServiceAccount();
  account.client_email = "test-iam-credentials@dummy-project-id.iam.gserviceaccount.com";
  const V4Signer signer = V4Signer::Google(account).value();
  const absl::Time now = absl::FromUnixSeconds(1549011600);  // 2019-02-01 09:00:00 UTC
  const auto sign = [&](V4Request request) {
    if (request.host.empty()) request.host = "storage.googleapis.com";
    return signer.SignQuery(request, now, absl::Seconds(10));
  };
  const std::string simple = sign({.method = "GET", .path = "/test-bucket/test-object"});
  EXPECT_TRUE(absl::StartsWith(
      simple,
      "/test-bucket/test-object?X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential="
      "test-iam-credentials%40dummy-project-id.iam.gserviceaccount.com%2F20190201%2Fauto%2Fstorage"
      "%2Fgoog4_request&X-Goog-Date=20190201T090000Z&X-Goog-Expires=10&X-Goog-SignedHeaders=host"
      "&X-Goog-Signature="));
  EXPECT_TRUE(
      SignsHash(simple, "00e2fb794ea93d7adb703edaebdd509821fcc7d4f1a79ac5c8d2b394df109320"));
  EXPECT_TRUE(SignsHash(sign({.method = "PUT", .path = "/test-bucket/test-object"}),
                        "78742860705da91404222d5d66ff89850292471199c3c2808d116ad12e6177b4"));
  EXPECT_TRUE(SignsHash(sign({.method = "GET",
                              .path = "/test-bucket/test-object",
                              .headers = {{"collapsed", "abc    def"},
                                          {"leading", "    xyz"},
                                          {"trailing", "abc    "},
                                          {"tabs", "\tabc\t\t\t\tdef\t"}}}),
                        "19153e83555808dbfeb8969043cc8ce8d5db0cce91dc11fb9df58b8130f09d42"));
  EXPECT_TRUE(SignsHash(sign({.method = "GET",
                              .path = "/test-bucket/test-object",
                              .query = {{"aA0\u00e9/=%-_.~", "~ ._-%=/\u00e90Aa"}}}),
                        "448f96c23dafa8210900554e138b2b5fd55bc53ef53b8637cecc3edec45a8fcf"));
  EXPECT_TRUE(SignsHash(sign({.method = "GET",
                              .path = "/test-bucket/test-object",
                              .query = {{"prefix", "/foo"}, {"X-Goog-Meta-Foo", "bar"}}}),
                        "4dafe74ad142f32b7c25fc4e6b38fd3b8a6339d7f112247573fb0066f637db6c"));
  EXPECT_TRUE(SignsHash(
      sign({.method = "GET", .host = "test-bucket.storage.googleapis.com", .path = "/test-object"}),
      "89eeae48258eccdcb1f592fb908008e3f5d36a949c002c1e614c94356dc18fc6"));
  EXPECT_TRUE(
      SignsHash(sign({.method = "GET",
                      .path = "/test-bucket/path/with/slashes/under_score/amper&sand/file.ext",
                      .headers = {{"header/name/with/slash", "should-be-encoded"}}}),
                "f1d206dd8cbe1b892d4081ccddae0927d9f5fee5653fb2a2f43e7c20ed455cad"));
  EXPECT_FALSE(
      SignsHash(simple, "78742860705da91404222d5d66ff89850292471199c3c2808d116ad12e6177b4"));
}

TEST(V4Signer, RefusesAKeyThatItCannotRead) {
  EXPECT_EQ(V4Signer::Google({"a@b", "-----BEGIN PRIVATE KEY-----\nhunter2\n"}).status().message(),
            "credentials: private_key is not an RSA key in PEM");
}

}  // namespace
}  // namespace cedana::objstore
