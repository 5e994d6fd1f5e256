// Client against server, in one process, on loopback.
#include <atomic>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
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

}  // namespace
}  // namespace cedana::http
