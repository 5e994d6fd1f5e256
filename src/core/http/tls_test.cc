// The server over TLS: with our client, and against peers that do not behave.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <atomic>
#include <fstream>

#include "absl/synchronization/notification.h"
#include "core/http/client.h"
#include "core/http/server.h"
#include "core/http/testing/certificates.h"
#include "core/http/testing/raw_peer.h"
#include "core/http/tls_internal.h"

namespace cedana::http {
namespace {

constexpr char kNames[] = "DNS:localhost,IP:127.0.0.1";

class Tls : public ::testing::Test {
 protected:
  Tls() {
    ca_file_ = folder_.Write("ca.pem", authority_.ca());
    Install(authority_.Issue(kNames));
    options_.tls_cert_file = folder_.File("cert.pem");
    options_.tls_key_file = folder_.File("key.pem");
  }
  void Install(const Certificate& certificate) {
    folder_.Write("cert.pem", certificate.cert);
    folder_.Write("key.pem", certificate.key);
  }
  void Start(Handler handler) {
    auto server = Server::Start(options_, std::move(handler));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  std::string Url(const std::string& host = "127.0.0.1") const {
    return absl::StrCat("https://", host, ":", server_->port(), "/");
  }
  // A client of its own has a connection of its own.
  absl::StatusOr<ClientResponse> Ask(const std::string& ca_file, const std::string& url) {
    const auto client = *Client::Create({.ca_file = ca_file});
    return client->Do({}, {.url = url});
  }

  CertificateFolder folder_;
  TestAuthority authority_;
  std::string ca_file_;
  ServerOptions options_;
  std::unique_ptr<Server> server_;
};

void Hello(Exchange& exchange) {
  exchange.Respond(200, {}, exchange.request().secure ? "sealed" : "plain").IgnoreError();
}

// What was sent comes back, as many times as the path says.
void Echo(Exchange& exchange) {
  std::vector<uint8_t> piece(300000);
  std::string all;
  while (true) {
    const auto got = exchange.ReadBody(piece);
    if (!got.ok()) return;
    if (*got == 0) break;
    all.append(reinterpret_cast<const char*>(piece.data()), *got);
  }
  ASSERT_TRUE(exchange.Start(200, {}, std::nullopt).ok());
  const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(all.data()), all.size());
  for (size_t at = 0; at < bytes.size(); at += piece.size()) {
    const auto step = bytes.subspan(at, std::min(piece.size(), bytes.size() - at));
    ASSERT_TRUE(exchange.Write(step).ok());
  }
  EXPECT_TRUE(exchange.Finish().ok());
}

TEST_F(Tls, CarriesRequestsOverKeptConnections) {
  Start(Echo);
  const auto client = *Client::Create({.ca_file = ca_file_});
  for (const size_t size : {size_t{0}, size_t{1}, size_t{16} << 10, (size_t{5} << 20) + 3}) {
    std::string body(size, '\0');
    base::SystemRandom().Fill(reinterpret_cast<uint8_t*>(body.data()), body.size());
    for (const bool expect : {false, true}) {
      ClientRequest request{.method = "PUT", .url = Url("localhost")};
      request.body = {reinterpret_cast<const uint8_t*>(body.data()), body.size()};
      request.has_body = true;
      request.expect_continue = expect;
      const auto response = client->Do({}, request);
      ASSERT_TRUE(response.ok()) << response.status();
      EXPECT_EQ(response->status, 200);
      EXPECT_TRUE(response->body == body) << size;
    }
  }
}

TEST_F(Tls, TellsTheHandlerAndTheServersNeedNoKeyOfPlainOnes) {
  Start(Hello);
  EXPECT_EQ(Ask(ca_file_, Url())->body, "sealed");
  const auto plain = *Server::Start({}, Hello);
  EXPECT_EQ(Ask("", absl::StrCat("http://127.0.0.1:", plain->port()))->body, "plain");
}

TEST_F(Tls, AClientRefusesAnotherAuthorityAndAnotherName) {
  Start(Hello);
  const std::string other = folder_.Write("other.pem", TestAuthority().ca());
  const auto untrusted = Ask(other, Url());
  EXPECT_EQ(untrusted.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(absl::StrContains(untrusted.status().message(), "certificate")) << untrusted.status();
  EXPECT_TRUE(absl::StrContains(untrusted.status().message(), other)) << untrusted.status();
  EXPECT_FALSE(Ask("", Url()).ok());

  Install(authority_.Issue("DNS:storage.example"));
  const auto misnamed = Ask(ca_file_, Url());
  EXPECT_EQ(misnamed.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(absl::StrContains(misnamed.status().message(), "127.0.0.1'")) << misnamed.status();
  EXPECT_FALSE(Ask(folder_.File("missing.pem"), Url()).ok());
}

TEST_F(Tls, NewConnectionsGetARenewedCertificate) {
  Start(Hello);
  const auto kept = *Client::Create({.ca_file = ca_file_});
  EXPECT_EQ(kept->Do({}, {.url = Url()})->body, "sealed");
  TestAuthority next;
  const std::string next_ca = folder_.Write("next.pem", next.ca());
  EXPECT_FALSE(Ask(next_ca, Url()).ok());
  Install(next.Issue(kNames));
  EXPECT_EQ(Ask(next_ca, Url())->body, "sealed");
  EXPECT_FALSE(Ask(ca_file_, Url()).ok());
  // A connection that is there goes on.
  EXPECT_EQ(kept->Do({}, {.url = Url()})->body, "sealed");
}

TEST_F(Tls, ABrokenPairLeavesTheOldOneInPlace) {
  Start(Hello);
  const Certificate good = authority_.Issue(kNames);
  for (const auto& [file, text] :
       std::vector<std::pair<std::string, std::string>>{{"cert.pem", good.cert},  // not this key's
                                                        {"cert.pem", "garbage"},
                                                        {"key.pem", ""}}) {
    folder_.Write(file, text);
    EXPECT_EQ(Ask(ca_file_, Url())->body, "sealed") << file;
  }
  std::filesystem::remove(folder_.File("cert.pem"));
  EXPECT_EQ(Ask(ca_file_, Url())->body, "sealed");
  Install(good);
  EXPECT_EQ(Ask(ca_file_, Url())->body, "sealed");
}

TEST_F(Tls, AKeyThatBecameGoodByAChangeOfNothingElseIsTaken) {
  Start(Hello);
  TestAuthority next;
  const std::string next_ca = folder_.Write("next.pem", next.ca());
  const Certificate renewed = next.Issue(kNames);
  std::string spoilt = renewed.key;
  spoilt[0] = 'x';
  Install({renewed.cert, spoilt});
  EXPECT_EQ(Ask(ca_file_, Url())->body, "sealed");
  // Same file, size and time, as after a chmod: only the time of the change itself tells.
  const std::string key_file = folder_.File("key.pem");
  struct stat before = {};
  ASSERT_EQ(::stat(key_file.c_str(), &before), 0);
  absl::SleepFor(absl::Milliseconds(20));
  std::fstream(key_file, std::ios::in | std::ios::out) << renewed.key;
  const timespec times[] = {before.st_atim, before.st_mtim};
  ASSERT_EQ(::utimensat(AT_FDCWD, key_file.c_str(), times, 0), 0);
  EXPECT_EQ(Ask(next_ca, Url())->body, "sealed");
}

// The certificate that a client is shown, in DER.
std::string Shown(TlsContext& context) {
  const auto server = *context.NewSession();
  const SslContext trusting(SSL_CTX_new(TLS_client_method()));
  const std::unique_ptr<SSL, SslDeleter> client(SSL_new(trusting.get()));
  BIO* const in = BIO_new(BIO_s_mem());
  BIO* const out = BIO_new(BIO_s_mem());
  SSL_set_bio(client.get(), in, out);
  SSL_set_connect_state(client.get());
  for (int turn = 0; turn < 10 && SSL_do_handshake(client.get()) != 1; ++turn) {
    uint8_t sealed[16384];
    const int size = BIO_read(out, sealed, sizeof(sealed));
    EXPECT_TRUE(server->Feed(std::span(sealed, static_cast<size_t>(std::max(size, 0)))).ok());
    EXPECT_TRUE(server->Handshake().ok());
    BIO_write(in, server->output().data(), static_cast<int>(server->output().size()));
    server->DropOutput();
  }
  X509* const shown = SSL_get1_peer_certificate(client.get());
  if (shown == nullptr) return "";
  unsigned char* der = nullptr;
  const int size = i2d_X509(shown, &der);
  std::string bytes(reinterpret_cast<const char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  X509_free(shown);
  return bytes;
}

TEST_F(Tls, AGoodPairThatCouldNotBeReadAtFirstIsTakenLater) {
  const auto context = *TlsContext::Open(options_.tls_cert_file, options_.tls_key_file);
  const std::string before = Shown(*context);
  ASSERT_NE(before, "");
  Install(authority_.Issue(kNames));
  rlimit limit = {};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit none = {0, limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const std::string without_descriptors = Shown(*context);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(without_descriptors, before);
  std::string after = before;
  for (int i = 0; i < 100 && after == before; ++i) {
    absl::SleepFor(absl::Milliseconds(50));
    after = Shown(*context);
  }
  EXPECT_NE(after, before);
  EXPECT_NE(after, "");
}

TEST_F(Tls, StartsWithAGoodPairOnly) {
  const auto code = [&] { return Server::Start(options_, Hello).status().code(); };
  EXPECT_EQ(code(), absl::StatusCode::kOk);
  folder_.Write("key.pem", authority_.Issue(kNames).key);
  EXPECT_EQ(code(), absl::StatusCode::kInvalidArgument);
  folder_.Write("key.pem", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n");
  EXPECT_EQ(code(), absl::StatusCode::kInvalidArgument);
  options_.tls_cert_file = folder_.File("missing.pem");
  const absl::Status missing = Server::Start(options_, Hello).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(missing.message(), "missing.pem")) << missing;
  options_.tls_cert_file.clear();
  EXPECT_EQ(code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(Tls, EndsHandshakesThatDoNotComplete) {
  options_.handshake_timeout = absl::Milliseconds(200);
  Start(Hello);
  // Nothing at all; the first bytes of a record and then one more byte now and then.
  RawPeer silent = RawPeer::Connect(server_->port());
  RawPeer slow = RawPeer::Connect(server_->port());
  slow.Send(absl::string_view("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11));
  const absl::Time begin = absl::Now();
  while (absl::Now() - begin < absl::Seconds(4) && slow.Send("x")) {
    absl::SleepFor(absl::Milliseconds(20));
  }
  EXPECT_LT(absl::Now() - begin, absl::Seconds(3));
  silent.ReadToEnd();
  EXPECT_TRUE(silent.ended());
  EXPECT_EQ(Ask(ca_file_, Url())->body, "sealed");
}

TEST_F(Tls, RefusesWhatIsNoTls) {
  Start(Hello);
  RawPeer plain = RawPeer::Connect(server_->port());
  plain.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string answer = plain.ReadToEnd();
  EXPECT_TRUE(absl::StartsWith(answer, "HTTP/1.1 400")) << answer;
  EXPECT_TRUE(absl::EndsWith(answer, "TLS only.\n")) << answer;
  for (const absl::string_view garbage :
       {absl::string_view("SSH-2.0-x\r\n"),
        absl::string_view("\x16\x03\x01\xff\xff and no hello", 18),
        absl::string_view("\x15\x03\x01\x00\x02\x02\x28", 7)}) {
    RawPeer peer = RawPeer::Connect(server_->port());
    peer.Send(garbage);
    peer.ReadToEnd();
    EXPECT_TRUE(peer.ended()) << garbage;
  }
  EXPECT_EQ(Ask(ca_file_, Url())->body, "sealed");
}

TEST_F(Tls, LimitsConnectionsWhateverTheirHandshake) {
  options_.connections_max = 2;
  Start(Hello);
  RawPeer one = RawPeer::Connect(server_->port());
  RawPeer two = RawPeer::Connect(server_->port());
  absl::SleepFor(absl::Milliseconds(50));
  EXPECT_FALSE(Ask(ca_file_, Url()).ok());
  one.Close();
  absl::StatusOr<ClientResponse> answer = absl::UnknownError("");
  for (int i = 0; i < 100 && !answer.ok(); ++i) {
    answer = Ask(ca_file_, Url());
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_TRUE(answer.ok()) << answer.status();
}

TEST_F(Tls, ACutAnswerIsSeenAsCut) {
  Start([](Exchange& exchange) {
    EXPECT_TRUE(exchange.Start(200, {}, std::nullopt).ok());
    const std::vector<uint8_t> bytes(100000, 'x');
    EXPECT_TRUE(exchange.Write(bytes).ok());
  });
  const auto response = Ask(ca_file_, Url());
  EXPECT_EQ(response.status().code(), absl::StatusCode::kDataLoss) << response.status();
}

TEST_F(Tls, EndsAClientThatDoesNotReadAndAHandlerWhosePeerIsGone) {
  options_.io_timeout = absl::Milliseconds(200);
  absl::Notification done;
  absl::Status wrote;
  Start([&](Exchange& exchange) {
    const std::vector<uint8_t> bytes(1 << 20, 'x');
    EXPECT_TRUE(exchange.Start(200, {}, std::nullopt).ok());
    while (wrote.ok()) wrote = exchange.Write(bytes);
    done.Notify();
  });
  const auto client = *Client::Create({.ca_file = ca_file_});
  std::atomic<bool> first{true};
  ClientRequest request{.url = Url()};
  request.on_body = [&](std::span<const uint8_t>) {
    if (first.exchange(false)) done.WaitForNotification();
    return absl::OkStatus();
  };
  EXPECT_FALSE(client->Do({}, request).ok());
  EXPECT_EQ(wrote.code(), absl::StatusCode::kDeadlineExceeded) << wrote;
}

TEST_F(Tls, StopsInTimeWithHandshakesAndRequestsUnderWay) {
  absl::Notification begun;
  Start([&](Exchange& exchange) {
    begun.Notify();
    while (!exchange.cancelled()) absl::SleepFor(absl::Milliseconds(1));
    std::vector<uint8_t> piece(1 << 20);
    absl::StatusOr<size_t> got = size_t{1};
    while (got.ok() && *got > 0) got = exchange.ReadBody(piece);
    EXPECT_FALSE(got.ok());  // cut, not ended
  });
  RawPeer handshake = RawPeer::Connect(server_->port());
  base::Thread busy("busy", [&] {
    const std::string body(10 << 20, 'x');
    ClientRequest request{.method = "PUT", .url = Url()};
    request.body = {reinterpret_cast<const uint8_t*>(body.data()), body.size()};
    request.has_body = true;
    EXPECT_FALSE((*Client::Create({.ca_file = ca_file_}))->Do({}, request).ok());
  });
  begun.WaitForNotification();
  const absl::Time begin = absl::Now();
  server_->Stop(absl::Milliseconds(100));
  server_.reset();
  busy.Join();
  EXPECT_LT(absl::Now() - begin, absl::Seconds(5));
}

}  // namespace
}  // namespace cedana::http
