// What every store over a cloud must make of a cloud that fails, as one GoogleTest suite. A test
// program includes this once and names its clouds:
//
//   INSTANTIATE_TEST_SUITE_P(S3, FaultConformance, testing::Values(CloudMaker{[] { return ...;
//   }}));
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "core/base/status.h"
#include "core/objstore/testing/conformance.h"
#include "core/objstore/testing/imposter.h"

namespace cedana::objstore {

// A cloud and a store on it, whose client gives up after two seconds without a byte.
struct CloudUnderTest {
  std::shared_ptr<Imposter> cloud;
  std::shared_ptr<ObjectStore> store;
  std::vector<std::string> secrets;  // none of which may be in an error
};

struct CloudMaker {
  std::function<CloudUnderTest()> make;
};

class FaultConformance : public testing::TestWithParam<CloudMaker> {
 protected:
  void SetUp() override {
    under_test_ = GetParam().make();
    ASSERT_TRUE(Put("s/there").ok());
  }
  Imposter& cloud() { return *under_test_.cloud; }
  ObjectStore& store() { return *under_test_.store; }
  const std::vector<uint8_t>& bytes() const { return bytes_; }

  absl::Status Put(absl::string_view key, const base::Context& context = {}) {
    return Checked(store().Put(context, Key(key), bytes_, {.crc32c = codec::Crc32c(bytes_)}));
  }
  absl::Status Get(const base::Context& context = {}) {
    got_.clear();
    return Checked(
        store().Get(context, Key("s/there"), 0, bytes_.size(), [&](std::span<const uint8_t> piece) {
          got_.insert(got_.end(), piece.begin(), piece.end());
          return absl::OkStatus();
        }));
  }
  absl::Status Head(const base::Context& context = {}) {
    return Checked(store().Head(context, Key("s/there")).status());
  }
  absl::Status List(const base::Context& context = {}) {
    return Checked(store().List(context, "s/", "", 10).status());
  }
  absl::Status Delete(const base::Context& context = {}) {
    return Checked(store().Delete(context, Key("s/gone")));
  }
  std::vector<absl::Status> All(const base::Context& context = {}) {
    return {Put("s/new", context), Get(context), Head(context), List(context), Delete(context)};
  }
  const std::vector<uint8_t>& got() const { return got_; }

 private:
  absl::Status Checked(absl::Status status) {
    for (const std::string& secret : under_test_.secrets) {
      EXPECT_FALSE(absl::StrContains(status.ToString(), secret)) << status;
    }
    EXPECT_FALSE(absl::StrContains(absl::AsciiStrToLower(status.ToString()), "signature="))
        << status;
    EXPECT_FALSE(absl::StrContains(absl::AsciiStrToLower(status.ToString()), "sig=")) << status;
    return status;
  }

  CloudUnderTest under_test_;
  const std::vector<uint8_t> bytes_ = RandomBytes(100000);
  std::vector<uint8_t> got_;
};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(FaultConformance);

TEST_P(FaultConformance, ClassifiesWhatIsAnsweredInstead) {
  const std::vector<std::pair<int, absl::StatusCode>> expected = {
      {503, absl::StatusCode::kUnavailable},
      {429, absl::StatusCode::kUnavailable},
      {500, absl::StatusCode::kUnavailable},
      {403, absl::StatusCode::kPermissionDenied}};
  for (const auto& [http_status, code] : expected) {
    cloud().ClearFaults();
    cloud().AddFault({.status = http_status, .retry_after = absl::Seconds(7)});
    for (const absl::Status& status : All()) {
      EXPECT_EQ(status.code(), code) << http_status << ": " << status;
      EXPECT_EQ(base::RetryAfter(status), absl::Seconds(7)) << status;
    }
  }
  cloud().ClearFaults();
  cloud().AddFault({.operation = Operation::kPut, .status = 507});
  EXPECT_EQ(Put("s/new").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(Get().ok() && Head().ok() && List().ok() && Delete().ok());
  cloud().ClearFaults();
  for (const absl::Status& status : All()) EXPECT_TRUE(status.ok()) << status;
}

TEST_P(FaultConformance, WaitsNoLongerThanItsContext) {
  cloud().AddFault({.no_answer = true});
  for (const bool cancel : {false, true}) {
    base::Context context;
    context.cancel = std::make_shared<base::CancelSource>();
    base::Thread canceller;
    if (cancel) {
      canceller = base::Thread("canceller", [source = context.cancel] {
        absl::SleepFor(absl::Milliseconds(200));
        source->Cancel(absl::CancelledError("enough"));
      });
    } else {
      context = context.WithTimeout(absl::Milliseconds(200));
    }
    const absl::Time start = absl::Now();
    const absl::Status status = Put("s/new", context);
    EXPECT_EQ(status.code(),
              cancel ? absl::StatusCode::kCancelled : absl::StatusCode::kDeadlineExceeded);
    EXPECT_LT(absl::Now() - start, absl::Seconds(1));
  }
  const base::Context soon = base::Context{}.WithTimeout(absl::Milliseconds(300));
  const absl::Time start = absl::Now();
  for (const absl::Status& status : All(soon)) {
    EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
  }
  EXPECT_LT(absl::Now() - start, absl::Seconds(2));
}

TEST_P(FaultConformance, GivesUpWhereNoByteMoves) {
  cloud().AddFault({.no_answer = true});
  const absl::Time start = absl::Now();
  EXPECT_EQ(Put("s/new").code(), absl::StatusCode::kUnknown);
  EXPECT_EQ(Get().code(), absl::StatusCode::kUnavailable);
  EXPECT_LT(absl::Now() - start, absl::Seconds(8));
}

TEST_P(FaultConformance, EndsAtItsContextWhileBytesTrickle) {
  cloud().SetPace({.bytes_per_s = 100e3});
  const base::Context soon = base::Context{}.WithTimeout(absl::Milliseconds(300));
  const absl::Time start = absl::Now();
  EXPECT_EQ(Get(soon).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_LT(absl::Now() - start, absl::Seconds(2));
}

TEST_P(FaultConformance, DoesNotKnowWhatBecameOfALostReply) {
  cloud().AddFault({.times = 1, .lose_reply = true});
  EXPECT_EQ(Put("s/lost").code(), absl::StatusCode::kUnknown);
  EXPECT_EQ(Put("s/lost").code(), absl::StatusCode::kAlreadyExists);
  cloud().AddFault({.operation = Operation::kDelete, .times = 1, .lose_reply = true});
  EXPECT_EQ(Delete().code(), absl::StatusCode::kUnknown);
  cloud().AddFault({.operation = Operation::kList, .lose_reply = true});
  EXPECT_EQ(List().code(), absl::StatusCode::kUnavailable);
}

TEST_P(FaultConformance, DoesNotBelieveAGateway) {
  for (const int status : {502, 504}) {
    cloud().ClearFaults();
    cloud().AddFault({.status = status, .code = "Gateway"});
    EXPECT_EQ(Put("s/new").code(), absl::StatusCode::kUnknown);
    EXPECT_EQ(Get().code(), absl::StatusCode::kUnavailable);
  }
}

TEST_P(FaultConformance, TellsARefusedConnectionFromALostReply) {
  ASSERT_TRUE(cloud().SetListening(false).ok());
  for (const absl::Status& status : All()) {
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  }
  ASSERT_TRUE(cloud().SetListening(true).ok());
  for (const absl::Status& status : All()) EXPECT_TRUE(status.ok()) << status;
}

TEST_P(FaultConformance, SeesABodyThatIsCut) {
  cloud().AddFault({.operation = Operation::kGet, .times = 1, .cut_after = 50000});
  EXPECT_EQ(Get().code(), absl::StatusCode::kUnavailable);
  EXPECT_LE(got().size(), 50000u);
  cloud().AddFault({.operation = Operation::kList, .cut_after = 50});
  EXPECT_EQ(List().code(), absl::StatusCode::kUnavailable);
}

TEST_P(FaultConformance, SeesABodyThatStalls) {
  cloud().SetPace({.bytes_per_s = 100e3});
  size_t got = 0;
  const absl::Status status =
      store().Get({}, Key("s/there"), 0, bytes().size(), [&](std::span<const uint8_t> piece) {
        got += piece.size();
        cloud().SetPace({.bytes_per_s = 100});  // the next piece takes longer than is waited for
        return absl::OkStatus();
      });
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_GT(got, 0u);
  EXPECT_LT(got, bytes().size());
}

// What the caller says of the bytes is not what the connection did.
TEST_P(FaultConformance, GivesBackWhatTheSinkSays) {
  const absl::Status refused =
      store().Get({}, Key("s/there"), 0, bytes().size(),
                  [](std::span<const uint8_t>) { return absl::DataLossError("not authentic"); });
  EXPECT_EQ(refused, absl::DataLossError("not authentic"));
}

// Only who can authenticate the bytes can see that.
TEST_P(FaultConformance, PassesOnABitThatFlipped) {
  cloud().AddFault({.operation = Operation::kGet, .times = 1, .flip_bit = 8 * 777 + 3});
  ASSERT_TRUE(Get().ok());
  std::vector<uint8_t> bent = bytes();
  bent[777] ^= 8;
  EXPECT_EQ(got(), bent);
  ASSERT_TRUE(Get().ok());
  EXPECT_EQ(got(), bytes());
}

TEST_P(FaultConformance, IsDeniedWhereClocksDiffer) {
  for (const absl::Duration skew : {absl::Hours(1), -absl::Hours(1)}) {
    cloud().SetClockSkew(skew);
    for (const absl::Status& status : All()) {
      EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << status;
    }
  }
  cloud().SetClockSkew(absl::ZeroDuration());
  for (const absl::Status& status : All()) EXPECT_TRUE(status.ok()) << status;
}

}  // namespace cedana::objstore
