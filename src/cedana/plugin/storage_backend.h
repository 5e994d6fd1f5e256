// What a storage plugin (a shared object `libcedana-storage-<scheme>.so`) gives to the program: the
// three ports of core/transfer over one kind of storage, and its health checks. A plugin belongs to
// the exact build of the program (core/build_id.h): the interface is C++ and not stable across
// builds, so the loader compares the ids before it calls anything.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/context.h"
#include "core/base/ids.h"
#include "core/transfer/catalog.h"
#include "core/transfer/pack_sink.h"
#include "core/transfer/pack_source.h"

namespace cedana::plugin {

// What is configured, for whichever back end reads it (storage_config.h). Secrets are in no log and
// no error text.
struct StorageConfig {
  std::string url;         // connection.url
  std::string auth_token;  // connection.auth_token, secret
  std::string ca_file;     // connection.ca_file
  int connections = 2;     // parallel transfers
  // What the back end is opened for, in the log of the daemon and in that of the service, which
  // sees it as the first part of request ids. Letters and digits, at most 32; empty: not named.
  std::string operation;

  // Without the service: the folder that the back end is opened for, "bucket/folder" of
  // "s3://bucket/folder". Empty: none is known, only settings can be checked.
  std::string folder;
  std::string key_file;  // storage.key_file
  struct Aws {
    std::string access_key_id;
    std::string secret_access_key;  // secret
    std::string session_token;      // secret
    std::string region;
    std::string endpoint;
    std::string style;     // "path" or "virtual"; empty: whichever fits the endpoint
    bool checksum = true;  // the server knows x-amz-checksum-crc32c
  } aws;
  struct Gcs {
    std::string credentials_file;
    std::string endpoint;
  } gcs;
  struct Azure {
    std::string account;
    std::string key;        // secret
    std::string sas_token;  // secret
    std::string endpoint;
  } azure;
};

struct HealthItem {
  std::string component;  // "URL", "auth token", "storage probe"
  std::string data;       // "valid", "12 ms"
  std::vector<std::string> errors;
  std::vector<std::string> warnings;
};

// What a collection removed, or would remove.
struct CollectReport {
  uint64_t kept_checkpoints = 0;
  uint64_t deleted_checkpoints = 0;
  uint64_t ended_saves = 0;  // that never committed
  uint64_t small_objects = 0;
  uint64_t packs = 0;
  uint64_t pack_bytes = 0;
};

// One connection to one storage. Thread-safe.
class StorageBackend {
 public:
  virtual ~StorageBackend() = default;
  virtual transfer::Catalog& catalog() = 0;
  // Borrow from this backend, which must outlive them.
  virtual std::unique_ptr<transfer::PackSink> OpenSink(const base::SaveId& save) = 0;
  virtual std::unique_ptr<transfer::PackSource> OpenSource(const base::LeaseId& lease) = 0;
  // `full` adds a probe that writes, reads and deletes, with its latency.
  virtual std::vector<HealthItem> Check(const base::Context& context, bool full) = 0;
  // Removes for good what nothing needs any more; for storages that nobody else collects.
  // kUnimplemented: this one does it by itself.
  virtual absl::StatusOr<CollectReport> Collect(const base::Context& context, bool dry_run) {
    return absl::UnimplementedError("this storage collects by itself");
  }
};

// kInvalidArgument / kFailedPrecondition: one line that says which setting to make.
using CreateStorageBackend =
    absl::StatusOr<std::unique_ptr<StorageBackend>> (*)(const StorageConfig& config);

struct StoragePluginV1 {
  const char* name;      // "storage/cedana"
  const char* scheme;    // "cedana"
  const char* version;   // BuildVersion()
  const char* build_id;  // BuildId()
  CreateStorageBackend create;
};

// The plugin's only exported symbol.
inline constexpr char kStoragePluginSymbol[] = "cedana_storage_plugin_v1";
using StoragePluginFactory = const StoragePluginV1* (*)();

}  // namespace cedana::plugin
