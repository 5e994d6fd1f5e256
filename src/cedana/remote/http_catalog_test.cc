#include "cedana/remote/http_catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "cedana/remote/testing/scripted_service.h"

namespace cedana::remote {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using Kind = Reply::Kind;

class HttpCatalogTest : public testing::Test {
 protected:
  HttpCatalogTest()
      : client_(*http::Client::Create({})),
        api_(service_.origin(), "the-token", client_.get()),
        catalog_(&api_,
                 {.give_up_after = absl::Milliseconds(500),
                  .backoff_first = absl::Milliseconds(5),
                  .backoff_max = absl::Milliseconds(20)},
                 {}) {
    begin_.path = "a/b";
    commit_.path = "a/b";
  }

  static Reply Ok(const base::Json& body) { return {200, base::DumpJson(body), {}, Kind::kAnswer}; }
  static Reply Begun() {
    return Ok(
        {{"path", "a/b-2"}, {"keys", KeysJson()}, {"lease_ms", 300000}, {"heartbeat_ms", 20000}});
  }

  ScriptedService service_;
  std::unique_ptr<http::Client> client_;
  HttpApi api_;
  HttpCatalog catalog_;
  transfer::BeginRequest begin_;
  transfer::CommitRequest commit_;
};

TEST_F(HttpCatalogTest, BeginSendsTheTokenAndReadsTheAnswer) {
  service_.On("PUT /v3/saves/", {Begun()});
  const absl::StatusOr<transfer::BegunSave> begun = catalog_.Begin({}, begin_);
  ASSERT_TRUE(begun.ok()) << begun.status();
  EXPECT_EQ(begun->path, "a/b-2");
  EXPECT_EQ(begun->lease, absl::Minutes(5));
  const Seen seen = service_.Requests()[0];
  EXPECT_EQ(seen.target, "/v3/saves/" + begin_.save.ToHex());
  EXPECT_EQ(*seen.Header("authorization"), "Bearer the-token");
  EXPECT_EQ((*base::ParseJson(seen.body))["path"], "a/b");
}

TEST_F(HttpCatalogTest, RetriesWhatIsTransientAndWhatIsLost) {
  service_.On("PUT /v3/saves/", {ErrorReply(503, "unavailable", "busy"),
                                 ErrorReply(429, "throttled", "slow down"),
                                 {200, "{\"path\": \"lost\"}", {}, Kind::kCut},
                                 {200, "garbage", {}, Kind::kAnswer},
                                 {502, "<html>", {}, Kind::kAnswer},
                                 Begun()});
  EXPECT_TRUE(catalog_.Begin({}, begin_).ok());
  EXPECT_EQ(service_.Count("PUT"), 6);
}

TEST_F(HttpCatalogTest, RefusalsAreFinalAndKeepTheirMeaning) {
  const struct {
    int status;
    const char* code;
    absl::StatusCode meaning;
  } kCases[] = {{400, "invalid_argument", absl::StatusCode::kInvalidArgument},
                {401, "unauthenticated", absl::StatusCode::kUnauthenticated},
                {403, "permission_denied", absl::StatusCode::kPermissionDenied},
                {404, "not_found", absl::StatusCode::kNotFound},
                {409, "already_exists", absl::StatusCode::kAlreadyExists},
                {410, "parent_gone", absl::StatusCode::kFailedPrecondition},
                {412, "failed_precondition", absl::StatusCode::kFailedPrecondition},
                {500, "internal", absl::StatusCode::kInternal},
                {507, "resource_exhausted", absl::StatusCode::kResourceExhausted}};
  int asked = 0;
  for (const auto& row : kCases) {
    service_.On("PUT /v3/saves/", {ErrorReply(row.status, row.code, "because\nof this")});
    const absl::Status status = catalog_.Begin({}, begin_).status();
    EXPECT_EQ(status.code(), row.meaning) << row.code;
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr("a/b"), HasSubstr("because of this"), Not(HasSubstr("the-token"))));
    EXPECT_EQ(service_.Count("PUT"), ++asked);
  }
}

TEST_F(HttpCatalogTest, AWrongTokenSaysWhichSettingToCheck) {
  service_.On("GET /v3/checkpoints", {ErrorReply(401, "unauthenticated", "unknown token")});
  EXPECT_THAT(std::string(catalog_.List({}, {}).status().message()),
              HasSubstr("connection.auth_token"));
}

TEST_F(HttpCatalogTest, AnotherKindOfServerIsNotBelievedToHaveNothing) {
  service_.On("POST /v3/checkpoints/open", {{404, "<html>", {}, Kind::kAnswer}});
  const absl::Status status = catalog_.Open({}, "a", base::LeaseId()).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
}

TEST_F(HttpCatalogTest, AServiceThatIsGoneIsGivenUpInTime) {
  service_.Stop();
  const absl::Duration start = base::SystemClock().Monotonic();
  const absl::Status status = catalog_.Begin({}, begin_).status();
  const absl::Duration took = base::SystemClock().Monotonic() - start;
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("gave up after"));
  EXPECT_GE(took, absl::Milliseconds(300));
  EXPECT_LE(took, absl::Seconds(2));
}

TEST_F(HttpCatalogTest, AServiceThatIsSilentIsGivenUpInTime) {
  service_.On("PUT /v3/saves/", {{200, "", {}, Kind::kHang}});
  const absl::Duration start = base::SystemClock().Monotonic();
  EXPECT_TRUE(absl::IsUnavailable(catalog_.Begin({}, begin_).status()));
  EXPECT_LE(base::SystemClock().Monotonic() - start, absl::Seconds(2));
}

TEST_F(HttpCatalogTest, CommitIsOneAttempt) {
  service_.On("POST /v3/saves/", {ErrorReply(503, "unavailable", "busy")});
  EXPECT_TRUE(absl::IsUnavailable(catalog_.Commit({}, commit_).status()));
  EXPECT_EQ(service_.Count("POST"), 1);
  service_.On("POST /v3/saves/", {Ok(CheckpointJson("a/b"))});
  EXPECT_EQ(catalog_.Commit({}, commit_)->path, "a/b");
}

TEST_F(HttpCatalogTest, ACommitWhoseAnswerIsLostIsUnknown) {
  const base::Context soon = base::Context().WithTimeout(absl::Milliseconds(200));
  for (const Reply& reply :
       {Reply{200, base::DumpJson(CheckpointJson("a")), {}, Kind::kCut},
        Reply{200, "garbage", {}, Kind::kAnswer}, Reply{200, "{}", {}, Kind::kAnswer},
        ErrorReply(500, "internal", "oops"), Reply{504, "", {}, Kind::kAnswer},
        // Of a proxy, which may have passed the request on.
        Reply{503, "upstream connect error", {}, Kind::kAnswer}, Reply{200, "", {}, Kind::kHang}}) {
    service_.On("POST /v3/saves/", {reply});
    const absl::Status status =
        catalog_.Commit(soon.WithTimeout(absl::Milliseconds(200)), commit_).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnknown) << status;
  }
}

TEST_F(HttpCatalogTest, ACommitThatWasRefusedIsCertainlyNone) {
  for (const Reply& reply :
       {ErrorReply(410, "parent_gone", "x"), ErrorReply(412, "failed_precondition", "x")}) {
    service_.On("POST /v3/saves/", {reply});
    EXPECT_TRUE(absl::IsFailedPrecondition(catalog_.Commit({}, commit_).status()));
  }
  service_.Stop();
  EXPECT_TRUE(absl::IsUnavailable(catalog_.Commit({}, commit_).status()));
}

TEST_F(HttpCatalogTest, ADeleteRepeatedAfterALostAnswerIsDone) {
  service_.On("DELETE /v3/checkpoints",
              {{200, "{\"lost\": true}", {}, Kind::kCut}, ErrorReply(404, "not_found", "none")});
  EXPECT_TRUE(catalog_.Delete({}, "a/b").ok());
  EXPECT_EQ(service_.Requests("DELETE")[0].target, "/v3/checkpoints?path=a%2Fb");
  EXPECT_TRUE(absl::IsNotFound(catalog_.Delete({}, "a/b")));
}

TEST_F(HttpCatalogTest, OpenListOutcomeAndLeasesFollowTheInterface) {
  service_.On("POST /v3/checkpoints/open", {Ok({{"checkpoint", CheckpointJson("a")},
                                                {"keys", KeysJson()},
                                                {"manifest", "AP8="},
                                                {"lease_ms", 1000},
                                                {"heartbeat_ms", 100}})});
  service_.On(
      "GET /v3/checkpoints",
      {Ok({{"checkpoints", base::Json::array({CheckpointJson("a"), CheckpointJson("b")})}})});
  service_.On("GET /v3/saves/", {Ok({{"state", "committed"}, {"path", "a"}})});
  service_.On("POST /v3/saves/", {Ok({{"lease_ms", 1}})});
  service_.On("POST /v3/leases/", {Ok({{"lease_ms", 1}})});
  service_.On("DELETE /v3/leases/", {Ok(base::Json::object())});
  const base::SaveId save;
  const base::LeaseId lease;
  EXPECT_EQ(catalog_.Open({}, "a", lease)->manifest, std::string("\0\xff", 2));
  EXPECT_EQ(catalog_.List({}, {.prefix = "a"})->size(), 2u);
  EXPECT_EQ(*catalog_.Outcome({}, save), transfer::SaveOutcome::kCommitted);
  EXPECT_TRUE(catalog_.Heartbeat({}, save).ok());
  EXPECT_TRUE(catalog_.Abort({}, save).ok());
  EXPECT_TRUE(catalog_.RenewHold({}, lease).ok());
  EXPECT_TRUE(catalog_.Close({}, lease).ok());
  service_.On("POST /v3/saves/", {ErrorReply(409, "already_exists", "committed")});
  EXPECT_TRUE(absl::IsAlreadyExists(catalog_.Abort({}, save)));
  EXPECT_EQ(service_.Count("POST /v3/saves/" + save.ToHex() + "/heartbeat"), 1);
  EXPECT_EQ(service_.Count("POST /v3/leases/" + lease.ToHex() + "/heartbeat"), 1);
}

TEST_F(HttpCatalogTest, EveryRequestHasAnIdAndErrorsOfTheServiceNameIt) {
  service_.On("GET /v3/saves/", {ErrorReply(500, "internal", "broken"),
                                 ErrorReply(404, "not_found", "none"),
                                 {200, R"({"lost": true})", {}, Kind::kCut}});
  const absl::Status broken = api_.Call({}, "GET", "/v3/saves/1").status();
  const absl::Status none = api_.Call({}, "GET", "/v3/saves/1").status();
  const absl::Status lost = api_.Call({}, "GET", "/v3/saves/1").status();
  const std::vector<Seen> requests = service_.Requests("GET /v3/saves/");
  ASSERT_EQ(requests.size(), 3u);
  std::set<std::string> ids;
  for (const Seen& request : requests) ids.insert(*request.Header("x-request-id"));
  EXPECT_EQ(ids.size(), 3u);
  EXPECT_THAT(std::string(broken.message()), HasSubstr(*requests[0].Header("x-request-id")));
  EXPECT_THAT(std::string(none.message()), Not(HasSubstr("request")));
  EXPECT_TRUE(lost.code() == absl::StatusCode::kUnknown) << lost;
  EXPECT_THAT(std::string(lost.message()), HasSubstr(*requests[2].Header("x-request-id")));
}

TEST_F(HttpCatalogTest, TheRequestsOfAnOperationAreNamedAfterIt) {
  service_.On("GET /v3/saves/", {Ok({{"a", 1}}), ErrorReply(500, "internal", "broken")});
  const HttpApi api(service_.origin(), "the-token", client_.get(), "0123456789abcdef");
  ASSERT_TRUE(api.Call({}, "GET", "/v3/saves/1").ok());
  const absl::Status broken = api.Call({}, "GET", "/v3/saves/1").status();
  const std::vector<Seen> requests = service_.Requests("GET /v3/saves/");
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(*requests[0].Header("x-request-id"), "0123456789abcdef-1");
  EXPECT_EQ(*requests[1].Header("x-request-id"), "0123456789abcdef-2");
  EXPECT_THAT(std::string(broken.message()), HasSubstr("(request 0123456789abcdef-2)"));
}

}  // namespace
}  // namespace cedana::remote
