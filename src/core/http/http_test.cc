// Client against server, in one process, on loopback.
#include <atomic>
#include <cstring>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "core/base/random.h"
#include "core/base/thread.h"
#include "core/http/client.h"
#include "core/http/server.h"
#include "gtest/gtest.h"

namespace cedana::http {
namespace {

std::span<const uint8_t> Bytes(absl::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::unique_ptr<Client> MakeClient(ClientOptions options = {}) {
  return *Client::Create(std::move(options));
}

// A server and the URL of its root.
struct Site {
  explicit Site(Handler handler, ServerOptions options = {})
      : server(*Server::Start(std::move(options), std::move(handler))),
        url(absl::StrCat("http://127.0.0.1:", server->port())) {}
  std::unique_ptr<Server> server;
  std::string url;
};

TEST(Http, AnswersWithStatusHeadersAndBody) {
  Site site([](Exchange& exchange) {
    EXPECT_EQ(exchange.request().method, "GET");
    EXPECT_EQ(exchange.request().path, "/a%2Fb/c");
    EXPECT_EQ(*exchange.request().Segments(), (std::vector<std::string>{"a/b", "c"}));
    EXPECT_EQ(*exchange.request().Query("x"), "1 2");
    EXPECT_EQ(*exchange.request().Header("x-one"), "two");
    EXPECT_EQ(exchange.request().content_length, std::nullopt);
    EXPECT_TRUE(exchange.Respond(203, {{"X-Three", "four"}}, "hello").ok());
  });
  auto client = MakeClient();
  ClientRequest request{.url = site.url + "/a%2Fb/c?x=1%202", .headers = {{"X-One", "two"}}};
  const auto response = client->Do({}, request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->status, 203);
  EXPECT_EQ(response->body, "hello");
  EXPECT_EQ(*response->Header("x-three"), "four");
}

TEST(Http, EchoesABody) {
  Site site([](Exchange& exchange) {
    const auto body = exchange.ReadAll(1 << 20);
    ASSERT_TRUE(body.ok()) << body.status();
    EXPECT_TRUE(exchange.Respond(200, {}, *body).ok());
  });
  auto client = MakeClient();
  ClientRequest request{
      .method = "PUT", .url = site.url, .body = Bytes("some bytes"), .has_body = true};
  for (const bool expect : {false, true}) {
    request.expect_continue = expect;
    const auto response = client->Do({}, request);
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_EQ(response->body, "some bytes");
  }
}

TEST(Http, ReusesTheConnection) {
  std::set<std::string> peers;
  Site site([&](Exchange& exchange) {
    peers.insert(exchange.request().peer);
    exchange.ReadAll(100).IgnoreError();
    EXPECT_TRUE(exchange.Respond(200, {}, "x").ok());
  });
  auto client = MakeClient();
  for (int i = 0; i < 20; ++i) {
    ClientRequest request{.method = i % 2 == 0 ? "GET" : "POST", .url = site.url};
    request.body = Bytes("abc");
    request.has_body = i % 2 == 1;
    ASSERT_TRUE(client->Do({}, request).ok());
  }
  EXPECT_EQ(peers.size(), 1u);
}

TEST(Http, RefusalBeforeTheBodyCostsNoBody) {
  Site site([](Exchange& exchange) {
    EXPECT_TRUE(exchange.request().expects_continue);
    EXPECT_TRUE(exchange.Respond(403, {}, "grant has ended").ok());
  });
  const std::string body(32 << 20, 'x');
  auto client = MakeClient();
  for (int i = 0; i < 5; ++i) {
    const absl::Time begin = absl::Now();
    const auto response = client->Do({}, {.method = "PUT",
                                          .url = site.url,
                                          .body = Bytes(body),
                                          .has_body = true,
                                          .expect_continue = true});
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_EQ(response->status, 403);
    EXPECT_EQ(response->body, "grant has ended");
    EXPECT_LT(absl::Now() - begin, absl::Seconds(1));  // did not wait for the 100 in vain
  }
}

TEST(Http, RefusalInTheMiddleOfTheBodyIsSeen) {
  Site site([](Exchange& exchange) {
    uint8_t buffer[1000];
    EXPECT_TRUE(exchange.ReadBody(buffer).ok());
    EXPECT_TRUE(exchange.Respond(507, {}, "full").ok());
  });
  const std::string body(32 << 20, 'x');
  auto client = MakeClient();
  for (int i = 0; i < 5; ++i) {
    const auto response =
        client->Do({}, {.method = "PUT", .url = site.url, .body = Bytes(body), .has_body = true});
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_EQ(response->status, 507);
  }
}

TEST(Http, StreamsChunks) {
  Site site([](Exchange& exchange) {
    ASSERT_TRUE(exchange.Start(200, {{"X-A", "b"}}, std::nullopt).ok());
    for (int i = 0; i < 1000; ++i) ASSERT_TRUE(exchange.Write(Bytes(absl::StrCat(i, ","))).ok());
    if (exchange.request().path == "/cut") return;
    EXPECT_TRUE(exchange.Finish().ok());
  });
  std::string expected;
  for (int i = 0; i < 1000; ++i) absl::StrAppend(&expected, i, ",");
  auto client = MakeClient();
  for (int i = 0; i < 3; ++i) {
    const auto whole = client->Do({}, {.url = site.url + "/whole"});
    ASSERT_TRUE(whole.ok()) << whole.status();
    EXPECT_EQ(whole->body, expected);
    const auto cut = client->Do({}, {.url = site.url + "/cut"});
    EXPECT_EQ(cut.status().code(), absl::StatusCode::kDataLoss) << cut.status();
  }
}

TEST(Http, AStoppedServerIsUnavailableOrUnknown) {
  absl::Notification begun;
  auto site = std::make_unique<Site>([&](Exchange& exchange) {
    if (exchange.request().path == "/") {
      exchange.Respond(200, {}, "x").IgnoreError();
      return;
    }
    begun.Notify();
    while (!exchange.cancelled()) absl::SleepFor(absl::Milliseconds(1));
  });
  auto client = MakeClient();
  ASSERT_TRUE(client->Do({}, {.url = site->url}).ok());
  const std::string url = site->url;
  absl::StatusOr<ClientResponse> running;
  base::Thread thread("asker",
                      [&] { running = client->Do({}, {.method = "POST", .url = url + "/wait"}); });
  begun.WaitForNotification();
  site->server->Stop(absl::Milliseconds(50));
  thread.Join();
  EXPECT_EQ(running.status().code(), absl::StatusCode::kUnknown) << running.status();
  site.reset();
  const auto after = client->Do({}, {.method = "POST", .url = url});
  EXPECT_EQ(after.status().code(), absl::StatusCode::kUnavailable) << after.status();
}

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr size_t kPackBytes = 2u << 20;
#else
constexpr size_t kPackBytes = 32u << 20;
#endif

// Each pack is a window of one buffer, so that every byte is compared without a second copy.
TEST(Http, MovesManyPacksAtOnceUnharmed) {
  constexpr size_t kPacks = 64;
  std::vector<uint8_t> ground(kPackBytes + kPacks * 4099);
  base::SystemRandom().Fill(ground.data(), ground.size());
  const auto pack = [&](size_t i) { return std::span(ground).subspan(i * 4099, kPackBytes); };
  std::atomic<int> bad{0};
  Site site([&](Exchange& exchange) {
    const auto expected = pack(std::stoul(exchange.request().path.substr(1)));
    if (exchange.request().method == "GET") {
      if (!exchange.Start(200, {}, expected.size()).ok()) ++bad;
      for (size_t at = 0; at < expected.size(); at += 1 << 20) {
        if (!exchange.Write(expected.subspan(at, 1 << 20)).ok()) ++bad;
      }
      if (!exchange.Finish().ok()) ++bad;
      return;
    }
    std::vector<uint8_t> buffer(1 << 20);
    size_t at = 0;
    while (true) {
      const auto got = exchange.ReadBody(buffer);
      if (!got.ok() || *got == 0) break;
      if (at + *got > expected.size() ||
          std::memcmp(buffer.data(), expected.data() + at, *got) != 0) {
        ++bad;
      }
      at += *got;
    }
    if (at != expected.size()) ++bad;
    if (!exchange.Respond(201, {}, "").ok()) ++bad;
  });
  auto client = MakeClient();
  std::vector<base::Thread> threads;
  for (size_t i = 0; i < kPacks; ++i) {
    threads.emplace_back("pack", [&, i] {
      ClientRequest put{.method = "PUT",
                        .url = absl::StrCat(site.url, "/", i),
                        .body = pack(i),
                        .has_body = true,
                        .expect_continue = i % 2 == 0};
      const auto stored = client->Do({}, put);
      if (!stored.ok() || stored->status != 201) ++bad;
      size_t at = 0;
      const auto expected = pack(i);
      const auto fetched = client->Do(
          {}, {.url = put.url, .on_body = [&](std::span<const uint8_t> bytes) {
                 if (at + bytes.size() > expected.size() ||
                     std::memcmp(bytes.data(), expected.data() + at, bytes.size()) != 0) {
                   ++bad;
                 }
                 at += bytes.size();
                 return absl::OkStatus();
               }});
      if (!fetched.ok() || at != expected.size()) ++bad;
    });
  }
  for (base::Thread& thread : threads) thread.Join();
  EXPECT_EQ(bad, 0);
}

}  // namespace
}  // namespace cedana::http
