// What a storage plugin (a shared object `libcedana-storage-<scheme>.so`) gives to the program: the
// three ports of core/transfer over one kind of storage, and its health checks. A plugin belongs to
// the exact build of the program (core/build_id.h): the interface is C++ and not stable across
// builds, so the loader compares the ids before it calls anything.
#pragma once

#include <map>
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

struct StorageConfig {
  std::string url;         // connection.url
  std::string auth_token;  // connection.auth_token; in no log and no error text
  std::string ca_file;     // connection.ca_file
  int connections = 2;     // parallel transfers
};

struct HealthItem {
  std::string component;  // "URL", "auth token", "storage probe"
  std::string data;       // "valid", "12 ms"
  std::vector<std::string> errors;
  std::vector<std::string> warnings;
};

// One connection to one storage. Thread-safe.
class StorageBackend {
 public:
  virtual ~StorageBackend() = default;
  virtual transfer::Catalog& catalog() = 0;
  // Borrow from this backend, which must outlive them.
  virtual std::unique_ptr<transfer::PackSink> OpenSink(const base::SaveId& save) = 0;
  virtual std::unique_ptr<transfer::PackSource> OpenSource(const base::LeaseId& lease) = 0;
  // `full` adds the write-read-delete probe with its latency.
  virtual std::vector<HealthItem> Check(const base::Context& context, bool full) = 0;
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
