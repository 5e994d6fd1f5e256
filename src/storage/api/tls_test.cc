// The service over TLS: what it hands out says https, and where it needs TLS it says so.
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "core/http/testing/certificates.h"
#include "storage/api/testing/running_node.h"

namespace cedana::api {
namespace {

class TlsTest : public NodeTest {
 protected:
  TlsTest() {
    const http::Certificate pair = authority_.Issue("IP:127.0.0.1");
    options_.tls_cert_file = certificates_.Write("cert.pem", pair.cert);
    options_.tls_key_file = certificates_.Write("key.pem", pair.key);
    client_ = *http::Client::Create({.ca_file = certificates_.Write("ca.pem", authority_.ca())});
  }
  http::CertificateFolder certificates_;
  http::TestAuthority authority_;
};

TEST_F(TlsTest, ServesSavesWithGrantsThatSayHttps) {
  StartNode();
  const TestSave saved = Commit("a/b");
  TestSave next{.path = "a/c"};
  EXPECT_EQ(Call("PUT", next.Target(), next.Begin()).status, 200);
  EXPECT_TRUE(absl::StartsWith(UploadUrl(next), Origin() + "/v3/objects/")) << UploadUrl(next);
  const Answer file = Call("GET", "/v2/files/a%2Fb.tar");
  EXPECT_EQ(file.status, 200);
  EXPECT_TRUE(absl::StartsWith(file.body, "https://127.0.0.1:")) << file.body;
}

TEST_F(TlsTest, ListensAnywhereWithTlsOnly) {
  options_.address = "0.0.0.0";
  StartNode();
  EXPECT_EQ(Call("GET", "/v2/user").status, 200);
  node_.reset();
  options_.tls_key_file.clear();
  EXPECT_EQ(Node::Start(options_).status().code(), absl::StatusCode::kInvalidArgument);
  options_.tls_cert_file.clear();
  const absl::Status plain = Node::Start(options_).status();
  EXPECT_EQ(plain.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(plain.message(), "--tls-cert")) << plain;
}

}  // namespace
}  // namespace cedana::api
