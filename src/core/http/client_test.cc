// The client against servers that misbehave byte by byte.
#include "core/http/client.h"

#include <sys/ioctl.h>

#include <algorithm>
#include <memory>

#include "core/http/testing/raw_peer.h"

namespace cedana::http {
namespace {

std::span<const uint8_t> Bytes(absl::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::unique_ptr<Client> MakeClient(ClientOptions options = {}) {
  return *Client::Create(std::move(options));
}

absl::StatusCode CodeOf(const absl::StatusOr<ClientResponse>& response) {
  return response.status().code();
}

RawServer::Script Answer(std::string bytes) {
  return [bytes = std::move(bytes)](RawPeer& peer) {
    peer.ReadUntil("\r\n\r\n");
    peer.Send(bytes);
  };
}

constexpr char kOk[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

TEST(Client, SaysUnavailableWhenNobodyListens) {
  std::string url;
  {
    RawServer server({});
    url = server.url();
  }
  const auto response = MakeClient()->Do({}, {.url = url});
  EXPECT_EQ(CodeOf(response), absl::StatusCode::kUnavailable) << response.status();
}

TEST(Client, SaysUnknownWhenTheAnswerIsLost) {
  const std::string answers[] = {"", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Le",
                                 "SSH-2.0-x\r\n"};
  for (const std::string& answer : answers) {
    RawServer server({Answer(answer)});
    const auto response = MakeClient()->Do(
        {}, {.method = "POST", .url = server.url(), .body = Bytes("x"), .has_body = true});
    EXPECT_EQ(CodeOf(response), absl::StatusCode::kUnknown) << answer << response.status();
  }
}

TEST(Client, SaysDataLossWhenTheBodyIsCutShort) {
  const std::string answers[] = {
      "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
  };
  for (const std::string& answer : answers) {
    RawServer server({Answer(answer)});
    const auto response = MakeClient()->Do({}, {.url = server.url()});
    EXPECT_EQ(CodeOf(response), absl::StatusCode::kDataLoss) << answer << response.status();
  }
  RawServer server({[](RawPeer& peer) {
    peer.ReadUntil("\r\n\r\n");
    peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    absl::SleepFor(absl::Milliseconds(50));
    peer.Reset();
  }});
  EXPECT_EQ(CodeOf(MakeClient()->Do({}, {.url = server.url()})), absl::StatusCode::kDataLoss);
}

TEST(Client, EndsWhenNothingMoves) {
  const auto client = MakeClient({.stall_timeout = absl::Milliseconds(200)});
  const absl::Time begin = absl::Now();
  RawServer silent({[](RawPeer& peer) { peer.ReadToEnd(); }});
  auto response = client->Do({}, {.url = silent.url()});
  EXPECT_EQ(CodeOf(response), absl::StatusCode::kUnknown) << response.status();
  RawServer slow({[](RawPeer& peer) {
    peer.ReadUntil("\r\n\r\n");
    peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    peer.ReadToEnd();
  }});
  response = client->Do({}, {.url = slow.url()});
  EXPECT_EQ(CodeOf(response), absl::StatusCode::kDataLoss) << response.status();
  // Never reads: the upload fills the buffers of the kernel and stands still.
  RawServer deaf({[](RawPeer& peer) { absl::SleepFor(absl::Milliseconds(600)); }});
  const std::string body(32 << 20, 'x');
  response =
      client->Do({}, {.method = "PUT", .url = deaf.url(), .body = Bytes(body), .has_body = true});
  EXPECT_EQ(CodeOf(response), absl::StatusCode::kUnknown) << response.status();
  EXPECT_LT(absl::Now() - begin, absl::Seconds(4));
}

TEST(Client, SlowIsNotStalled) {
  RawServer server({[](RawPeer& peer) {
    peer.ReadUntil("\r\n\r\n");
    peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    for (int i = 0; i < 10; ++i) {
      absl::SleepFor(absl::Milliseconds(60));
      peer.Send("x");
    }
  }});
  const auto response =
      MakeClient({.stall_timeout = absl::Milliseconds(300)})->Do({}, {.url = server.url()});
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->body, "xxxxxxxxxx");
}

void Listen(RawPeer& peer) { peer.ReadToEnd(); }

TEST(Client, EndsAtTheDeadline) {
  RawServer server({Listen});
  const auto client = MakeClient();
  const absl::Time begin = absl::Now();
  const base::Context soon = base::Context{}.WithTimeout(absl::Milliseconds(100));
  const auto response = client->Do(soon, {.url = server.url()});
  EXPECT_EQ(CodeOf(response), absl::StatusCode::kDeadlineExceeded) << response.status();
  EXPECT_EQ(CodeOf(client->Do(soon, {.url = server.url()})), absl::StatusCode::kDeadlineExceeded);
  EXPECT_LT(absl::Now() - begin, absl::Seconds(2));
}

TEST(Client, EndsAtOnceWhenCancelled) {
  RawServer server({Listen, Listen, Listen});
  const auto client = MakeClient();
  // The best of a few: the machine may be busy with something else.
  absl::Duration best = absl::InfiniteDuration();
  for (int i = 0; i < 3; ++i) {
    auto cancel = std::make_shared<base::CancelSource>();
    absl::Time cancelled_at;
    base::Thread canceller("canceller", [&] {
      absl::SleepFor(absl::Milliseconds(50));
      cancelled_at = absl::Now();
      cancel->Cancel(absl::UnavailableError("enough"));
    });
    const auto response = client->Do({absl::InfiniteFuture(), cancel}, {.url = server.url()});
    const absl::Time ended_at = absl::Now();
    canceller.Join();
    best = std::min(best, ended_at - cancelled_at);
    EXPECT_EQ(CodeOf(response), absl::StatusCode::kCancelled) << response.status();
    EXPECT_TRUE(absl::StrContains(response.status().message(), "enough"));
    EXPECT_EQ(CodeOf(client->Do({absl::InfiniteFuture(), cancel}, {.url = server.url()})),
              absl::StatusCode::kCancelled);
  }
  EXPECT_LT(best, absl::Milliseconds(300));
}

// Cancels 100 ms into the call. How long the call went on after that; the best of a few, for the
// machine may be busy with something else.
absl::Duration EndsAfterCancel(const std::function<void(RawPeer&)>& script,
                               const ClientRequest& request, absl::StatusCode* code) {
  absl::Duration best = absl::InfiniteDuration();
  const auto client = MakeClient();
  for (int i = 0; i < 3; ++i) {
    RawServer server({script});
    ClientRequest to_server = request;
    to_server.url = server.url();
    auto cancel = std::make_shared<base::CancelSource>();
    absl::Time cancelled_at;
    base::Thread canceller("canceller", [&] {
      absl::SleepFor(absl::Milliseconds(100));
      cancelled_at = absl::Now();
      cancel->Cancel(absl::UnavailableError("another was first"));
    });
    *code = CodeOf(client->Do({absl::InfiniteFuture(), cancel}, to_server));
    const absl::Time ended_at = absl::Now();
    canceller.Join();
    best = std::min(best, ended_at - cancelled_at);
  }
  return best;
}

TEST(Client, ATransferInTheMiddleEndsAtOnceWhenCancelled) {
  const std::string body(64 << 20, 'x');
  absl::StatusCode code;
  // An upload that the peer takes slowly, and one that it does not take at all.
  const ClientRequest upload{.method = "PUT", .body = Bytes(body), .has_body = true};
  EXPECT_LT(EndsAfterCancel(
                [](RawPeer& peer) {
                  char buffer[65536];
                  while (::recv(peer.fd(), buffer, sizeof(buffer), 0) > 0) {
                    absl::SleepFor(absl::Milliseconds(5));
                  }
                },
                upload, &code),
            absl::Milliseconds(50));
  EXPECT_EQ(code, absl::StatusCode::kCancelled);
  EXPECT_LT(EndsAfterCancel([](RawPeer& peer) { absl::SleepFor(absl::Milliseconds(300)); }, upload,
                            &code),
            absl::Milliseconds(50));
  EXPECT_EQ(code, absl::StatusCode::kCancelled);
  // A download that goes on and on.
  const ClientRequest download{
      .on_body = [](std::span<const uint8_t>) { return absl::OkStatus(); }};
  EXPECT_LT(EndsAfterCancel(
                [](RawPeer& peer) {
                  peer.ReadUntil("\r\n\r\n");
                  peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n");
                  while (peer.Send(std::string(65536, 'x'))) {
                  }
                },
                download, &code),
            absl::Milliseconds(50));
  EXPECT_EQ(code, absl::StatusCode::kCancelled);
}

TEST(Client, ProgressOfAnUploadCountsWhatThePeerHasTaken) {
  int taken = 0;
  RawServer deaf({[&](RawPeer& peer) {
    absl::SleepFor(absl::Milliseconds(1000));
    ::ioctl(peer.fd(), FIONREAD, &taken);
  }});
  const std::string body(32 << 20, 'x');
  uint64_t moved = 0;
  const auto response = MakeClient({.stall_timeout = absl::Milliseconds(400)})
                            ->Do({}, {.method = "PUT",
                                      .url = deaf.url(),
                                      .body = Bytes(body),
                                      .has_body = true,
                                      .on_progress = [&](uint64_t now) {
                                        EXPECT_GT(now, moved);
                                        moved = now;
                                      }});
  EXPECT_EQ(CodeOf(response), absl::StatusCode::kUnknown) << response.status();
  deaf.Join();
  EXPECT_GT(taken, 0);
  EXPECT_NEAR(static_cast<double>(moved), taken, 256 << 10);
}

TEST(Client, ASlowPeerIsNotStalledWhileItTakesWhatWasSent) {
  // The system takes the whole body at once; the peer takes it over a second.
  const std::string body(2 << 20, 'x');
  RawServer server({[&](RawPeer& peer) {
    std::string taken;
    std::string piece(32 << 10, ' ');
    while (taken.size() < body.size() + taken.find("\r\n\r\n") + 4) {
      absl::SleepFor(absl::Milliseconds(20));
      const ssize_t got = ::recv(peer.fd(), piece.data(), piece.size(), 0);
      if (got <= 0) return;
      taken.append(piece, 0, static_cast<size_t>(got));
    }
    peer.Send(kOk);
  }});
  uint64_t moved = 0;
  const auto response = MakeClient({.stall_timeout = absl::Milliseconds(600)})
                            ->Do({}, {.method = "PUT",
                                      .url = server.url(),
                                      .body = Bytes(body),
                                      .has_body = true,
                                      .on_progress = [&](uint64_t now) { moved = now; }});
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_GE(moved, body.size());
}

TEST(Client, EachOriginKeepsItsConnections) {
  std::vector<std::unique_ptr<RawServer>> servers;
  for (int i = 0; i < 3; ++i) {
    servers.push_back(std::make_unique<RawServer>(std::vector<RawServer::Script>{[](RawPeer& peer) {
      for (int k = 0; k < 4; ++k) {
        peer.ReadUntil("\r\n\r\n");
        peer.Send(kOk);
      }
    }}));
  }
  const auto client = MakeClient({.connections_max = 1});
  for (int k = 0; k < 4; ++k) {
    for (const auto& server : servers) {
      EXPECT_TRUE(client->Do({}, {.url = server->url()}).ok());
    }
  }
  for (const auto& server : servers) {
    server->Join();
    EXPECT_EQ(server->connections(), 1);
  }
}

// On a kept connection the server takes the second request and ends without a byte.
RawServer::Script AnswerOnceThenEnd(std::string* second) {
  return [second](RawPeer& peer) {
    peer.ReadUntil("\r\n\r\n");
    peer.Send(kOk);
    *second = peer.ReadUntil("\r\n\r\n");
  };
}

TEST(Client, SendsAgainOnlyWhatCannotHaveBeenProcessed) {
  const auto client = MakeClient();
  std::string second;
  {
    RawServer server({AnswerOnceThenEnd(&second), Answer(kOk)});
    ASSERT_TRUE(client->Do({}, {.url = server.url()}).ok());
    EXPECT_TRUE(client->Do({}, {.url = server.url()}).ok());
    server.Join();
    EXPECT_EQ(server.connections(), 2);
  }
  for (const std::string method : {"POST", "DELETE", "PUT"}) {
    RawServer server({AnswerOnceThenEnd(&second), Answer(kOk)});
    ASSERT_TRUE(client->Do({}, {.url = server.url()}).ok());
    const auto response = client->Do({}, {.method = method, .url = server.url()});
    EXPECT_EQ(CodeOf(response), absl::StatusCode::kUnknown) << method << response.status();
    server.Join();
    EXPECT_TRUE(absl::StartsWith(second, method)) << second;
    EXPECT_EQ(server.connections(), 1) << method;
  }
}

TEST(Client, SendsAgainABodyThatNobodyAskedFor) {
  std::string second;
  RawServer server({AnswerOnceThenEnd(&second), [&](RawPeer& peer) {
                      peer.ReadUntil("\r\n\r\n");
                      peer.Send("HTTP/1.1 100 Continue\r\n\r\n");
                      EXPECT_EQ(peer.ReadUntil("body"), "body");
                      peer.Send(kOk);
                    }});
  const auto client = MakeClient();
  ASSERT_TRUE(client->Do({}, {.url = server.url()}).ok());
  const auto response = client->Do({}, {.method = "PUT",
                                        .url = server.url(),
                                        .body = Bytes("body"),
                                        .has_body = true,
                                        .expect_continue = true});
  EXPECT_TRUE(response.ok()) << response.status();
  EXPECT_TRUE(absl::EndsWith(second, "\r\n\r\n")) << second;
}

TEST(Client, OpensANewConnectionWhenTheKeptOneHasEnded) {
  RawServer server({Answer(kOk), Answer(kOk)});
  const auto client = MakeClient();
  ASSERT_TRUE(client->Do({}, {.url = server.url()}).ok());
  absl::SleepFor(absl::Milliseconds(50));
  EXPECT_TRUE(client->Do({}, {.method = "POST", .url = server.url()}).ok());
}

TEST(Client, SaysNoSecretInItsErrors) {
  RawServer server({Answer("")});
  for (const std::string& url :
       {server.url() + "/path?sig=SECRET#SECRET",
        std::string("http://SECRET:SECRET@127.0.0.1:1/p?SECRET"),
        std::string("nosuch://host/?SECRET"), std::string("http://exa mple/?SECRET")}) {
    const auto response =
        MakeClient()->Do({}, {.url = url, .headers = {{"Authorization", "SECRET"}}});
    EXPECT_FALSE(response.ok());
    EXPECT_FALSE(absl::StrContains(response.status().message(), "SECRET")) << response.status();
  }
}

TEST(Client, RefusesBadInput) {
  const auto client = MakeClient();
  EXPECT_EQ(CodeOf(client->Do({}, {.url = "file:///etc/passwd"})),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(client->Do({}, {.url = ""})), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(client->Do({}, {.url = "http://127.0.0.1:1", .headers = {{"a", "b\r\nc: d"}}})),
            absl::StatusCode::kInvalidArgument);
}

TEST(Client, DeliversOnlyGoodAnswersToOnBody) {
  RawServer server(
      {Answer(
           "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 3\r\n\r\nbad"),
       Answer("HTTP/1.1 206 Partial\r\nContent-Length: 4\r\n\r\ngood"), Answer(kOk), Answer(kOk)});
  const auto client = MakeClient();
  std::string got;
  ClientRequest request{.url = server.url(), .on_body = [&](std::span<const uint8_t> bytes) {
                          got.append(bytes.begin(), bytes.end());
                          return absl::OkStatus();
                        }};
  auto response = client->Do({}, request);
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(response->status, 302);
  EXPECT_EQ(response->body, "bad");
  EXPECT_EQ(got, "");
  response = client->Do({}, request);
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(response->status, 206);
  EXPECT_EQ(got, "good");
  request.on_body = [](std::span<const uint8_t>) { return absl::AbortedError("stop"); };
  EXPECT_EQ(CodeOf(client->Do({}, request)), absl::StatusCode::kAborted);
  EXPECT_EQ(CodeOf(client->Do({}, {.url = server.url(), .body_bytes_max = 1})),
            absl::StatusCode::kResourceExhausted);
}

TEST(Client, SendsTheBodyToWhoDoesNotKnowExpect) {
  RawServer server({[](RawPeer& peer) {
    peer.ReadUntil("\r\n\r\nbody");
    peer.Send(kOk);
  }});
  const auto response = MakeClient()->Do({}, {.method = "PUT",
                                              .url = server.url(),
                                              .body = Bytes("body"),
                                              .has_body = true,
                                              .expect_continue = true});
  EXPECT_TRUE(response.ok()) << response.status();
}

TEST(Percent, RoundTrips) {
  EXPECT_EQ(PercentEncode("a/b c+~%\xc3\xa4"), "a%2Fb%20c%2B~%25%C3%A4");
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  EXPECT_EQ(*PercentDecode(PercentEncode(all)), all);
  EXPECT_EQ(*PercentDecode("%2f%2F"), "//");
}

}  // namespace
}  // namespace cedana::http
