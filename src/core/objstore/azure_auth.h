// How Azure Blob Storage is asked in an account's name: Shared Key over the parts of one request,
// or a shared access signature (SAS) that lets somebody else do one thing to one blob for a while.
// Both are HMAC-SHA256 under the account's key over a text of fixed lines; the texts are functions
// of their own, for an error in them shows as nothing but "AuthenticationFailed".
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/http/client.h"

namespace cedana::objstore {

// The version of the service's interface that we speak, and that fixes the lines of the texts.
inline constexpr char kAzureVersion[] = "2021-12-02";

// Who asks. `key` is the account's key as bytes; it ends in no text.
struct AzureAccount {
  std::string name;
  std::string key;

  // From what the portal shows: the key in base64. kInvalidArgument, without the key in the text.
  static absl::StatusOr<AzureAccount> Parse(absl::string_view name, absl::string_view base64_key);
};

// One request as its signature sees it.
struct AzureRequest {
  std::string method;
  std::string path;       // as sent: percent-encoded, an emulator's account segment included
  http::Headers query;    // decoded
  http::Headers headers;  // all that are sent and known to the signature; Content-Length unless 0
};

std::string SharedKeyText(absl::string_view account, const AzureRequest& request);
// The value of the Authorization header: "SharedKey NAME:SIGNATURE".
std::string SharedKeyAuthorization(const AzureAccount& account, const AzureRequest& request);

// A service SAS on one blob. It binds the rights, the blob, the time and the protocol; neither the
// method's headers, nor the size or the checksum of a body.
struct BlobSas {
  std::string permissions;  // "c": create, never overwrite; "r": read
  std::string container;
  std::string blob;  // not encoded
  absl::Time expires;
  bool https_only = true;
};

std::string BlobSasText(absl::string_view account, const BlobSas& sas);
// The query that authorises, encoded: "sv=…&sig=…". A secret until it expires.
std::string BlobSasQuery(const AzureAccount& account, const BlobSas& sas);

// "Fri, 27 Nov 2026 19:00:00 GMT", as x-ms-date and Last-Modified are written.
std::string AzureDate(absl::Time time);
absl::StatusOr<absl::Time> ParseAzureDate(absl::string_view text);

// Base64 of the MD5 of the bytes, as Content-MD5 is written.
std::string ContentMd5(absl::string_view bytes);

}  // namespace cedana::objstore
