// From a sealed block to its plain bytes: authenticate, then expand (I4).
#pragma once

#include <span>
#include <vector>

#include "absl/status/status.h"
#include "core/codec/registry.h"
#include "core/format/sealer.h"

namespace cedana::format {

// Keeps its expanders and a buffer of one block. One thread at a time.
class BlockOpener {
 public:
  // Fills exactly `plain`; kDataLoss "block <n>: …" when the bytes are not that block, and `plain`
  // then holds nothing that may be used.
  // Requires: sealed.size() == place.sealed_bytes, plain.size() == place.plain_bytes.
  absl::Status Open(PackSealer& sealer, const BlockPlace& place, std::span<const uint8_t> sealed,
                    std::span<uint8_t> plain);

 private:
  codec::AnyExpander expander_;
  std::vector<uint8_t> text_;  // opened, not yet expanded
};

}  // namespace cedana::format
