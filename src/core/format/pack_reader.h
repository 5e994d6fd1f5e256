// Reads a pack by its own trailer (docs/format/pack.md): for checks, repair and known pages. A
// restore does not come here, it has the page map.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/ids.h"
#include "core/format/keys.h"
#include "core/format/pack_layout.h"

namespace cedana::format {

struct TrailerBlock {
  BlockPlace place;
  BlockKind kind = BlockKind::kPages;
  uint32_t first_page = 0;  // of its page ids in PackTrailer::page_ids
  uint32_t pages = 0;
};

struct PackTrailer {
  std::vector<TrailerBlock> blocks;
  std::vector<base::PageId> page_ids;
};

struct TrailerPlace {
  uint32_t offset = 0;
  uint32_t sealed_bytes = 0;
};

// Where the trailer lies, from the last kPackFooterBytes of a pack of `pack_bytes` bytes. Not
// authenticated; opening the trailer is.
absl::StatusOr<TrailerPlace> ParseFooter(std::span<const uint8_t> footer, uint64_t pack_bytes);

// All these errors are kDataLoss and name the pack; kFailedPrecondition: unknown version or epoch.
absl::StatusOr<PackTrailer> OpenTrailer(const OrganisationKeys& keys, uint32_t key_epoch,
                                        const base::PackId& pack, const TrailerPlace& place,
                                        std::span<const uint8_t> sealed);

// A whole pack in memory: header, footer, trailer, no gap between them; every block opens and
// expands.
absl::StatusOr<PackTrailer> CheckPack(const OrganisationKeys& keys, const base::PackId& pack,
                                      std::span<const uint8_t> bytes);

}  // namespace cedana::format
