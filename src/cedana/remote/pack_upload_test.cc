// How one pack is placed at several providers: every rule of pack_upload.h over real sockets, with
// the times scaled down.
#include "cedana/remote/pack_upload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cedana/remote/grant_sink.h"
#include "cedana/remote/testing/scripted_service.h"

namespace cedana::remote {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::UnorderedElementsAre;
using Kind = Reply::Kind;

HealthRules Scaled() {
  HealthRules rules;
  rules.stall = absl::Milliseconds(300);
  rules.probe_leash_min = absl::Milliseconds(50);
  rules.breaker.pause_first = absl::Milliseconds(200);
  rules.breaker.throttle_min = absl::Milliseconds(10);
  return rules;
}

class PackUploadTest : public testing::Test {
 protected:
  PackUploadTest()
      : client_(*http::Client::Create({.stall_timeout = absl::Seconds(5)})),
        api_(service_.origin(), "token", client_.get()),
        health_(&base::SystemClock(), Scaled()),
        sink_(base::SaveId(), &api_, client_.get(), &health_,
              {.give_up_after = absl::Milliseconds(1500),
               .backoff_first = absl::Milliseconds(5),
               .backoff_max = absl::Milliseconds(20),
               .bounds_attempts = false},
              {}) {
    sink_.SetTimes(absl::Milliseconds(20), absl::Milliseconds(300));
    for (const char* name : {"p", "q", "r"}) Object(name, {Stored()});
    Offer(2, 2, {{"p"}, {"q"}, {"r"}});
  }

  static Reply Stored(absl::Duration delay = absl::ZeroDuration(), double bytes_per_s = 0) {
    Reply reply{201};
    reply.delay = delay;
    reply.bytes_per_s = bytes_per_s;
    return reply;
  }
  static Reply Busy() { return ErrorReply(503, "unavailable", "busy"); }
  static Reply Throttling() {
    Reply reply = Busy();
    reply.headers = {{"Retry-After", "1"}};
    return reply;
  }
  static Reply Silent() { return {200, "", {}, Kind::kHang}; }

  void Offer(int copies, int ack, const std::vector<OfferedProvider>& providers) {
    service_.On("POST /v3/saves/", {{200, UploadGrantsBody(pack_, copies, ack, providers)}});
  }
  void Object(const std::string& provider, std::vector<Reply> replies) {
    service_.On("PUT /objects/" + provider, std::move(replies));
  }
  absl::StatusOr<std::vector<std::string>> Put(const base::Context& context = {}) {
    const absl::Duration start = base::SystemClock().Monotonic();
    auto result = sink_.Put(context, pack_,
                            {reinterpret_cast<const uint8_t*>(bytes_.data()), bytes_.size()}, 77);
    took_ = base::SystemClock().Monotonic() - start;
    return result;
  }
  int Uploads(const std::string& provider) { return service_.Count("PUT /objects/" + provider); }
  void OpenBreaker(const std::string& provider) {
    for (int i = 0; i < 5; ++i) {
      health_.Begin(provider, Direction::kUpload, 1)->End(absl::UnavailableError("down"));
    }
  }

  const base::PackId pack_ = *base::PackId::FromHex(std::string(32, '9'));
  std::string bytes_ = std::string(300000, 'b');
  ScriptedService service_;
  std::unique_ptr<http::Client> client_;
  HttpApi api_;
  ProviderHealth health_;
  GrantSink sink_;
  absl::Duration took_;
};

// --- where a pack goes ---

TEST_F(PackUploadTest, CopiesGoUpInParallelAndNoMoreThanNeeded) {
  for (const char* name : {"p", "q", "r"}) Object(name, {Stored(absl::Milliseconds(200))});
  EXPECT_THAT(*Put(), ElementsAre("p", "q"));
  EXPECT_LT(took_, absl::Milliseconds(380));
  EXPECT_EQ(Uploads("r"), 0);
  EXPECT_EQ(service_.Requests("PUT /objects/q")[0].body, bytes_);
}

TEST_F(PackUploadTest, TheBytesOfAllCopiesAreProgress) {
  EXPECT_EQ(sink_.moved_bytes(), 0u);
  EXPECT_THAT(*Put(), ElementsAre("p", "q"));
  EXPECT_GE(sink_.moved_bytes(), 2 * bytes_.size());
}

TEST_F(PackUploadTest, CopiesLieInDifferentFailureDomains) {
  Offer(2, 2, {{"p", "aws"}, {"q", "aws"}, {"r", "gcs"}});
  EXPECT_THAT(*Put(), ElementsAre("p", "r"));
  EXPECT_EQ(Uploads("q"), 0);
}

TEST_F(PackUploadTest, AnotherOfTheSameDomainDoesWhereTheFirstFails) {
  Offer(2, 2, {{"p", "aws"}, {"q", "aws"}, {"r", "gcs"}});
  Object("p", {Busy()});
  EXPECT_THAT(*Put(), ElementsAre("q", "r"));
}

TEST_F(PackUploadTest, AnOpenBreakerIsPassedByWhereOthersSuffice) {
  OpenBreaker("p");
  EXPECT_THAT(*Put(), ElementsAre("q", "r"));
  EXPECT_EQ(Uploads("p"), 0);
}

TEST_F(PackUploadTest, WhereAllAreOpenTheLeastBadIsTried) {
  for (const char* name : {"r", "q", "p"}) {
    OpenBreaker(name);
    base::SystemClock().Sleep(absl::Milliseconds(5));
  }
  EXPECT_THAT(*Put(), ElementsAre("q", "r"));
}

TEST_F(PackUploadTest, AHalfOpenBreakerGetsOneTryThatHoldsNothingUp) {
  OpenBreaker("p");
  base::SystemClock().Sleep(absl::Milliseconds(220));
  Object("p", {Silent()});
  EXPECT_THAT(*Put(), ElementsAre("q", "r"));
  EXPECT_EQ(Uploads("p"), 1);
  EXPECT_LT(took_, absl::Milliseconds(250));  // the leash is 50 ms, a stall 300
  EXPECT_THAT(*Put(), ElementsAre("q", "r"));
  EXPECT_EQ(Uploads("p"), 1);
}

// --- failures ---

TEST_F(PackUploadTest, AFailedUploadGoesElsewhereAtOnce) {
  int number = 0;
  for (const Reply& failure : {Busy(), ErrorReply(500, "internal", "broken"),
                               ErrorReply(507, "resource_exhausted", "full"),
                               ErrorReply(422, "data_loss", "other bytes came"), Throttling(),
                               ErrorReply(404, "not_found", "no bucket")}) {
    const std::string name = absl::StrCat("q", ++number);
    Offer(2, 2, {{"p"}, {name}, {"r"}});
    Object(name, {failure});
    EXPECT_THAT(*Put(), ElementsAre("p", "r")) << failure.body;
    EXPECT_LT(took_, absl::Milliseconds(250));
    EXPECT_EQ(Uploads(name), 1);
  }
}

TEST_F(PackUploadTest, AProviderThatNobodyListensAtIsReplaced) {
  Offer(2, 2, {{"p"}, {"gone", "", "directory", "http://127.0.0.1:9"}, {"r"}});
  EXPECT_THAT(*Put(), ElementsAre("p", "r"));
}

TEST_F(PackUploadTest, AStalledUploadGoesElsewhereAsWell) {
  Object("q", {Silent()});
  EXPECT_THAT(*Put(), ElementsAre("p", "r"));
  EXPECT_GE(took_, absl::Milliseconds(290));
  EXPECT_LT(took_, absl::Milliseconds(900));
  // Known now: the next pack loses no time.
  EXPECT_THAT(*Put(), ElementsAre("p", "r"));
  EXPECT_LT(took_, absl::Milliseconds(200));
}

TEST_F(PackUploadTest, TheFirstReplyWinsAlsoThatOfTheStalledOne) {
  Object("q", {Stored(absl::Milliseconds(600))});
  Object("r", {Stored(absl::Seconds(4))});
  EXPECT_THAT(*Put(), ElementsAre("p", "q"));
  EXPECT_EQ(Uploads("r"), 1);
  EXPECT_LT(took_, absl::Seconds(2));  // r was cancelled
}

TEST_F(PackUploadTest, ASlowUploadGoesElsewhereAsWell) {
  ASSERT_THAT(*Put(), ElementsAre("p", "q"));  // their usual rates
  bytes_ = std::string(16 << 20, 'b');
  Object("q", {Stored(absl::ZeroDuration(), 100e3)});
  Object("p", {Stored(absl::ZeroDuration(), 30e6)});
  Object("r", {Stored(absl::ZeroDuration(), 30e6)});
  EXPECT_THAT(*Put(), ElementsAre("p", "r"));
  EXPECT_LT(took_, absl::Seconds(20));  // over q alone it would be minutes
}

TEST_F(PackUploadTest, ALostReplyIsRepeatedAndFoundDone) {
  Offer(1, 1, {{"p"}});
  Reply exists = ErrorReply(409, "already_exists", "there");
  exists.headers = {{"X-Object-Bytes", absl::StrCat(bytes_.size())}, {"X-Object-Crc32c", "77"}};
  Object("p", {{201, "some text", {}, Kind::kCut}, exists});
  EXPECT_THAT(*Put(), ElementsAre("p"));
}

TEST_F(PackUploadTest, OnlyOneProviderThrottlesAndIsWaitedFor) {
  Offer(1, 1, {{"p"}});
  Object("p", {Throttling(), Stored()});
  EXPECT_THAT(*Put(), ElementsAre("p"));
  EXPECT_GE(took_, absl::Milliseconds(990));
  EXPECT_EQ(Uploads("p"), 2);
}

TEST_F(PackUploadTest, FailsClearlyWhereTooFewDomainsAreLeft) {
  Object("q", {Busy()});
  Object("r", {ErrorReply(507, "resource_exhausted", "full")});
  const absl::Status status = Put().status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("1 of 2 needed copies"), HasSubstr("provider q: upload: busy"),
                    HasSubstr("provider r: upload: full"), Not(HasSubstr("provider p")),
                    Not(HasSubstr("secret"))));
  EXPECT_LT(took_, absl::Seconds(3));
  EXPECT_EQ(Uploads("r"), 1);
}

TEST_F(PackUploadTest, FailsAtOnceWhereNothingCanPass) {
  Object("q", {ErrorReply(507, "resource_exhausted", "full")});
  Object("r", {ErrorReply(507, "resource_exhausted", "full")});
  EXPECT_TRUE(absl::IsResourceExhausted(Put().status()));
  EXPECT_LT(took_, absl::Milliseconds(500));
}

TEST_F(PackUploadTest, ProvidersThatComeBackInTimeAreUsed) {
  Object("q", {Busy(), Busy(), Busy(), Stored()});
  Object("r", {ErrorReply(507, "resource_exhausted", "full")});
  EXPECT_THAT(*Put(), ElementsAre("p", "q"));
}

// The clouds' answers are read in their own words.
TEST_F(PackUploadTest, ExistsIsSuccessAtACloudForPackIdsAreDrawnOnce) {
  for (const char* dialect : {"s3", "gcs"}) {
    Offer(1, 1, {{"p", "", dialect}});
    Object("p", {{412, "<Error><Code>PreconditionFailed</Code></Error>"}});
    EXPECT_THAT(*Put(), ElementsAre("p")) << dialect;
  }
  Offer(1, 1, {{"p", "", "azure"}});
  Reply exists{409, "<Error><Code>BlobAlreadyExists</Code></Error>"};
  exists.headers = {{"x-ms-error-code", "BlobAlreadyExists"}};
  Object("p", {exists});
  EXPECT_THAT(*Put(), ElementsAre("p"));
}

TEST_F(PackUploadTest, ACloudThatAsksToSlowDownIsPassedByAndNotCountedAsBroken) {
  Offer(2, 2, {{"p"}, {"q", "", "s3"}, {"r"}});
  Object("q", {{503, "<Error><Code>SlowDown</Code></Error>"}});
  for (int i = 0; i < 10; ++i) EXPECT_THAT(*Put(), ElementsAre("p", "r"));
  EXPECT_LT(Uploads("q"), 5);
  const std::vector<std::string> q = {"q"};
  EXPECT_NE(health_.Order(q, Direction::kUpload, 1)[0].readiness, ProviderHealth::Readiness::kOpen);
}

// --- more copies than are needed at once ---

TEST_F(PackUploadTest, ASlowerCopyBeyondAckHasItsChance) {
  Offer(2, 1, {{"p"}, {"q"}});
  Object("q", {Stored(absl::Milliseconds(150))});
  EXPECT_THAT(*Put(), ElementsAre("p", "q"));
}

TEST_F(PackUploadTest, ACopyBeyondAckHoldsThePackUpNoLongerThanItsChance) {
  Offer(2, 1, {{"p"}, {"q"}});
  Object("q", {Stored(absl::Seconds(4))});
  EXPECT_THAT(*Put(), ElementsAre("p"));
  EXPECT_GE(took_, absl::Milliseconds(250));
  EXPECT_LT(took_, absl::Seconds(1));
}

TEST_F(PackUploadTest, ADarkProviderBeyondAckCostsNothing) {
  Offer(2, 1, {{"p"}, {"q"}});
  OpenBreaker("q");
  EXPECT_THAT(*Put(), ElementsAre("p"));
  EXPECT_LT(took_, absl::Milliseconds(150));
  EXPECT_EQ(Uploads("q"), 0);
}

// --- the service ---

TEST_F(PackUploadTest, GrantsInHandServeWhileTheServiceIsAway) {
  service_.On("POST /v3/saves/",
              {{200, UploadGrantsBody(pack_, 2, 2, {{"p"}, {"q"}, {"r"}})}, Busy()});
  Object("q", {Busy(), Busy(), Busy(), Stored()});
  Object("r", {Busy()});
  EXPECT_THAT(*Put(), ElementsAre("p", "q"));
}

TEST_F(PackUploadTest, AServiceThatComesBackInTimeCostsOnlyTime) {
  service_.On("POST /v3/saves/",
              {Busy(), Busy(), {200, UploadGrantsBody(pack_, 2, 2, {{"p"}, {"q"}})}});
  EXPECT_THAT(*Put(), ElementsAre("p", "q"));
}

TEST_F(PackUploadTest, ARefusedGrantIsRenewedWhileTheOthersGoOn) {
  Offer(2, 2, {{"p"}, {"q"}});
  Object("q", {ErrorReply(403, "permission_denied", "expired"), Stored()});
  EXPECT_THAT(*Put(), ElementsAre("p", "q"));
  EXPECT_EQ(service_.Count("POST"), 2);
  EXPECT_EQ(Uploads("p"), 1);
}

TEST_F(PackUploadTest, OneThatRefusesForGoodIsReplaced) {
  Object("q", {ErrorReply(403, "permission_denied", "no")});
  EXPECT_THAT(*Put(), ElementsAre("p", "r"));
}

TEST_F(PackUploadTest, TooFewDomainsOnOfferFailInTime) {
  Offer(2, 2, {{"p", "aws"}, {"q", "aws"}});
  const absl::Status status = Put().status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("only 1 of the 2 failure domains"));
  EXPECT_LT(took_, absl::Seconds(3));
  EXPECT_EQ(service_.Count("PUT"), 0);
}

TEST_F(PackUploadTest, AnEndedLeaseEndsThePutThoughProvidersAreLeft) {
  service_.On("POST /v3/saves/", {{200, UploadGrantsBody(pack_, 2, 2, {{"p"}, {"q"}})},
                                  ErrorReply(412, "failed_precondition", "lease ended")});
  Object("q", {ErrorReply(403, "permission_denied", "expired")});
  const absl::Status status = Put().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
}

TEST_F(PackUploadTest, WhatWasSeenOfTheProvidersGoesAlongWithTheNextRequest) {
  Object("p", {Stored(absl::Milliseconds(10))});
  Object("q", {Busy()});
  ASSERT_TRUE(Put().ok());
  ASSERT_TRUE(Put().ok());
  const std::vector<Seen> asked = service_.Requests("POST");
  ASSERT_GE(asked.size(), 2u);
  EXPECT_FALSE(base::ParseJson(asked[0].body)->contains("reports"));
  const base::Json reports = (*base::ParseJson(asked[1].body))["reports"];
  EXPECT_EQ(reports["p"]["ok"], 1);
  EXPECT_EQ(reports["p"]["failed"], 0);
  EXPECT_EQ(reports["q"]["failed"], 1);
  EXPECT_EQ(reports["q"]["last_error"], "upload: busy");
  EXPECT_GT(reports["p"]["bytes_per_s"], 0);
}

TEST_F(PackUploadTest, ACancelledPutEndsEveryUploadAtOnce) {
  for (const char* name : {"p", "q", "r"}) Object(name, {Silent()});
  base::Context context{.cancel = std::make_shared<base::CancelSource>()};
  base::Thread canceller("canceller", [&] {
    base::SystemClock().Sleep(absl::Milliseconds(100));
    context.cancel->Cancel(absl::CancelledError("enough"));
  });
  const absl::Status status = Put(context).status();
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_LT(took_, absl::Milliseconds(400));
}

TEST_F(PackUploadTest, TheDeadlineOfTheCallerEndsIt) {
  for (const char* name : {"p", "q", "r"}) Object(name, {Silent()});
  EXPECT_TRUE(
      absl::IsDeadlineExceeded(Put(base::Context{}.WithTimeout(absl::Milliseconds(100))).status()));
  EXPECT_LT(took_, absl::Milliseconds(500));
}

}  // namespace
}  // namespace cedana::remote
