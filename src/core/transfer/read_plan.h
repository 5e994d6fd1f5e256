// What to read, and in which order, to serve a range of an image file. Pure arithmetic: no reads
// are made here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "core/format/page_map.h"

namespace cedana::transfer {

inline constexpr uint64_t kRangeGapBytesMax = 64 << 10;  // cheaper to read over than to ask again

// One read of one pack: blocks that lie close together, in the order of their offsets.
struct RangeRead {
  struct Block {
    uint32_t block = 0;  // index in PageMap::blocks
    uint32_t slot = 0;   // where its plain bytes go in the stretch's buffer
  };
  uint32_t pack = 0;
  uint32_t offset = 0;
  uint32_t bytes = 0;
  std::vector<Block> blocks;
};

// Bytes of the image file, in order: from the stretch's buffer, or zero.
struct Piece {
  static constexpr uint32_t kZeroes = UINT32_MAX;
  uint64_t bytes = 0;
  uint32_t offset = kZeroes;  // in the buffer
};

// A piece of the file whose blocks fit one buffer; the blocks are read in parallel and in any
// order.
struct Stretch {
  std::vector<Piece> pieces;
  std::vector<RangeRead> reads;
};

// Walks over a range of a file, extent by extent.
class ExtentCursor {
 public:
  // Requires: offset + bytes within the file, which is borrowed.
  ExtentCursor(const format::MappedFile& file, uint64_t offset, uint64_t bytes);

  bool done() const { return left_ == 0; }
  // Where the next byte lies in the row of all blocks; Extent::kZeroes: it is zero.
  uint64_t position() const;
  // How many bytes of this kind follow. Requires: not done.
  uint64_t bytes() const;
  void Advance(uint64_t bytes);

 private:
  const format::MappedFile& file_;
  size_t extent_ = 0;  // the one that holds the next byte
  uint64_t in_extent_ = 0;
  uint64_t left_ = 0;
};

// Cuts a range of a file into stretches. One thread at a time; borrows map and file.
class ReadPlan {
 public:
  // Requires: offset + bytes within the file.
  ReadPlan(const format::PageMap& map, const format::MappedFile& file, uint64_t offset,
           uint64_t bytes)
      : map_(map), cursor_(file, offset, bytes) {}

  bool done() const { return cursor_.done(); }
  // The next stretch, for a buffer of `buffer_bytes` (base::kBlockBytesMax at least) with reads of
  // at most `range_bytes` sealed bytes. Requires: not done.
  Stretch Next(size_t buffer_bytes, size_t range_bytes);

 private:
  bool PlanBlock(size_t buffer_bytes, Stretch& stretch);
  void GroupReads(size_t range_bytes, Stretch& stretch);

  const format::PageMap& map_;
  ExtentCursor cursor_;

  // Of the stretch that is being planned.
  absl::flat_hash_map<uint32_t, uint32_t> slots_;
  size_t used_ = 0;
};

}  // namespace cedana::transfer
