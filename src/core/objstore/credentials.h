// Secrets of the providers: read from files or the environment, held here, and in no text. Nothing
// in this header can be printed, on purpose.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "core/objstore/store_url.h"

namespace cedana::objstore {

struct S3Credentials {
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;  // of temporary credentials; else empty
};

// A service account's key.
struct GcsCredentials {
  std::string client_email;
  std::string private_key;  // PEM
};

// Either the account's key or a shared access signature.
struct AzureCredentials {
  std::string account;
  std::string key;  // base64, as the portal shows it
  std::string sas;  // "sv=…&sig=…", without '?'
};

// Those of one provider; the others are absent. A directory needs none.
struct Credentials {
  std::optional<S3Credentials> s3;
  std::optional<GcsCredentials> gcs;
  std::optional<AzureCredentials> azure;
};

// From the file that `url` names, else from the environment:
//   S3     JSON {"access_key_id", "secret_access_key", "session_token"} or an ini file with a
//          [default] section, as ~/.aws/credentials; AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
//          AWS_SESSION_TOKEN, or the ini file AWS_SHARED_CREDENTIALS_FILE, section AWS_PROFILE
//   GCS    the JSON key file of a service account; GOOGLE_APPLICATION_CREDENTIALS
//   Azure  JSON {"account", "key"} or {"account", "sas"}; AZURE_STORAGE_ACCOUNT with
//          AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN
// A file that others than its owner may read is used, with a warning in the log, once.
// kUnauthenticated when there are none, kInvalidArgument when they cannot be used; the texts name
// file, variable or member, never a value.
absl::StatusOr<Credentials> LoadCredentials(const StoreUrl& url);

// The same from a file's text.
absl::StatusOr<Credentials> ParseCredentials(Dialect dialect, const std::string& text,
                                             const std::string& profile = "default");

}  // namespace cedana::objstore
