// The configured object stores, and on how many of them a pack is put.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/context.h"
#include "core/objstore/directory_store.h"
#include "core/objstore/object_store.h"

namespace cedana::replica {

struct ProviderSpec {
  std::string name;  // [a-z0-9-], at most 63 bytes
  std::string path;  // of the directory
};

// "NAME=file:///PATH".
absl::StatusOr<ProviderSpec> ParseProvider(const std::string& text);

struct Provider {
  std::string name;
  objstore::ObjectStore* store;         // what everything uses
  objstore::DirectoryStore* directory;  // takes uploads by grant
};

// Fixed after Open; thread-safe.
class ProviderSet {
 public:
  static absl::StatusOr<std::unique_ptr<ProviderSet>> Open(const std::vector<ProviderSpec>& specs);
  // Over stores that the caller owns and that outlive it.
  static std::unique_ptr<ProviderSet> Over(std::vector<Provider> providers);

  // In order of configuration, which is the order of placement.
  const std::vector<Provider>& all() const { return providers_; }
  // Null when there is none.
  const Provider* Find(const std::string& name) const;
  // Shards of a pack: two, one where there is a single provider. All of them must be seen before
  // a commit.
  size_t copies() const { return providers_.size() < 2 ? providers_.size() : 2; }
  // At least one answers.
  absl::Status Ping(const base::Context& context) const;

  // Create-only at the first copies() providers that take it; "exists" with the same bytes is
  // success (a repeat). Returns their names; an error when fewer take it. kDataLoss when `crc32c`
  // is given and is not that of `bytes`.
  absl::StatusOr<std::vector<std::string>> PutCopies(
      const base::Context& context, const std::string& key, absl::string_view bytes,
      std::optional<uint32_t> crc32c = std::nullopt) const;
  // Create-only at every provider.
  absl::Status PutEverywhere(const base::Context& context, const std::string& key,
                             absl::string_view bytes) const;
  // From every provider; the first error, after all were tried.
  absl::Status DeleteEverywhere(const base::Context& context, const std::string& key) const;

 private:
  ProviderSet() = default;
  std::vector<std::unique_ptr<objstore::DirectoryStore>> stores_;
  std::vector<Provider> providers_;
};

// The whole of a small object; kResourceExhausted above `max_bytes`.
absl::StatusOr<std::string> ReadObject(const base::Context& context, objstore::ObjectStore& store,
                                       const std::string& key, size_t max_bytes);
// Calls `visit` for every object under `prefix`.
absl::Status ListAll(const base::Context& context, objstore::ObjectStore& store,
                     const std::string& prefix,
                     const std::function<absl::Status(const objstore::ObjectInfo&)>& visit);

}  // namespace cedana::replica
