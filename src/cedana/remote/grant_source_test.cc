#include "cedana/remote/grant_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "cedana/remote/testing/scripted_service.h"

namespace cedana::remote {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using Kind = Reply::Kind;

constexpr RetryPolicy kRead{.give_up_after = absl::Milliseconds(1500),
                            .backoff_first = absl::Milliseconds(5),
                            .backoff_max = absl::Milliseconds(20),
                            .bounds_attempts = false};

class GrantSourceTest : public testing::Test {
 protected:
  GrantSourceTest()
      : client_(*http::Client::Create({.stall_timeout = absl::Milliseconds(200)})),
        api_(service_.origin(), "token", client_.get()),
        source_(base::LeaseId(), &api_, client_.get(), &health_, {kRead, {}}, {}) {
    for (int i = 0; i < 100000; ++i) bytes_ += static_cast<char>(i * 7);
    Grant({"p", "q"});
    Object("p", {Whole()});
    Object("q", {Whole()});
  }

  Reply Whole() const { return {200, bytes_, {}, Kind::kObject}; }
  void Grant(const std::vector<std::string>& providers) {
    service_.On("POST /v3/leases/",
                {{200, GrantsBody(pack_, providers, "GET"), {}, Kind::kAnswer}});
  }
  void Object(const std::string& provider, std::vector<Reply> replies) {
    service_.On("GET /objects/" + provider, std::move(replies));
  }
  // Also checks the bytes.
  absl::StatusOr<std::string> Read(uint64_t offset, size_t size) {
    std::vector<uint8_t> out(size);
    absl::StatusOr<std::string> provider = source_.Read({}, pack_, offset, out, {});
    if (provider.ok()) {
      EXPECT_EQ(std::string(out.begin(), out.end()), bytes_.substr(offset, size));
    }
    return provider;
  }

  const base::PackId pack_ = *base::PackId::FromHex(std::string(32, '9'));
  std::string bytes_;
  ScriptedService service_;
  std::unique_ptr<http::Client> client_;
  HttpApi api_;
  ProviderHealth health_{&base::SystemClock()};
  GrantSource source_;
};

TEST_F(GrantSourceTest, ReadsRangesUnderOneGrant) {
  EXPECT_EQ(*Read(0, 1000), "p");
  EXPECT_EQ(*Read(99000, 1000), "p");
  EXPECT_EQ(*Read(0, bytes_.size()), "p");
  EXPECT_EQ(service_.Count("POST"), 1);
  const Seen seen = service_.Requests("GET")[1];
  EXPECT_EQ(*seen.Header("range"), "bytes=99000-99999");
  EXPECT_EQ(*seen.Header("x-test"), "p");
  EXPECT_EQ(seen.Header("authorization"), nullptr);
}

TEST_F(GrantSourceTest, AsksTheNextProviderWhenOneFails) {
  for (const Reply& broken :
       {ErrorReply(500, "internal", "broken"), Reply{404, "", {}, Kind::kAnswer},
        Reply{206, bytes_, {}, Kind::kCut}, Reply{200, "", {}, Kind::kHang},
        Reply{206, "short", {}, Kind::kAnswer}, Reply{200, bytes_, {}, Kind::kAnswer}}) {
    Object("p", {broken});
    EXPECT_EQ(*Read(100, 50000), "q");
  }
}

TEST_F(GrantSourceTest, RetriesWhenAllAreBusy) {
  Object("p", {ErrorReply(503, "unavailable", "busy"), Whole()});
  Object("q", {ErrorReply(429, "throttled", "slow")});
  EXPECT_EQ(*Read(5, 10), "p");
}

TEST_F(GrantSourceTest, NoProviderHasIt) {
  Object("p", {ErrorReply(404, "not_found", "none")});
  Object("q", {ErrorReply(404, "not_found", "none")});
  const absl::Status status = Read(0, 10).status();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("provider p"), HasSubstr("provider q"), Not(HasSubstr("secret"))));
}

TEST_F(GrantSourceTest, ExpiredGrantsAreRenewedOnce) {
  Grant({"p"});
  Object("p", {ErrorReply(403, "permission_denied", "expired"), Whole()});
  EXPECT_EQ(*Read(0, 10), "p");
  EXPECT_EQ(service_.Count("POST"), 2);
  Object("p", {ErrorReply(403, "permission_denied", "altered")});
  EXPECT_TRUE(absl::IsPermissionDenied(Read(0, 10).status()));
}

TEST_F(GrantSourceTest, GrantsThatEndSoonAreNotKept) {
  base::Json soon = *base::ParseJson(GrantsBody(pack_, {"p"}, "GET"));
  soon["grants"][0]["expires_ms"] = absl::ToUnixMillis(absl::Now() + absl::Seconds(5));
  service_.On("POST /v3/leases/", {{200, base::DumpJson(soon), {}, Kind::kAnswer}});
  EXPECT_TRUE(Read(0, 10).ok());
  EXPECT_TRUE(Read(0, 10).ok());
  EXPECT_EQ(service_.Count("POST"), 2);
}

TEST_F(GrantSourceTest, AHoldThatHasEndedIsFinal) {
  service_.On("POST /v3/leases/", {ErrorReply(412, "failed_precondition", "lease ended")});
  EXPECT_TRUE(absl::IsFailedPrecondition(Read(0, 10).status()));
}

TEST_F(GrantSourceTest, AServiceThatIsGoneIsGivenUpInTime) {
  service_.Stop();
  const absl::Duration start = base::SystemClock().Monotonic();
  EXPECT_TRUE(absl::IsUnavailable(Read(0, 10).status()));
  EXPECT_LE(base::SystemClock().Monotonic() - start, absl::Seconds(2));
}

}  // namespace
}  // namespace cedana::remote
