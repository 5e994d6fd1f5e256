// Where the packs of an opened checkpoint are read from. Port number three.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/context.h"
#include "core/base/ids.h"

namespace cedana::transfer {

// Belongs to one hold. Thread-safe: ranges are read in parallel.
class PackSource {
 public:
  virtual ~PackSource() = default;

  // Fills all of `out` with the pack's bytes from `offset` and returns the name of the provider
  // that they came from. They are not authenticated yet (I4 is the caller's duty). Retries are in
  // here and nowhere above. kNotFound: no provider has the pack.
  virtual absl::StatusOr<std::string> Read(const base::Context& context, const base::PackId& pack,
                                           uint64_t offset, std::span<uint8_t> out) = 0;
};

}  // namespace cedana::transfer
