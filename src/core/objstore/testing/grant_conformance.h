// What the signed requests of every store that signs any must do, as one GoogleTest suite: sent by
// somebody who has nothing but the request. A test program includes this once and names its stores:
//
//   INSTANTIATE_TEST_SUITE_P(Azure, GrantConformance, testing::Values(GrantMaker{
//       .make = [] { return ...; }, .error_of = AzureErrorOf}));
//
// What a store's capabilities() claim is tested as claimed; what they do not claim, as not bound.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "core/objstore/testing/conformance.h"

namespace cedana::objstore {

struct GrantMaker {
  // Makes an empty store that signs. What it stands on lives as long as the returned pointer.
  std::function<std::shared_ptr<ObjectStore>()> make;
  // What an answer of this dialect means (dialect.h).
  std::function<absl::Status(absl::string_view, const http::ClientResponse&)> error_of;

  // The signature covers the headers of the grant, so that none may be left out, changed, or joined
  // by another of the provider's own.
  bool binds_headers = false;
  std::string header_prefix;  // of the provider's own headers: "x-amz-"

  // What some servers do not do, each by its name. Clouds and imposters do all of it.
  bool checks_signatures = true;     // else whoever knows a name may read and write
  bool checks_expiry = true;         // else a grant never ends
  bool names_the_overwrite = true;   // else a second upload is refused as if it were a stranger's
  bool names_the_checksum = true;    // else wrong bytes are refused as if the request were bad
  bool enforces_create_only = true;  // else a second upload wins, whatever the cloud documents
  bool enforces_checksum = true;     // else wrong bytes are taken
  bool enforces_size = true;         // else more or fewer bytes are taken
};

class GrantConformance : public testing::TestWithParam<GrantMaker> {
 protected:
  void SetUp() override {
    store_ = GetParam().make();
    client_ = *http::Client::Create({});
    ASSERT_TRUE(store_->capabilities().signs_requests);
  }
  ObjectStore& store() { return *store_; }
  static absl::Time Soon() { return absl::Now() + absl::Minutes(5); }

  SignedRequest SignPut(absl::string_view key, std::span<const uint8_t> bytes,
                        absl::Time expires = Soon()) {
    return store_->SignPut(Key(key), bytes.size(), codec::Crc32c(bytes), expires).value();
  }
  SignedRequest SignGet(absl::string_view key, absl::Time expires = Soon()) {
    return store_->SignGet(Key(key), expires).value();
  }
  // As a client sends it, and what the answer means.
  absl::Status Send(const SignedRequest& grant, std::span<const uint8_t> body = {},
                    http::Headers more = {}, std::vector<uint8_t>* answer = nullptr) {
    http::ClientRequest request;
    request.method = grant.method;
    request.url = grant.url;
    for (const auto& header : grant.headers) {
      // Said by whoever sends the body, so that another size is another length.
      if (header.first != "content-length") request.headers.push_back(header);
    }
    request.headers.insert(request.headers.end(), more.begin(), more.end());
    request.body = body;
    request.has_body = grant.method == "PUT";
    const auto response = client_->Do({}, request);
    if (!response.ok()) return response.status();
    if (response->status / 100 != 2) {
      return GetParam().error_of("grant", *response);
    }
    if (answer != nullptr) answer->assign(response->body.begin(), response->body.end());
    return absl::OkStatus();
  }
  // Refused, for a reason that is the sender's fault and not a passing one.
  static bool Refused(const absl::Status& status) {
    return absl::IsPermissionDenied(status) || absl::IsInvalidArgument(status) ||
           absl::IsDataLoss(status) || absl::IsAlreadyExists(status);
  }
  bool Exists(absl::string_view key) {
    const auto info = store_->Head({}, Key(key));
    EXPECT_TRUE(info.ok()) << info.status();
    return info.ok() && info->has_value();
  }

 private:
  std::shared_ptr<ObjectStore> store_;
  std::unique_ptr<http::Client> client_;
};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(GrantConformance);

TEST_P(GrantConformance, UploadsAndReadsWhatWasSigned) {
  for (const size_t size : {size_t{1}, size_t{100000}, (size_t{3} << 20) + 17}) {
    const auto bytes = RandomBytes(size);
    const std::string key = absl::StrCat("s/a/p-", size);
    const absl::Status put = Send(SignPut(key, bytes), bytes);
    ASSERT_TRUE(put.ok()) << put;
    EXPECT_EQ(*Fetch(store(), Key(key)), bytes);
    std::vector<uint8_t> got;
    const SignedRequest get = SignGet(key);
    ASSERT_TRUE(Send(get, {}, {}, &got).ok());
    EXPECT_EQ(got, bytes);
    // One grant reads any range, as often as it is wanted.
    ASSERT_TRUE(Send(get, {}, {{"Range", "bytes=0-0"}}, &got).ok());
    EXPECT_EQ(got, std::vector<uint8_t>(bytes.begin(), bytes.begin() + 1));
  }
}

TEST_P(GrantConformance, TheListingSaysWhatCame) {
  const auto bytes = RandomBytes(1000);
  ASSERT_TRUE(Send(SignPut("s/a/p", bytes), bytes).ok());
  const auto list = store().List({}, "s/a/", "", 10);
  ASSERT_TRUE(list.ok()) << list.status();
  ASSERT_EQ(list->size(), 1u);
  EXPECT_EQ(list->front().bytes, bytes.size());
  if (store().capabilities().keeps_checksum && list->front().crc32c) {
    EXPECT_EQ(*list->front().crc32c, codec::Crc32c(bytes));
  }
}

TEST_P(GrantConformance, ASecondUploadIsNoSuccess) {
  const auto first = RandomBytes(100);
  const auto second = RandomBytes(100);
  ASSERT_TRUE(Send(SignPut("s/once", first), first).ok());
  const absl::Status again = Send(SignPut("s/once", second), second);
  const bool kept =
      store().capabilities().grant_enforces_create_only && GetParam().enforces_create_only;
  EXPECT_EQ(*Fetch(store(), Key("s/once")), kept ? first : second);
  if (!kept) return;
  EXPECT_EQ(again.code(), GetParam().names_the_overwrite ? absl::StatusCode::kAlreadyExists
                                                         : absl::StatusCode::kPermissionDenied)
      << again;
}

TEST_P(GrantConformance, OneWrongByteIsRefusedOrSeen) {
  const auto bytes = RandomBytes(5000);
  auto bent = bytes;
  bent[2500] ^= 1;
  const absl::Status put = Send(SignPut("s/bent", bytes), bent);
  if (store().capabilities().grant_enforces_checksum && GetParam().enforces_checksum) {
    EXPECT_EQ(put.code(), GetParam().names_the_checksum ? absl::StatusCode::kDataLoss
                                                        : absl::StatusCode::kInvalidArgument)
        << put;
    EXPECT_FALSE(Exists("s/bent"));
    return;
  }
  // Whoever verifies looks at the listing, or reads: neither repeats what the uploader claimed.
  ASSERT_TRUE(put.ok()) << put;
  const auto info = store().Head({}, Key("s/bent"));
  ASSERT_TRUE(info.ok() && *info);
  if ((*info)->crc32c) {
    EXPECT_EQ(*(*info)->crc32c, codec::Crc32c(bent));
  }
  EXPECT_EQ(*Fetch(store(), Key("s/bent")), bent);
}

TEST_P(GrantConformance, AnotherSizeIsRefusedOrSeen) {
  const auto bytes = RandomBytes(5000);
  auto longer = bytes;
  longer.push_back(0);
  for (const std::vector<uint8_t>& wrong : {longer, {bytes.begin(), bytes.end() - 1}}) {
    const std::string key = absl::StrCat("s/size-", wrong.size());
    const absl::Status put = Send(SignPut(key, bytes), wrong);
    const Capabilities can = store().capabilities();
    if ((can.grant_enforces_size && GetParam().enforces_size) ||
        (can.grant_enforces_checksum && GetParam().enforces_checksum)) {
      EXPECT_TRUE(Refused(put)) << put;
      EXPECT_FALSE(Exists(key));
    } else {
      ASSERT_TRUE(put.ok()) << put;
      EXPECT_EQ((*store().Head({}, Key(key)))->bytes, wrong.size());
    }
  }
}

TEST_P(GrantConformance, EndsWhenItSaysSo) {
  const auto bytes = RandomBytes(10);
  ASSERT_TRUE(store().Put({}, Key("s/old"), bytes, {}).ok());
  // More than a second: signatures count whole ones, and one may end while they are made.
  const absl::Time expires = absl::Now() + absl::Milliseconds(1800);
  const SignedRequest put = SignPut("s/late", bytes, expires);
  const SignedRequest get = SignGet("s/old", expires);
  absl::SleepFor(absl::Seconds(3));
  const bool checked = GetParam().checks_signatures && GetParam().checks_expiry;
  EXPECT_EQ(absl::IsPermissionDenied(Send(get)), checked);
  EXPECT_EQ(absl::IsPermissionDenied(Send(put, bytes)), checked);
  EXPECT_EQ(Exists("s/late"), !checked);
}

TEST_P(GrantConformance, BindsItsHeaders) {
  if (!GetParam().binds_headers || !GetParam().checks_signatures) return;
  const auto bytes = RandomBytes(10);
  const SignedRequest grant = SignPut("s/h", bytes);
  for (size_t i = 0; i < grant.headers.size(); ++i) {
    if (grant.headers[i].first == "content-length") continue;  // AnotherSizeIsRefusedOrSeen
    SignedRequest without = grant;
    without.headers.erase(without.headers.begin() + static_cast<ptrdiff_t>(i));
    EXPECT_TRUE(absl::IsPermissionDenied(Send(without, bytes))) << grant.headers[i].first;
    SignedRequest changed = grant;
    changed.headers[i].second += "0";
    EXPECT_TRUE(Refused(Send(changed, bytes))) << grant.headers[i].first;
  }
  SignedRequest more = grant;
  more.headers.emplace_back(GetParam().header_prefix + "acl", "public-read");
  EXPECT_TRUE(absl::IsPermissionDenied(Send(more, bytes)));
  EXPECT_FALSE(Exists("s/h"));
  EXPECT_TRUE(Send(grant, bytes).ok());
}

TEST_P(GrantConformance, AllowsNothingElse) {
  const auto bytes = RandomBytes(10);
  ASSERT_TRUE(store().Put({}, Key("s/a"), bytes, {}).ok());
  ASSERT_TRUE(store().Put({}, Key("s/b"), RandomBytes(10), {}).ok());
  const auto as = [](SignedRequest grant, const char* method) {
    grant.method = method;
    return grant;
  };
  const auto elsewhere = [](SignedRequest grant) {
    const size_t at = grant.url.find("s/a");
    grant.url.replace(at, 3, "s/b");
    return grant;
  };
  const SignedRequest get = SignGet("s/a");
  ASSERT_TRUE(Send(get).ok());
  if (!GetParam().checks_signatures) return;
  EXPECT_TRUE(Refused(Send(elsewhere(get))));
  EXPECT_TRUE(Refused(Send(as(get, "DELETE"))));
  EXPECT_TRUE(Refused(Send(as(get, "PUT"), bytes)));
  EXPECT_TRUE(Refused(Send(as(SignPut("s/b", bytes), "GET"))));
  EXPECT_TRUE(Refused(Send(as(SignPut("s/b", bytes), "DELETE"))));
  EXPECT_TRUE(Exists("s/a") && Exists("s/b"));
  EXPECT_EQ(*Fetch(store(), Key("s/a")), bytes);
}

}  // namespace cedana::objstore
