// Stage: one read of a pack into the plain bytes of its blocks, each authenticated and expanded
// before anybody sees it (I4).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/base/context.h"
#include "core/format/block_opener.h"
#include "core/format/keys.h"
#include "core/format/page_map.h"
#include "core/transfer/load.h"
#include "core/transfer/pack_source.h"
#include "core/transfer/read_plan.h"

namespace cedana::transfer {

// Opens blocks of the packs of one checkpoint. kDataLoss: "pack <hex> block <n> … from provider
// <name>". One thread at a time.
class PackOpener {
 public:
  explicit PackOpener(const format::OrganisationKeys& keys) : keys_(keys) {}

  // Blocks of one pack in a row share its key. Requires: `bytes` were read at `offset` of the pack
  // and hold the block.
  absl::Status Open(const format::PackRef& pack, const format::BlockPlace& place,
                    std::span<const uint8_t> bytes, uint64_t offset, const std::string& provider,
                    std::span<uint8_t> plain);

 private:
  const format::OrganisationKeys& keys_;
  base::PackId pack_;
  std::optional<format::PackSealer> sealer_;
  format::BlockOpener opener_;
};

// Keeps its buffer of sealed bytes between reads: one for each reading thread.
class RangeFetcher {
 public:
  // `range_bytes`: of the longest read.
  RangeFetcher(const format::PageMap& map, const format::OrganisationKeys& keys, PackSource& source,
               LoadProgress& progress, size_t range_bytes);

  // Puts each block of `read` at its slot of `buffer`, read from whichever provider has it whole.
  absl::Status Fetch(const base::Context& context, const RangeRead& read,
                     std::span<uint8_t> buffer);

 private:
  const format::PageMap& map_;
  PackSource& source_;
  LoadProgress& progress_;
  PackOpener opener_;
  std::vector<uint8_t> sealed_;
};

}  // namespace cedana::transfer
