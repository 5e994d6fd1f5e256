// Whether a request is signed as version 4 demands, from the side of the cloud. Written from the
// documents a second time, on the raw request and with nothing of v4_signer.h, so that an error
// there is not repeated here.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/http/server.h"

namespace cedana::objstore {

// What a cloud knows of one key, and what it calls its refusals.
struct V4Account {
  std::string algorithm;  // "AWS4-HMAC-SHA256"
  std::string prefix;     // "x-amz-"
  std::string key_id;
  std::string scope_rest;     // "/us-east-1/s3/aws4_request"
  std::string session_token;  // empty: none is accepted
  // Is `signature` (hex) one of `text` on `date`?
  std::function<bool(const std::string& date, const std::string& text,
                     const std::string& signature)>
      verify;
  bool allows_headers = true;  // the Authorization header, beside the query
  std::string expired_code;    // of a query whose time is over
  int expired_status = 403;
};

struct V4Refusal {
  int status;
  std::string code;
};

// Nothing: signed, and now is its time. Presigned: the body is not bound.
std::optional<V4Refusal> CheckV4(const V4Account& account, const http::ServerRequest& request,
                                 absl::Time now);

// AWS4-HMAC-SHA256 and GOOG4-RSA-SHA256.
V4Account AwsAccount(const std::string& key_id, const std::string& secret, const std::string& token,
                     const std::string& region);
V4Account GoogleAccount(const std::string& client_email, const std::string& public_key_pem);

}  // namespace cedana::objstore
