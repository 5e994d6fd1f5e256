#include "core/objstore/testing/imposter.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/thread.h"
#include "gtest/gtest.h"

namespace cedana::objstore {
namespace {

// Answers a PUT with its body, and remembers how many it has done.
class EchoDialect final : public ImposterDialect {
 public:
  explicit EchoDialect(std::atomic<int>* done) : done_(done) {}
  ImposterTarget TargetOf(const http::ServerRequest& request) const override {
    return {request.method == "PUT" ? Operation::kPut : Operation::kGet, request.path.substr(1)};
  }
  std::optional<ImposterAnswer> Refuse(const http::ServerRequest& request,
                                       absl::Time now) override {
    if (now < absl::Now() + absl::Minutes(30)) return std::nullopt;
    return ImposterAnswer{.status = 403};
  }
  ImposterAnswer Serve(const base::Context&, const http::ServerRequest& request,
                       absl::string_view body, absl::Time) override {
    ++*done_;
    return {.body = std::string(body), .is_object = true};
  }
  ImposterAnswer ErrorAnswer(const http::ServerRequest&, int status,
                             const std::string& code) const override {
    return {.status = status, .body = code.empty() ? "usual" : code};
  }

 private:
  std::atomic<int>* const done_;
};

class ImposterTest : public testing::Test {
 protected:
  void SetUp() override {
    cloud_ = *Imposter::Start({}, std::make_unique<EchoDialect>(&done_));
    url_ = cloud_->url();
    http::ClientOptions options;
    options.stall_timeout = absl::Milliseconds(400);
    client_ = *http::Client::Create(options);
  }
  absl::StatusOr<http::ClientResponse> Put(absl::string_view name, absl::string_view body) {
    http::ClientRequest request;
    request.method = "PUT";
    request.url = absl::StrCat(url_, "/", name);
    request.body = {reinterpret_cast<const uint8_t*>(body.data()), body.size()};
    request.has_body = true;
    return client_->Do({}, request);
  }
  absl::Duration TimeOfPut(absl::string_view body) {
    const absl::Time start = absl::Now();
    EXPECT_TRUE(Put("timed", body).ok());
    return absl::Now() - start;
  }

  std::atomic<int> done_{0};
  std::string url_;
  std::unique_ptr<Imposter> cloud_;
  std::unique_ptr<http::Client> client_;
};

TEST_F(ImposterTest, ServesWhatNoFaultHits) {
  const auto answer = Put("a", "hello");
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "hello");
  EXPECT_EQ(cloud_->counts().puts, 1);
  EXPECT_EQ(cloud_->counts().body_bytes_in, 5);
  EXPECT_EQ(cloud_->counts().body_bytes_out, 5);
  EXPECT_EQ(cloud_->counts().faults, 0);
}

TEST_F(ImposterTest, AnswersAnErrorInsteadOfDoingIt) {
  cloud_->AddFault({.operation = Operation::kPut,
                    .prefix = "s/",
                    .skip = 1,
                    .times = 1,
                    .status = 503,
                    .retry_after = absl::Seconds(7)});
  EXPECT_EQ(Put("s/1", "x")->status, 200);
  EXPECT_EQ(Put("t/1", "x")->status, 200);
  const auto answer = Put("s/2", "x");
  EXPECT_EQ(answer->status, 503);
  EXPECT_EQ(answer->body, "usual");
  EXPECT_EQ(*answer->Header("retry-after"), "7");
  EXPECT_EQ(Put("s/3", "x")->status, 200);
  EXPECT_EQ(done_, 3);
  cloud_->AddFault({.status = 418, .code = "Teapot"});
  EXPECT_EQ(Put("s/4", "x")->body, "Teapot");
}

TEST_F(ImposterTest, HangsUntilThePlanChanges) {
  cloud_->AddFault({.no_answer = true});
  EXPECT_EQ(Put("a", "x").status().code(), absl::StatusCode::kUnknown);
  base::Thread healer("healer", [&] {
    absl::SleepFor(absl::Milliseconds(100));
    cloud_->ClearFaults();
  });
  EXPECT_EQ(Put("a", "x").status().code(), absl::StatusCode::kUnknown);
  EXPECT_EQ(done_, 0);
  EXPECT_EQ(Put("a", "x")->status, 200);
}

TEST_F(ImposterTest, LosesTheReplyOfWhatItDid) {
  cloud_->AddFault({.times = 1, .lose_reply = true});
  EXPECT_EQ(Put("a", "x").status().code(), absl::StatusCode::kUnknown);
  EXPECT_EQ(done_, 1);
}

TEST_F(ImposterTest, FlipsAndCutsWhatItDelivers) {
  cloud_->AddFault({.times = 1, .flip_bit = 8 * 1 + 5});
  EXPECT_EQ(Put("a", "aaa")->body, "aAa");
  cloud_->AddFault({.times = 1, .cut_after = 2});
  EXPECT_EQ(Put("a", "aaa").status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(ImposterTest, IsAsSlowAsItIsTold) {
  cloud_->SetPace({.latency = absl::Milliseconds(100)});
  EXPECT_GE(TimeOfPut("x"), absl::Milliseconds(100));
  cloud_->SetPace({.bytes_per_s = 1e6});
  EXPECT_GE(TimeOfPut(std::string(100000, 'x')), absl::Milliseconds(190));  // there and back
  cloud_->SetPace({.slow_share = 0.5, .slow_latency = absl::Milliseconds(50)});
  int slow = 0;
  for (int i = 0; i < 40; ++i) slow += TimeOfPut("x") >= absl::Milliseconds(50) ? 1 : 0;
  EXPECT_GT(slow, 8);
  EXPECT_LT(slow, 32);
}

TEST_F(ImposterTest, HitsTheShareThatItIsTold) {
  cloud_->AddFault({.share = 0.25, .status = 500});
  int hit = 0;
  for (int i = 0; i < 80; ++i) hit += Put("a", "x")->status == 500 ? 1 : 0;
  EXPECT_GT(hit, 6);
  EXPECT_LT(hit, 40);
  EXPECT_EQ(cloud_->counts().faults, hit);
}

TEST_F(ImposterTest, RefusesConnectionsAndComesBackOnItsPort) {
  EXPECT_EQ(Put("a", "x")->status, 200);
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(cloud_->SetListening(false).ok());
    EXPECT_EQ(Put("a", "x").status().code(), absl::StatusCode::kUnavailable);
    ASSERT_TRUE(cloud_->SetListening(true).ok());
    EXPECT_EQ(Put("a", "x")->status, 200);
  }
}

TEST_F(ImposterTest, HasAClockOfItsOwn) {
  cloud_->SetClockSkew(absl::Hours(1));
  EXPECT_EQ(Put("a", "x")->status, 403);
  EXPECT_EQ(done_, 0);
}

TEST_F(ImposterTest, EndsWhatHangsWhenItGoes) {
  cloud_->AddFault({.latency = absl::Hours(1)});
  base::Thread waiting("waiting", [&] { EXPECT_FALSE(Put("a", "x").ok()); });
  absl::SleepFor(absl::Milliseconds(50));
  const absl::Time start = absl::Now();
  cloud_.reset();
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
}

}  // namespace
}  // namespace cedana::objstore
