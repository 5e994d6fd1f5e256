// Divides the memory limit of one dump or restore among everything that is in flight (I5).
#pragma once

#include <cstddef>

#include "absl/status/statusor.h"

namespace cedana::transfer {

// What a save holds: chunks of image files on their way to the pipelines, one open pack for each
// pipeline, packs in upload, the gathered small files, and a margin for tables.
struct SaveBudget {
  int pipelines = 1;
  int uploads = 2;
  size_t pack_bytes = 0;  // of each pack
  size_t pack_buffers = 0;
  size_t chunk_buffers = 0;      // of base::kBlockBytesMax each
  size_t small_files_bytes = 0;  // of all small files together
};

// `limit_bytes`: 0 takes the default. `one_file`: nothing but one image file, which needs less.
// kInvalidArgument: below base::kMemoryLimitMinMiB, or kMemoryOneFileMinMiB. A small limit makes
// packs smaller and pipelines fewer.
absl::StatusOr<SaveBudget> PlanSave(size_t limit_bytes, int pipelines, bool one_file = false);

// What a restore holds: the page map, the small files, one range of sealed bytes for each
// connection and a few second answers of hedged reads, stretches of plain bytes read ahead, and
// single blocks that keep a starved stream going.
struct LoadBudget {
  size_t range_bytes = 0;    // sealed, of each connection
  size_t stretch_bytes = 0;  // plain, of each read-ahead buffer
  size_t stretch_buffers = 0;
  size_t block_buffers = 0;  // of base::kBlockBytesMax each
};

// `resident_bytes`: page map and small files. `one_file`: as above, and no read is hedged.
// kResourceExhausted: they leave too little.
absl::StatusOr<LoadBudget> PlanLoad(size_t limit_bytes, int connections, size_t resident_bytes,
                                    bool one_file = false);

}  // namespace cedana::transfer
