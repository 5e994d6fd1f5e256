// Signature version 4, which Amazon and Google share but for names and keys: a request is brought
// into one spelling (method, path, query, signed headers, hash of the body), hashed, and signed
// together with the day and the place that the key is good for.
//
// Two forms: in the query, so that somebody else may send the request ("presigned", "signed URL"),
// and in headers. Google's requests are all signed in the query here: one path through the code,
// and the documented form for service-account keys.
//
// Bodies: what is signed in the query says UNSIGNED-PAYLOAD, for whoever signs does not have the
// bytes. In headers the SHA-256 of the body is signed where the connection is plain HTTP, since
// nothing else would bind body and signature; over TLS it is UNSIGNED-PAYLOAD, which saves a second
// pass over every pack (0.6 to 1.8 GB/s per core). Either way the CRC-32C of an upload is a signed
// header, so a body that was changed or cut is refused.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/http/client.h"
#include "core/objstore/credentials.h"

namespace cedana::objstore {

inline constexpr char kUnsignedPayload[] = "UNSIGNED-PAYLOAD";

struct V4Request {
  std::string method;
  std::string host;       // as in the Host header: with the port, where it is not the scheme's own
  std::string path;       // decoded, from '/'
  http::Headers query;    // decoded
  http::Headers headers;  // to be signed besides Host
};

// Immutable; thread-safe.
class V4Signer {
 public:
  static V4Signer Aws(const S3Credentials& credentials, const std::string& region);
  // kInvalidArgument when the key cannot be read.
  static absl::StatusOr<V4Signer> Google(const GcsCredentials& credentials);

  // Path and query of `request` with the signature in the query, good from `now` for `lifetime`
  // (whole seconds; at least one, at most seven days: the clouds' limit).
  std::string SignQuery(const V4Request& request, absl::Time now, absl::Duration lifetime) const;
  // The headers to send: those given, the signature's, and not Host.
  http::Headers SignHeaders(V4Request request, const std::string& payload_hash,
                            absl::Time now) const;

 private:
  // Signs `text` with the key for `date` ("20130524"); hex.
  using Sign = std::function<std::string(const std::string& date, const std::string& text)>;

  std::string Scope(const std::string& date) const;
  std::string Signature(const std::string& canonical_request, const std::string& stamp) const;

  std::string algorithm_;   // "AWS4-HMAC-SHA256"
  std::string prefix_;      // "X-Amz-"
  std::string key_id_;      // access key, or the service account's address
  std::string scope_rest_;  // "/us-east-1/s3/aws4_request"
  std::string token_;       // session token
  Sign sign_;
};

// Path and query in the spelling that is signed, and sent.
std::string V4Path(absl::string_view decoded);
std::string V4Query(const http::Headers& decoded);

std::string Sha256Hex(std::span<const uint8_t> bytes);

}  // namespace cedana::objstore
