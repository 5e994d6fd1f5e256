#include "core/objstore/dialect.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "gtest/gtest.h"

namespace cedana::objstore {
namespace {

using absl::StatusCode;

http::ClientResponse Answer(int status, absl::string_view code, http::Headers headers = {}) {
  http::ClientResponse response{.status = status, .headers = std::move(headers)};
  if (!code.empty()) {
    response.body = absl::StrCat("<?xml version=\"1.0\"?>\n<Error><Code>", code,
                                 "</Code><Message>hunter2</Message></Error>");
  }
  return response;
}

StatusCode CodeOf(Dialect dialect, int status, absl::string_view code) {
  const absl::Status error = ErrorOfAnswer(dialect, "PUT http://h/b/k", Answer(status, code));
  EXPECT_TRUE(absl::StartsWith(error.message(), absl::StrCat("PUT http://h/b/k: HTTP ", status)))
      << error;
  EXPECT_FALSE(absl::StrContains(error.message(), "hunter2")) << error;
  return error.code();
}

TEST(Dialect, HasNames) {
  for (const Dialect dialect :
       {Dialect::kDirectory, Dialect::kS3, Dialect::kGcs, Dialect::kAzure}) {
    EXPECT_EQ(*ParseDialect(DialectName(dialect)), dialect);
  }
  EXPECT_FALSE(ParseDialect("ftp").ok());
}

TEST(Dialect, ClassifiesTheDocumentedCodesOfS3) {
  struct Row {
    int status;
    const char* code;
    StatusCode expected;
  };
  for (const Row& row : std::vector<Row>{
           {503, "SlowDown", StatusCode::kUnavailable},
           {503, "ServiceUnavailable", StatusCode::kUnavailable},
           {500, "InternalError", StatusCode::kUnavailable},
           {400, "RequestTimeout", StatusCode::kUnavailable},
           {409, "ConditionalRequestConflict", StatusCode::kUnavailable},
           {409, "OperationAborted", StatusCode::kUnavailable},
           {403, "AccessDenied", StatusCode::kPermissionDenied},
           {403, "RequestTimeTooSkewed", StatusCode::kPermissionDenied},
           {403, "SignatureDoesNotMatch", StatusCode::kPermissionDenied},
           {400, "ExpiredToken", StatusCode::kPermissionDenied},
           {403, "InvalidAccessKeyId", StatusCode::kPermissionDenied},
           {404, "NoSuchKey", StatusCode::kNotFound},
           {404, "NoSuchBucket", StatusCode::kFailedPrecondition},
           {301, "PermanentRedirect", StatusCode::kFailedPrecondition},
           {412, "PreconditionFailed", StatusCode::kAlreadyExists},
           {403, "QuotaExceeded", StatusCode::kResourceExhausted},
           {507, "XMinioStorageFull", StatusCode::kResourceExhausted},
           {400, "BadDigest", StatusCode::kDataLoss},
           {400, "XAmzContentSHA256Mismatch", StatusCode::kDataLoss},
           {501, "NotImplemented", StatusCode::kUnimplemented},
           {400, "EntityTooLarge", StatusCode::kInvalidArgument},
       }) {
    EXPECT_EQ(CodeOf(Dialect::kS3, row.status, row.code), row.expected) << row.code;
  }
}

TEST(Dialect, ClassifiesTheDocumentedCodesOfGoogle) {
  EXPECT_EQ(CodeOf(Dialect::kGcs, 503, "ServiceUnavailable"), StatusCode::kUnavailable);
  EXPECT_EQ(CodeOf(Dialect::kGcs, 429, "SlowDown"), StatusCode::kUnavailable);
  EXPECT_EQ(CodeOf(Dialect::kGcs, 500, "InternalError"), StatusCode::kUnavailable);
  EXPECT_EQ(CodeOf(Dialect::kGcs, 400, "ExpiredToken"), StatusCode::kPermissionDenied);
  EXPECT_EQ(CodeOf(Dialect::kGcs, 403, "SignatureDoesNotMatch"), StatusCode::kPermissionDenied);
  EXPECT_EQ(CodeOf(Dialect::kGcs, 404, "NoSuchKey"), StatusCode::kNotFound);
  EXPECT_EQ(CodeOf(Dialect::kGcs, 404, "NoSuchBucket"), StatusCode::kFailedPrecondition);
  EXPECT_EQ(CodeOf(Dialect::kGcs, 412, "PreconditionFailed"), StatusCode::kAlreadyExists);
  EXPECT_EQ(CodeOf(Dialect::kGcs, 403, "QuotaExceeded"), StatusCode::kResourceExhausted);
  EXPECT_EQ(CodeOf(Dialect::kGcs, 400, "BadDigest"), StatusCode::kDataLoss);
  EXPECT_EQ(CodeOf(Dialect::kGcs, 400, "EntityTooSmall"), StatusCode::kInvalidArgument);
}

TEST(Dialect, FallsBackToTheStatus) {
  for (const Dialect dialect : {Dialect::kS3, Dialect::kGcs, Dialect::kAzure}) {
    EXPECT_EQ(CodeOf(dialect, 429, ""), StatusCode::kUnavailable);
    EXPECT_EQ(CodeOf(dialect, 503, "NeverSeen"), StatusCode::kUnavailable);
    EXPECT_EQ(CodeOf(dialect, 403, ""), StatusCode::kPermissionDenied);
    EXPECT_EQ(CodeOf(dialect, 412, ""), StatusCode::kAlreadyExists);
    EXPECT_EQ(CodeOf(dialect, 502, ""), StatusCode::kUnknown);
    EXPECT_EQ(CodeOf(dialect, 504, ""), StatusCode::kUnknown);
    EXPECT_EQ(CodeOf(dialect, 507, ""), StatusCode::kResourceExhausted);
    EXPECT_EQ(CodeOf(dialect, 400, "NeverSeen"), StatusCode::kInvalidArgument);
    EXPECT_EQ(CodeOf(dialect, 599, ""), StatusCode::kInternal);
  }
}

TEST(Dialect, DoesNotTakeAProxysPageForAnAbsence) {
  http::ClientResponse page{.status = 404, .body = "<html>hunter2, no such host</html>"};
  for (const Dialect dialect : {Dialect::kS3, Dialect::kGcs, Dialect::kAzure}) {
    EXPECT_EQ(ErrorOfAnswer(dialect, "GET x", page).code(), StatusCode::kFailedPrecondition);
  }
}

TEST(Dialect, CarriesRetryAfterInBothForms) {
  const auto after = [](http::Headers headers) {
    return base::RetryAfter(
        ErrorOfAnswer(Dialect::kS3, "GET x", Answer(503, "InternalError", std::move(headers))));
  };
  EXPECT_EQ(after({}), absl::ZeroDuration());
  EXPECT_EQ(after({{"retry-after", "7"}}), absl::Seconds(7));
  EXPECT_EQ(after({{"retry-after", "99999999"}}), absl::Hours(1));
  EXPECT_EQ(after({{"retry-after", "-5"}}), absl::ZeroDuration());
  EXPECT_EQ(after({{"retry-after", "soon"}}), absl::ZeroDuration());
  EXPECT_EQ(after({{"date", "Fri, 27 Nov 2026 19:00:00 GMT"},
                   {"retry-after", "Fri, 27 Nov 2026 19:01:00 GMT"}}),
            absl::Seconds(60));
  EXPECT_EQ(after({{"retry-after", "Fri, 27 Nov 2026 19:01:00 GMT"}}), absl::ZeroDuration());
}

TEST(Dialect, WhatAsksToSlowDownSaysForHowLong) {
  const auto after = [](Dialect dialect, int status, const std::string& code) {
    return base::RetryAfter(ErrorOfAnswer(dialect, "GET x", Answer(status, code)));
  };
  for (const Dialect dialect : {Dialect::kS3, Dialect::kGcs}) {
    EXPECT_EQ(after(dialect, 503, "SlowDown"), absl::Milliseconds(100));
    EXPECT_EQ(after(dialect, 503, "ServiceUnavailable"), absl::ZeroDuration());
  }
  EXPECT_EQ(after(Dialect::kAzure, 503, "ServerBusy"), absl::Milliseconds(100));
  for (const Dialect dialect : {Dialect::kS3, Dialect::kGcs, Dialect::kAzure}) {
    EXPECT_EQ(after(dialect, 429, ""), absl::Milliseconds(100));
    EXPECT_EQ(after(dialect, 503, ""), absl::ZeroDuration());
  }
}

TEST(Dialect, NamesTheRequestForTheProvidersSupport) {
  const absl::Status error = ErrorOfAnswer(
      Dialect::kS3, "GET x", Answer(503, "SlowDown", {{"x-amz-request-id", "4442587FB7D0A2F9"}}));
  EXPECT_EQ(error.message(), "GET x: HTTP 503 SlowDown (request 4442587FB7D0A2F9)");
  EXPECT_EQ(ErrorOfAnswer(Dialect::kS3, "GET x",
                          Answer(503, "Slow&lt;Down", {{"x-amz-request-id", "a b\n"}}))
                .message(),
            "GET x: HTTP 503");
}

}  // namespace
}  // namespace cedana::objstore
