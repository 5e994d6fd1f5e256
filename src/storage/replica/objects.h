// Small operations on one provider's objects, each bounded in time by its context.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/context.h"
#include "core/objstore/object_store.h"
#include "storage/replica/providers.h"

namespace cedana::replica {

// How long a transfer of so many bytes may take before it is given up, however slowly it moves: a
// minute, and what a rate of 64 KiB/s needs. (One that does not move at all ends by the stall
// timeout of the provider's connections.)
absl::Duration TransferTime(uint64_t bytes);

// The whole of an object; kResourceExhausted above `max_bytes`.
absl::StatusOr<std::string> ReadObject(const base::Context& context, objstore::ObjectStore& store,
                                       const std::string& key, size_t max_bytes);

// Create-only; OK as well when the same bytes are there already (a repeat). kAlreadyExists: what is
// there was read and is something else; where it could not be read, kUnavailable. kDataLoss when
// `crc32c` is given and is not that of `bytes`. Told to the health board.
absl::Status PutOnce(const base::Context& context, const Provider& provider, HealthBoard& health,
                     const std::string& key, absl::string_view bytes,
                     std::optional<uint32_t> crc32c = std::nullopt);

// What is not there is deleted. Told to the health board.
absl::Status DeleteOnce(const base::Context& context, const Provider& provider, HealthBoard& health,
                        const std::string& key);

// Calls `visit` for every object under `prefix`, after the key `after`.
absl::Status ListAll(const base::Context& context, objstore::ObjectStore& store,
                     const std::string& prefix,
                     const std::function<absl::Status(const objstore::ObjectInfo&)>& visit,
                     std::string after = "");

// Whether the shard at `key` is the object of this size and checksum: by what the store keeps, or,
// where it keeps no checksum, by reading it. `listed`: what a listing or Head has shown already.
// OK: it is; kNotFound: nothing there; kDataLoss: something else; others: nobody knows.
struct ExpectedObject {
  uint64_t bytes = 0;
  uint32_t crc32c = 0;
};
absl::Status CheckObject(const base::Context& context, objstore::ObjectStore& store,
                         const std::string& key, const ExpectedObject& expected);
// The same, and always by reading every byte.
absl::StatusOr<std::string> ReadChecked(const base::Context& context, objstore::ObjectStore& store,
                                        const std::string& key, const ExpectedObject& expected);

}  // namespace cedana::replica
