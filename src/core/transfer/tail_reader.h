// Stage: the way in. Reads the last packs of a checkpoint: its page map, and the small image files,
// which stay in memory.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/base/context.h"
#include "core/format/keys.h"
#include "core/format/manifest.h"
#include "core/format/page_map.h"
#include "core/transfer/load.h"
#include "core/transfer/pack_source.h"
#include "core/transfer/range_fetcher.h"

namespace cedana::transfer {

// Thread-safe. Blocks are authenticated and expanded at their first use, and then kept: hundreds of
// small files share a few blocks.
class TailBlocks {
 public:
  struct PackBytes {
    std::string provider;
    std::vector<uint8_t> bytes;  // of the pack, from its first block on
  };
  // `map`, `keys` and `source` are borrowed. `packs`: one for each tail pack.
  TailBlocks(const base::Context& context, const format::PageMap& map,
             const format::OrganisationKeys& keys, PackSource& source,
             std::vector<PackBytes> packs);

  bool Holds(size_t block) const { return map_.blocks[block].pack >= map_.body_packs; }
  // The plain bytes, valid as long as this object. A block that turns out to be damaged is read
  // from another provider. Requires: Holds.
  absl::StatusOr<std::span<const uint8_t>> Plain(size_t block);

  size_t ResidentBytes() const;  // at most, all blocks expanded

 private:
  absl::Status ReadElsewhere(const format::MapBlock& block, const std::string& provider,
                             const absl::Status& damage, std::span<uint8_t> plain)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const base::Context context_;
  const format::PageMap& map_;
  PackSource& source_;
  const std::vector<PackBytes> packs_;
  absl::Mutex mutex_;
  PackOpener opener_ ABSL_GUARDED_BY(mutex_);
  // By block; a vector's bytes stay where they are when the map grows.
  absl::flat_hash_map<size_t, std::vector<uint8_t>> plain_ ABSL_GUARDED_BY(mutex_);
};

struct CheckpointTail {
  std::unique_ptr<format::PageMap> map;
  std::unique_ptr<TailBlocks> blocks;
};

// One read for each tail pack; there is one, unless the checkpoint is very large. `keys` and
// `source` are borrowed by the result.
absl::StatusOr<CheckpointTail> ReadTail(const base::Context& context,
                                        const format::Manifest& manifest,
                                        const format::OrganisationKeys& keys, PackSource& source,
                                        LoadProgress& progress);

// What a decoded page map takes, roughly.
size_t PageMapMemory(const format::PageMap& map);

}  // namespace cedana::transfer
