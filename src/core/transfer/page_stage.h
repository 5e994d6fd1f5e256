// Stage: chunks into blocks. Leaves out zero pages, gives every other page its id, and gathers the
// pages that are left into blocks for a PackFiller.
//
// A chunk without a hole goes into a block of its own straight from the chunk's buffer. Pages
// between holes are copied together first, so that sparse memory does not end in tiny blocks; such
// a block may hold pages of several chunks and files, and is sealed when it is full.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "core/base/ids.h"
#include "core/base/limits.h"
#include "core/format/page_id.h"
#include "core/format/page_map.h"
#include "core/transfer/image_record.h"
#include "core/transfer/pack_filler.h"
#include "core/transfer/save.h"

namespace cedana::transfer {

// One thread at a time; one for each pipeline.
class PageStage {
 public:
  PageStage(uint32_t pipeline, const format::Key256& page_id_key, PackFiller& filler,
            SaveProgress& progress);

  // Places every byte of the chunk, and says so in its image record.
  absl::Status Take(const Chunk& chunk);
  // Seals what is gathered.
  absl::Status Flush();

  // Block i is the one that PlacedRun::block == i of this pipeline means. After Flush.
  const std::vector<format::MapBlock>& blocks() const { return blocks_; }

 private:
  absl::Status PlacePages(std::span<const uint8_t> pages, PlacedRuns& runs);
  absl::Status Gather(std::span<const uint8_t> pages, std::span<const base::PageId> ids,
                      PlacedRuns& runs);
  absl::Status SealGathered();

  const uint32_t pipeline_;
  format::PageIdHasher hasher_;
  PackFiller& filler_;
  SaveProgress& progress_;
  std::vector<format::MapBlock> blocks_;

  // The block that is being gathered; it has its number from its first page on.
  std::vector<uint8_t> gathered_;
  std::vector<base::PageId> gathered_ids_;
  uint32_t gathered_block_ = 0;
};

}  // namespace cedana::transfer
