// A running service over one folder: opens or creates everything in it, serves until it is
// destroyed.
//
//   DIR/lock  DIR/catalog.db  DIR/keys/master  DIR/providers/NAME.json (credentials)
//   DIR/objects (provider `local`, where none is given)
//   DIR/token (organisation `default`)  DIR/operator-token
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "storage/api/bulk_slots.h"
#include "storage/replica/registry.h"
#include "storage/replica/repair.h"
#include "storage/replica/vault.h"

namespace cedana::api {

struct NodeOptions {
  std::string data_dir;
  std::string address = "127.0.0.1";  // anything but loopback needs TLS
  uint16_t port = 7070;               // 0: any free one
  std::string tls_cert_file;          // PEM; empty: plain HTTP
  std::string tls_key_file;
  // Added to those that the catalog knows. None in either: `local` = DIR/objects.
  std::vector<replica::ProviderSpec> providers;
  replica::Times times;
  replica::RepairOptions repair;
  BulkLimits bulk;                                // of transfers over /v2
  absl::Duration io_timeout = absl::Seconds(60);  // of all others, without a byte
  std::string master_key_file;                    // empty: DIR/keys/master
  std::optional<std::string> master_key_hex;      // before the file
  base::Clock* clock = nullptr;                   // null: the system's; tests bring their own
  // Requests handled at once beside those of `bulk`; each upload to a directory provider among them
  // holds 1 MiB and mostly waits for client or disk. Such transfers may be slow, so they never take
  // the last ones: heartbeats and commits of others wait for no one's link.
  int workers = 64;
  int bulk_workers = 48;
  absl::Duration slow_time = absl::Minutes(1);  // http::ServerOptions::slow_time
};

class Node {
 public:
  // kFailedPrecondition when another process serves the folder.
  static absl::StatusOr<std::unique_ptr<Node>> Start(const NodeOptions& options);
  virtual ~Node() = default;
  virtual uint16_t port() const = 0;
  virtual const replica::Vault& vault() const = 0;
  // Takes no new connection, lets running requests end within `grace`, then cuts them.
  virtual void Stop(absl::Duration grace) = 0;
};

}  // namespace cedana::api
