// Where the packs of an opened checkpoint are read from. Port number three.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/context.h"
#include "core/base/ids.h"

namespace cedana::transfer {

// Belongs to one hold. Thread-safe: ranges are read in parallel.
class PackSource {
 public:
  virtual ~PackSource() = default;

  // Fills all of `out` with the pack's bytes from `offset` and returns the name of the provider
  // that they came from, never one of `avoid` (those whose bytes were wrong). They are not
  // authenticated yet (I4 is the caller's duty). Retries are in here and nowhere above. kNotFound:
  // no provider, or none beside `avoid`, has the pack.
  virtual absl::StatusOr<std::string> Read(const base::Context& context, const base::PackId& pack,
                                           uint64_t offset, std::span<uint8_t> out,
                                           std::span<const std::string> avoid) = 0;

  // What Read gave from `provider` did not authenticate: `what` says how. It is logged, and told to
  // who can mend it. Cannot fail.
  virtual void ReportDamage(const base::PackId& pack, const std::string& provider,
                            const absl::Status& what) = 0;

  // A hint, given once before the reads: these packs will be read, roughly in this order.
  virtual void Expect(const std::vector<base::PackId>& packs) { (void)packs; }
};

}  // namespace cedana::transfer
