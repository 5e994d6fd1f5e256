// Which bytes of which blocks make up each image file (docs/format/page-map.md).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/ids.h"
#include "core/format/pack_layout.h"

namespace cedana::format {

// Bounds the decoded map as well (some 10 times this); a dense process of 2 TB stays below.
inline constexpr size_t kPageMapBytesMax = 64u << 20;

struct PackRef {
  base::PackId id;
  uint32_t key_epoch = 0;
  uint32_t bytes = 0;
  uint32_t crc32c = 0;

  friend bool operator==(const PackRef&, const PackRef&) = default;
};

struct MapBlock {
  uint32_t pack = 0;  // index in PageMap::packs
  BlockPlace place;

  friend bool operator==(const MapBlock&, const MapBlock&) = default;
};

// A stretch of an image file. `position` counts in the row of all blocks' plain bytes put end to
// end; kZeroes: stored nowhere.
struct Extent {
  static constexpr uint64_t kZeroes = UINT64_MAX;
  uint64_t file_offset = 0;  // it ends where the next one starts, the last at the file's end
  uint64_t position = kZeroes;

  friend bool operator==(const Extent&, const Extent&) = default;
};

struct MappedFile {
  std::string name;
  uint64_t bytes = 0;
  std::vector<Extent> extents;

  // The length of extents[index].
  uint64_t ExtentBytes(size_t index) const {
    const uint64_t end = index + 1 < extents.size() ? extents[index + 1].file_offset : bytes;
    return end - extents[index].file_offset;
  }
  friend bool operator==(const MappedFile&, const MappedFile&) = default;
};

struct PageMap {
  std::vector<PackRef> packs;  // the body packs, then the tail packs
  size_t body_packs = 0;
  std::vector<MapBlock> blocks;
  std::vector<uint64_t> block_starts;  // position of each block's first byte, then of the end
  std::vector<MappedFile> files;       // strictly ascending by name

  // The block that holds `position`. Requires: position < block_starts.back().
  size_t BlockAt(uint64_t position) const;
  void AddBlock(const MapBlock& block);
};

// "core-1.img" and the like: 1 to 255 bytes, no '/', no NUL, not "." or "..".
bool IsImageName(absl::string_view name);

// kResourceExhausted: over kPageMapBytesMax. The tail packs' sizes are not in it.
absl::StatusOr<std::string> EncodePageMap(const PageMap& map);

// `tail_packs` come from the manifest. Hostile bytes are refused with kDataLoss; memory stays in
// proportion to their size.
absl::StatusOr<PageMap> DecodePageMap(std::span<const uint8_t> bytes,
                                      const std::vector<PackRef>& tail_packs);

}  // namespace cedana::format
