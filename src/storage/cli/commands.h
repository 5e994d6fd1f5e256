// The commands of cedana-storage. Each returns what main() prints as one line.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "storage/api/node.h"

namespace cedana::cli {

struct ServeOptions {
  std::string data_dir;
  std::string listen = "127.0.0.1:7070";
  std::string tls_cert_file;
  std::string tls_key_file;
  std::vector<std::string> providers;  // NAME=URL
  std::string providers_file;          // JSON {"providers": [{"name", "url"}…]}
  std::string master_key_file;
  double lease_s = 0;  // 0: the default of replica::Times
  double heartbeat_s = 0;
  double grant_s = 0;
  double grace_s = -1;  // 0 is meant: no grace
  double sweep_interval_s = 0;
  std::string log_format = "text";
  std::string log_level = "info";
};

// Serves until SIGTERM or SIGINT. Says "listening on http://HOST:PORT" (or https) on stdout once it
// does.
absl::Status Serve(const ServeOptions& options);

// Where the running service is, and by which right it is spoken to.
struct AdminOptions {
  std::string url;      // empty: CEDANA_STORAGE_URL, else http://127.0.0.1:7070
  std::string ca_file;  // empty: CEDANA_STORAGE_CA_FILE, else the system's authorities
  std::string operator_token_file;
  std::string data_dir;  // its operator-token; else CEDANA_STORAGE_OPERATOR_TOKEN
  bool json = false;
};

absl::Status CreateOrganisation(const AdminOptions& options, const std::string& name);
absl::Status ListOrganisations(const AdminOptions& options);
absl::Status CreateToken(const AdminOptions& options, const std::string& organisation);
absl::Status ListTokens(const AdminOptions& options, const std::string& organisation);
absl::Status RevokeToken(const AdminOptions& options, const std::string& id_or_token);
absl::Status Collect(const AdminOptions& options);

struct ProviderArguments {
  std::string name;
  std::string url;
  std::string credentials_file;  // empty: from the service's environment, or none are needed
  bool lost = false;
};
absl::Status AddProvider(const AdminOptions& options, const ProviderArguments& arguments);
absl::Status ListProviders(const AdminOptions& options);
// An error when anything but a warning was found.
absl::Status TestProvider(const AdminOptions& options, const ProviderArguments& arguments);
absl::Status RemoveProvider(const AdminOptions& options, const ProviderArguments& arguments);
// Empty: of every organisation.
absl::Status ShowPolicy(const AdminOptions& options, const std::string& organisation);
// "copies=N,ack=M" or "default".
absl::Status SetPolicy(const AdminOptions& options, const std::string& organisation,
                       const std::string& policy);
absl::Status ShowStatus(const AdminOptions& options);
absl::Status Repair(const AdminOptions& options, bool scrub);

}  // namespace cedana::cli
