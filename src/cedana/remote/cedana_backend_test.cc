#include "cedana/remote/cedana_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cedana/remote/testing/scripted_service.h"

namespace cedana::remote {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

RemoteOptions Fast() {
  RemoteOptions options;
  options.call.give_up_after = absl::Milliseconds(300);
  return options;
}

TEST(CedanaBackend, WithoutUrlOrTokenSaysWhichTwoSettingsToMake) {
  for (const plugin::StorageConfig& config :
       {plugin::StorageConfig{}, plugin::StorageConfig{.url = "http://localhost"},
        plugin::StorageConfig{.auth_token = "t"},
        plugin::StorageConfig{.url = " ", .auth_token = "\n"}}) {
    const absl::Status status = CedanaBackend::Create(config, {}).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status));
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr("connection.url"), HasSubstr("CEDANA_URL"),
                      HasSubstr("connection.auth_token"), HasSubstr("CEDANA_AUTH_TOKEN")));
  }
}

TEST(CedanaBackend, ATokenWithALineBreakInsideIsRefusedWithoutShowingIt) {
  const absl::Status status =
      CedanaBackend::Create({.url = "http://localhost", .auth_token = "se\ncret"}, {}).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("cret")));
}

TEST(CedanaBackend, ChecksUrlAndToken) {
  ScriptedService service;
  service.On("GET /v2/user", {{200, "00000000-0000-0000-0000-000000000000", {}, {}}});
  auto backend =
      CedanaBackend::Create({.url = service.origin() + "/v1", .auth_token = "t\n"}, Fast());
  ASSERT_TRUE(backend.ok()) << backend.status();
  std::vector<plugin::HealthItem> items = (*backend)->Check({}, false);
  ASSERT_THAT(items, SizeIs(2));
  EXPECT_EQ(items[0].data, service.origin());
  EXPECT_EQ(items[1].data, "valid");
  EXPECT_THAT(items[1].errors, IsEmpty());
  EXPECT_EQ(*service.Requests()[0].Header("authorization"), "Bearer t");

  service.On("GET /v2/user", {ErrorReply(401, "unauthenticated", "unknown token")});
  items = (*backend)->Check({}, true);
  ASSERT_THAT(items, SizeIs(3));
  EXPECT_EQ(items[1].data, "invalid");
  EXPECT_THAT(items[1].errors[0], HasSubstr("unknown token"));
  EXPECT_EQ(items[2].data, "skipped");

  service.Stop();
  EXPECT_EQ((*backend)->Check({}, false)[1].data, "unknown");
}

TEST(CedanaBackend, AProbeThatCannotWriteSaysSo) {
  ScriptedService service;
  service.On("GET /v2/user", {{200, "id", {}, {}}});
  service.On("PUT /v3/saves/", {ErrorReply(507, "resource_exhausted", "the disk is full")});
  service.On("DELETE /v3/checkpoints", {ErrorReply(404, "not_found", "none")});
  auto backend = CedanaBackend::Create({.url = service.origin(), .auth_token = "t"}, Fast());
  ASSERT_TRUE(backend.ok());
  const std::vector<plugin::HealthItem> items = (*backend)->Check({}, true);
  ASSERT_THAT(items, SizeIs(3));
  EXPECT_EQ(items[2].data, "failed");
  EXPECT_THAT(items[2].errors[0], AllOf(HasSubstr("write"), HasSubstr("the disk is full")));
}

}  // namespace
}  // namespace cedana::remote
