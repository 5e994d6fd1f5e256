#include "cedana/remote/grant_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "cedana/remote/testing/scripted_service.h"
#include "core/base/limits.h"
#include "core/base/thread.h"

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
      EXPECT_TRUE(std::string(out.begin(), out.end()) == bytes_.substr(offset, size));
    }
    return provider;
  }

  // Answers of that latency in the past.
  void MeasureReads(const std::string& provider, absl::Duration latency, int reads) {
    for (int i = 0; i < reads; ++i) {
      auto transfer = health_.Begin(provider, Direction::kRead, 50000);
      base::SystemClock().Sleep(latency);
      transfer->Progress(50000);
      transfer->End(absl::OkStatus());
    }
  }
  static std::vector<base::PackId> Packs(int count) {
    std::vector<base::PackId> packs;
    for (int i = 0; i < count; ++i) {
      packs.push_back(*base::PackId::FromHex(absl::StrFormat("%032x", i + 1)));
    }
    return packs;
  }
  // Every request is answered with grants for all of them.
  void GrantAll(const std::vector<base::PackId>& packs, absl::Duration left) {
    base::Json all = base::Json::array();
    for (const base::PackId& pack : packs) {
      base::Json grant = (*base::ParseJson(GrantsBody(pack, {"p"}, "GET")))["grants"][0];
      grant["expires_ms"] = absl::ToUnixMillis(absl::Now() + left);
      all.push_back(std::move(grant));
    }
    service_.On("POST /v3/leases/",
                {{200, base::DumpJson({{"grants", std::move(all)}}), {}, Kind::kAnswer}});
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

TEST_F(GrantSourceTest, BytesOfAProviderToAvoidAreNotRead) {
  std::vector<uint8_t> out(10);
  EXPECT_EQ(*source_.Read({}, pack_, 0, out, std::vector<std::string>{"p"}), "q");
  const absl::Status none =
      source_.Read({}, pack_, 0, out, std::vector<std::string>{"p", "q"}).status();
  EXPECT_TRUE(absl::IsNotFound(none)) << none;
  EXPECT_EQ(service_.Count("GET /objects/p"), 0);
}

// --- the order, and what is slow ---

TEST_F(GrantSourceTest, TheFastestIsAskedFirst) {
  for (int i = 0; i < 3; ++i) {
    auto slow = health_.Begin("p", Direction::kRead, 1000);
    auto fast = health_.Begin("q", Direction::kRead, 1000);
    fast->Progress(1000);
    fast->End(absl::OkStatus());
    base::SystemClock().Sleep(absl::Milliseconds(10));
    slow->Progress(1000);
    slow->End(absl::OkStatus());
  }
  EXPECT_EQ(*Read(0, 1000), "q");
  EXPECT_EQ(service_.Count("GET /objects/p"), 0);
}

TEST_F(GrantSourceTest, AProviderThatIsLeftAloneIsAskedLast) {
  for (int i = 0; i < 5; ++i) {
    health_.Begin("p", Direction::kRead, 1)->End(absl::UnavailableError("down"));
  }
  EXPECT_EQ(*Read(0, 1000), "q");
  Object("q", {ErrorReply(404, "not_found", "none")});
  EXPECT_EQ(*Read(0, 1000), "p");  // the least bad of all that are left
}

TEST_F(GrantSourceTest, ASlowReadIsHedgedAndTheFirstAnswerWins) {
  MeasureReads("p", absl::Milliseconds(1), 16);
  Reply slow = Whole();
  slow.delay = absl::Seconds(2);
  Object("p", {slow});
  const absl::Duration start = base::SystemClock().Monotonic();
  EXPECT_EQ(*Read(100, 50000), "q");
  EXPECT_LT(base::SystemClock().Monotonic() - start, absl::Seconds(1));
  EXPECT_EQ(service_.Count("GET /objects/q"), 1);
}

TEST_F(GrantSourceTest, AHedgeThatIsSlowerLosesAndLeavesNoByte) {
  MeasureReads("p", absl::Milliseconds(1), 16);
  Reply slow = Whole();
  slow.delay = absl::Milliseconds(120);
  Object("p", {slow});
  Reply wrong{200, std::string(bytes_.size(), 'x'), {}, Kind::kObject};
  wrong.bytes_per_s = 50000;  // has begun to come, and would take a second
  Object("q", {wrong});
  EXPECT_EQ(*Read(0, 50000), "p");  // Read compares the bytes
  EXPECT_EQ(service_.Count("GET /objects/q"), 1);
}

TEST_F(GrantSourceTest, HedgesThatAreNotPaidForAreNotMade) {
  MeasureReads("p", absl::Milliseconds(1), 16);
  while (health_.TakeHedge()) {
  }
  Reply slow = Whole();
  slow.delay = absl::Milliseconds(120);
  Object("p", {slow});
  EXPECT_EQ(*Read(0, 1000), "p");
  EXPECT_EQ(service_.Count("GET /objects/q"), 0);
}

TEST_F(GrantSourceTest, WhileOneThrottlesNothingIsHedged) {
  MeasureReads("p", absl::Milliseconds(1), 16);
  health_.Begin("r", Direction::kRead, 1)
      ->End(WithRetryAfter(absl::UnavailableError("slow"), absl::Seconds(5)));
  Reply slow = Whole();
  slow.delay = absl::Milliseconds(120);
  Object("p", {slow});
  EXPECT_EQ(*Read(0, 1000), "p");
  EXPECT_EQ(service_.Count("GET /objects/q"), 0);
}

TEST_F(GrantSourceTest, AReadThatLagsIsReadElsewhereUnpaid) {
  ProviderHealth strict(&base::SystemClock(), {.stall = absl::Milliseconds(100)});
  GrantSource source(base::LeaseId(), &api_, client_.get(), &strict, {kRead, {}}, {});
  source.SetTimes(absl::Milliseconds(10), absl::Milliseconds(100));
  while (strict.TakeHedge()) {
  }
  Object("p", {Reply{200, "", {}, Kind::kHang}});
  std::vector<uint8_t> out(1000);
  EXPECT_EQ(*source.Read({}, pack_, 0, out, {}), "q");
  // Larger than the memory for second answers: the one that has stopped makes room.
  bytes_ = std::string(base::kSecondReadsBytesMax + 1000, 'b');
  Object("q", {Whole()});
  out.resize(bytes_.size());
  ProviderHealth fresh(&base::SystemClock(), {.stall = absl::Milliseconds(100)});
  const auto patient = *http::Client::Create({.stall_timeout = absl::Seconds(20)});
  GrantSource large(base::LeaseId(), &api_, patient.get(), &fresh, {kRead, {}}, {});
  large.SetTimes(absl::Milliseconds(10), absl::Milliseconds(100));
  EXPECT_EQ(*large.Read({}, pack_, 0, out, {}), "q");
  EXPECT_TRUE(std::string(out.begin(), out.end()) == bytes_);
}

TEST_F(GrantSourceTest, AReadThatCreepsIsReadElsewhereThoughNothingElseMoves) {
  ProviderHealth strict(&base::SystemClock(), {.stall = absl::Milliseconds(100)});
  for (const char* provider : {"p", "q"}) {
    auto usual = strict.Begin(provider, Direction::kRead, 50000);
    base::SystemClock().Sleep(absl::Milliseconds(2));
    usual->Progress(50000);
    usual->End(absl::OkStatus());
  }
  base::SystemClock().Sleep(absl::Milliseconds(150));
  GrantSource source(base::LeaseId(), &api_, client_.get(), &strict, {kRead, {}}, {});
  source.SetTimes(absl::Milliseconds(10), absl::Seconds(3));
  while (strict.TakeHedge()) {
  }
  Reply creeping = Whole();
  creeping.bytes_per_s = 20000;  // 2.5 s for this range
  Object("p", {creeping});
  std::vector<uint8_t> out(50000);
  const absl::Duration start = base::SystemClock().Monotonic();
  EXPECT_EQ(*source.Read({}, pack_, 0, out, {}), "q");
  EXPECT_LT(base::SystemClock().Monotonic() - start, absl::Seconds(1));
}

TEST_F(GrantSourceTest, AThrottlingProviderIsWaitedForWhereNoOtherIsLeft) {
  Grant({"p"});
  Reply busy = ErrorReply(503, "unavailable", "slow down");
  busy.headers = {{"Retry-After", "1"}};
  Object("p", {busy, Whole()});
  const absl::Duration start = base::SystemClock().Monotonic();
  EXPECT_EQ(*Read(0, 1000), "p");
  EXPECT_GE(base::SystemClock().Monotonic() - start, absl::Milliseconds(900));
  EXPECT_EQ(service_.Count("GET /objects/p"), 2);
}

TEST_F(GrantSourceTest, AReadThatMovesMayTakeLongerThanAnyTimeout) {
  Grant({"p"});
  Reply slow = Whole();
  slow.bytes_per_s = 40000;  // 100,000 bytes: 2.5 s, more than the give-up time
  Object("p", {slow});
  EXPECT_EQ(*Read(0, bytes_.size()), "p");
}

TEST_F(GrantSourceTest, ACancelledReadEndsAtOnce) {
  Grant({"p"});
  Object("p", {Reply{200, "", {}, Kind::kHang}});
  base::Context context;
  context.cancel = std::make_shared<base::CancelSource>();
  base::Thread canceller("cancel", [&] {
    base::SystemClock().Sleep(absl::Milliseconds(50));
    context.cancel->Cancel(absl::CancelledError("not wanted"));
  });
  std::vector<uint8_t> out(1000);
  EXPECT_TRUE(absl::IsCancelled(source_.Read(context, pack_, 0, out, {}).status()));
}

// --- grants ---

TEST_F(GrantSourceTest, GrantsComeInBatchesAlongTheOrderOfTheReads) {
  const std::vector<base::PackId> packs = Packs(100);
  GrantAll(packs, absl::Minutes(15));
  source_.Expect(packs);
  for (const base::PackId& pack : packs) {
    std::vector<uint8_t> out(10);
    ASSERT_TRUE(source_.Read({}, pack, 0, out, {}).ok());
  }
  const std::vector<Seen> asked = service_.Requests("POST");
  ASSERT_EQ(asked.size(), 2u);
  const base::Json first = *base::ParseJson(asked[0].body);
  EXPECT_EQ(first["packs"].size(), base::kGrantBatchMax);
  EXPECT_EQ(first["packs"][1], packs[1].ToHex());
}

TEST_F(GrantSourceTest, AServiceThatIsAwayStopsNoReadUnderGrantsThatAreHeld) {
  const std::vector<base::PackId> packs = Packs(40);
  // They end soon: each read would rather renew them.
  GrantAll(packs, absl::Seconds(50));
  source_.Expect(packs);
  std::vector<uint8_t> out(10);
  ASSERT_TRUE(source_.Read({}, packs[0], 0, out, {}).ok());
  service_.On("POST /v3/leases/", {ErrorReply(503, "unavailable", "away")});
  for (const base::PackId& pack : packs) {
    ASSERT_TRUE(source_.Read({}, pack, 0, out, {}).ok());
  }
  // And it is not asked with every read.
  EXPECT_LE(service_.Count("POST"), 3);
}

TEST_F(GrantSourceTest, AnotherPackThatIsGoneDoesNotStopThisOne) {
  const std::vector<base::PackId> packs = Packs(3);
  service_.On("POST /v3/leases/", {ErrorReply(404, "not_found", "pack: none in this checkpoint"),
                                   {200, GrantsBody(packs[0], {"p"}, "GET"), {}, Kind::kAnswer}});
  source_.Expect(packs);
  std::vector<uint8_t> out(10);
  EXPECT_EQ(*source_.Read({}, packs[0], 0, out, {}), "p");
}

TEST_F(GrantSourceTest, TheServiceIsToldHowTheProvidersDid) {
  Grant({"p", "q"});
  Object("p", {ErrorReply(500, "internal", "broken")});
  ASSERT_TRUE(Read(0, 10).ok());
  service_.On("POST /v3/leases/",
              {{200, GrantsBody(Packs(1)[0], {"q"}, "GET"), {}, Kind::kAnswer}});
  std::vector<uint8_t> out(10);
  ASSERT_TRUE(source_.Read({}, Packs(1)[0], 0, out, {}).ok());
  const base::Json body = *base::ParseJson(service_.Requests("POST")[1].body);
  EXPECT_EQ(body["reports"]["p"]["failed"], 1);
  EXPECT_EQ(body["reports"]["q"]["ok"], 1);
}

// --- damage ---

TEST_F(GrantSourceTest, DamageIsToldOnceAndWeighsOnTheProvider) {
  service_.On("POST /v3/leases/00000000000000000000000000000000/damage",
              {ErrorReply(503, "unavailable", "another shard is being looked at"),
               {200, R"({"verdict": "damaged"})", {}, Kind::kAnswer}});
  {
    GrantSource source(base::LeaseId(), &api_, client_.get(), &health_, {kRead, kRead}, {});
    source.ReportDamage(pack_, "p", absl::DataLossError("block 3: not authentic"));
    source.ReportDamage(pack_, "p", absl::DataLossError("block 4: not authentic"));
  }
  const std::vector<Seen> told = service_.Requests("POST");
  ASSERT_EQ(told.size(), 2u);  // once more after the refusal
  const base::Json body = *base::ParseJson(told[1].body);
  EXPECT_EQ(body["pack"], pack_.ToHex());
  EXPECT_EQ(body["provider"], "p");
  EXPECT_EQ(body["what"], "block 3: not authentic");
  EXPECT_THAT(health_.TakeReports().at(0).last_error, HasSubstr("not authentic"));
}

TEST_F(GrantSourceTest, AShardThatIsGoneIsTold) {
  service_.On("POST /v3/leases/00000000000000000000000000000000/damage",
              {{200, R"({"verdict": "missing"})", {}, Kind::kAnswer}});
  Object("p", {ErrorReply(404, "not_found", "none")});
  {
    GrantSource source(base::LeaseId(), &api_, client_.get(), &health_, {kRead, kRead}, {});
    std::vector<uint8_t> out(10);
    EXPECT_EQ(*source.Read({}, pack_, 0, out, {}), "q");
  }
  EXPECT_EQ(service_.Count("POST /v3/leases/00000000000000000000000000000000/damage"), 1);
}

// A bucket that is gone and a proxy's page are no missing shards: which shard that is depends on
// the dialect's words.
TEST_F(GrantSourceTest, NotEvery404IsAMissingShard) {
  base::Json grants = *base::ParseJson(GrantsBody(pack_, {"p", "q"}, "GET"));
  grants["grants"][0]["dialect"] = "s3";
  service_.On("POST /v3/leases/", {{200, base::DumpJson(grants), {}, Kind::kAnswer}});
  service_.On("POST /v3/leases/00000000000000000000000000000000/damage",
              {{200, R"({"verdict": "missing"})", {}, Kind::kAnswer}});
  const auto told = [&](const std::string& body) {
    Object("p", {{404, body, {}, Kind::kAnswer}});
    const int before = service_.Count("POST /v3/leases/00000000000000000000000000000000/damage");
    {
      GrantSource source(base::LeaseId(), &api_, client_.get(), &health_, {kRead, kRead}, {});
      std::vector<uint8_t> out(10);
      EXPECT_EQ(*source.Read({}, pack_, 0, out, {}), "q");
    }
    return service_.Count("POST /v3/leases/00000000000000000000000000000000/damage") - before;
  };
  EXPECT_EQ(told("<Error><Code>NoSuchKey</Code></Error>"), 1);
  EXPECT_EQ(told("<Error><Code>NoSuchBucket</Code></Error>"), 0);
  EXPECT_EQ(told("<html>no such host</html>"), 0);
}

TEST_F(GrantSourceTest, AServiceThatIsGoneIsGivenUpInTime) {
  service_.Stop();
  const absl::Duration start = base::SystemClock().Monotonic();
  EXPECT_TRUE(absl::IsUnavailable(Read(0, 10).status()));
  EXPECT_LE(base::SystemClock().Monotonic() - start, absl::Seconds(2));
}

}  // namespace
}  // namespace cedana::remote
