#include "cedana/remote/grant_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cedana/remote/testing/scripted_service.h"

namespace cedana::remote {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using Kind = Reply::Kind;

class GrantSinkTest : public testing::Test {
 protected:
  GrantSinkTest()
      : client_(*http::Client::Create({.stall_timeout = absl::Milliseconds(200)})),
        api_(service_.origin(), "token", client_.get()),
        health_(&base::SystemClock()),
        sink_(base::SaveId(), &api_, client_.get(), &health_,
              {.give_up_after = absl::Milliseconds(600),
               .backoff_first = absl::Milliseconds(5),
               .backoff_max = absl::Milliseconds(20),
               .bounds_attempts = false},
              {}) {
    Grant({"p"});
  }

  void Grant(const std::vector<std::string>& providers) {
    service_.On("POST /v3/saves/", {{200, GrantsBody(pack_, providers, "PUT"), {}, Kind::kAnswer}});
  }
  void Object(const std::string& provider, std::vector<Reply> replies) {
    service_.On("PUT /objects/" + provider, std::move(replies));
  }
  absl::StatusOr<std::vector<std::string>> Put(const base::Context& context = {}) {
    return sink_.Put(context, pack_,
                     {reinterpret_cast<const uint8_t*>(bytes_.data()), bytes_.size()}, 77);
  }
  static Reply Exists(uint64_t bytes, uint32_t crc32c) {
    Reply reply = ErrorReply(409, "already_exists", "there");
    reply.headers = {{"X-Object-Bytes", absl::StrCat(bytes)},
                     {"X-Object-Crc32c", absl::StrCat(crc32c)}};
    return reply;
  }

  const base::PackId pack_ = *base::PackId::FromHex(std::string(32, '9'));
  const std::string bytes_ = std::string(300000, 'b');
  ScriptedService service_;
  std::unique_ptr<http::Client> client_;
  HttpApi api_;
  ProviderHealth health_;
  GrantSink sink_;
};

TEST_F(GrantSinkTest, UploadsExactlyWhatTheGrantSays) {
  Object("p", {{201, "", {}, Kind::kAnswer}});
  EXPECT_THAT(*Put(), ElementsAre("p"));
  const base::Json asked = *base::ParseJson(service_.Requests("POST")[0].body);
  EXPECT_EQ(asked["packs"][0]["pack"], pack_.ToHex());
  EXPECT_EQ(asked["packs"][0]["bytes"], bytes_.size());
  EXPECT_EQ(asked["packs"][0]["crc32c"], 77);
  const Seen upload = service_.Requests("PUT")[0];
  EXPECT_EQ(upload.target, "/objects/p?sig=secret");
  EXPECT_EQ(upload.body, bytes_);
  EXPECT_EQ(*upload.Header("x-test"), "p");
  EXPECT_EQ(*upload.Header("expect"), "100-continue");
  EXPECT_EQ(*upload.Header("content-length"), absl::StrCat(bytes_.size()));
  EXPECT_EQ(upload.Header("authorization"), nullptr);  // the token is the service's only
}

TEST_F(GrantSinkTest, EveryCopyIsNeededAndOnlyMissingOnesAreRepeated) {
  Grant({"p", "q"});
  Object("p", {{201, "", {}, Kind::kAnswer}});
  Object("q", {ErrorReply(503, "unavailable", "busy"), {201, "", {}, Kind::kAnswer}});
  EXPECT_THAT(*Put(), ElementsAre("p", "q"));
  EXPECT_EQ(service_.Count("PUT /objects/p"), 1);
  EXPECT_EQ(service_.Count("PUT /objects/q"), 2);
}

TEST_F(GrantSinkTest, ExistsAfterALostAnswerIsSuccessWhenSizeAndChecksumAgree) {
  Object("p", {{201, "some text", {}, Kind::kCut}, Exists(bytes_.size(), 77)});
  EXPECT_THAT(*Put(), ElementsAre("p"));
}

TEST_F(GrantSinkTest, OtherBytesUnderTheNameAreAnError) {
  for (const Reply& reply : {Exists(bytes_.size(), 78), Exists(bytes_.size() - 1, 77),
                             ErrorReply(409, "already_exists", "there")}) {
    Object("p", {reply});
    const absl::Status status = Put().status();
    EXPECT_TRUE(absl::IsAlreadyExists(status)) << status;
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr("provider p"), Not(HasSubstr("secret"))));
  }
}

TEST_F(GrantSinkTest, AnExpiredGrantIsAskedForAgain) {
  Object("p", {ErrorReply(403, "permission_denied", "expired"), {201, "", {}, Kind::kAnswer}});
  EXPECT_TRUE(Put().ok());
  EXPECT_EQ(service_.Count("POST"), 2);
}

TEST_F(GrantSinkTest, AGrantThatIsRefusedTwiceIsAnError) {
  Object("p", {ErrorReply(403, "permission_denied", "altered")});
  EXPECT_TRUE(absl::IsPermissionDenied(Put().status()));
  EXPECT_EQ(service_.Count("PUT"), 2);
}

TEST_F(GrantSinkTest, AFullProviderAndAnEndedLeaseAreFinal) {
  Object("p", {ErrorReply(507, "resource_exhausted", "full")});
  const absl::Status full = Put().status();
  EXPECT_TRUE(absl::IsResourceExhausted(full));
  EXPECT_THAT(std::string(full.message()), AllOf(HasSubstr("provider p"), HasSubstr("full")));
  EXPECT_EQ(service_.Count("PUT"), 1);
  service_.On("POST /v3/saves/", {ErrorReply(412, "failed_precondition", "lease ended")});
  EXPECT_TRUE(absl::IsFailedPrecondition(Put().status()));
}

TEST_F(GrantSinkTest, ASilentProviderIsGivenUpAfterTheStallAndNotLater) {
  Object("p", {{200, "", {}, Kind::kHang}});
  const absl::Duration start = base::SystemClock().Monotonic();
  const absl::Status status = Put().status();
  const absl::Duration took = base::SystemClock().Monotonic() - start;
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_GE(took, absl::Milliseconds(350));
  EXPECT_LE(took, absl::Seconds(2));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("secret")));
}

TEST_F(GrantSinkTest, AServiceThatIsGoneIsGivenUpInTime) {
  service_.Stop();
  const absl::Duration start = base::SystemClock().Monotonic();
  EXPECT_TRUE(absl::IsUnavailable(Put().status()));
  const absl::Duration took = base::SystemClock().Monotonic() - start;
  EXPECT_GE(took, absl::Milliseconds(400));
  EXPECT_LE(took, absl::Seconds(2));
}

TEST_F(GrantSinkTest, StopsAtOnceWhenCancelled) {
  Object("p", {ErrorReply(503, "unavailable", "busy")});
  base::Context context{.cancel = std::make_shared<base::CancelSource>()};
  context.cancel->Cancel(absl::CancelledError("enough"));
  EXPECT_TRUE(absl::IsCancelled(Put(context).status()));
}

}  // namespace
}  // namespace cedana::remote
