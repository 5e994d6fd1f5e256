// Where the finished packs of one save go. Port number two.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/context.h"
#include "core/base/ids.h"

namespace cedana::transfer {

// Belongs to one save. Thread-safe: packs are put in parallel.
class PackSink {
 public:
  virtual ~PackSink() = default;

  // Stores a pack (I3: written once), create-only, and returns the names of the providers that
  // acknowledged it as durable. `crc32c` is of `bytes` (Castagnoli). Retries are in here and
  // nowhere above (I6); an error is final for the save. `bytes` is borrowed for the call.
  virtual absl::StatusOr<std::vector<std::string>> Put(const base::Context& context,
                                                       const base::PackId& pack,
                                                       std::span<const uint8_t> bytes,
                                                       uint32_t crc32c) = 0;

  // From now on a Put may go on so long without any success; before, as long as the sink was made
  // for. Also for those under way.
  virtual void SetPatience(absl::Duration patience) { (void)patience; }

  // Bytes that have left for the storage so far, further copies and repeats included: says that
  // something moves, not how much is stored. Any thread.
  virtual uint64_t moved_bytes() const { return 0; }
};

}  // namespace cedana::transfer
