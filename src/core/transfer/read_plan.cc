#include "core/transfer/read_plan.h"

#include <algorithm>
#include <tuple>

namespace cedana::transfer {
namespace {

// Bounds the lists of a stretch where pages and holes alternate.
constexpr size_t kPiecesMax = 4096;

void AppendPiece(Piece piece, std::vector<Piece>& pieces) {
  if (!pieces.empty()) {
    Piece& last = pieces.back();
    const bool both_zero = last.offset == Piece::kZeroes && piece.offset == Piece::kZeroes;
    const bool adjoining = last.offset != Piece::kZeroes && piece.offset != Piece::kZeroes &&
                           last.offset + last.bytes == piece.offset;
    if (both_zero || adjoining) {
      last.bytes += piece.bytes;
      return;
    }
  }
  pieces.push_back(piece);
}

}  // namespace

ExtentCursor::ExtentCursor(const format::MappedFile& file, uint64_t offset, uint64_t bytes)
    : file_(file), left_(bytes) {
  if (bytes == 0) return;
  const auto after = std::upper_bound(
      file.extents.begin(), file.extents.end(), offset,
      [](uint64_t value, const format::Extent& extent) { return value < extent.file_offset; });
  extent_ = static_cast<size_t>(after - file.extents.begin()) - 1;
  in_extent_ = offset - file.extents[extent_].file_offset;
}

uint64_t ExtentCursor::position() const {
  const uint64_t start = file_.extents[extent_].position;
  return start == format::Extent::kZeroes ? start : start + in_extent_;
}

uint64_t ExtentCursor::bytes() const {
  return std::min(left_, file_.ExtentBytes(extent_) - in_extent_);
}

void ExtentCursor::Advance(uint64_t bytes) {
  left_ -= bytes;
  in_extent_ += bytes;
  if (in_extent_ == file_.ExtentBytes(extent_)) {
    ++extent_;
    in_extent_ = 0;
  }
}

Stretch ReadPlan::Next(size_t buffer_bytes, size_t range_bytes) {
  Stretch stretch;
  slots_.clear();
  used_ = 0;
  while (!cursor_.done() && stretch.pieces.size() < kPiecesMax) {
    if (cursor_.position() == format::Extent::kZeroes) {
      const uint64_t bytes = cursor_.bytes();
      AppendPiece({bytes, Piece::kZeroes}, stretch.pieces);
      cursor_.Advance(bytes);
    } else if (!PlanBlock(buffer_bytes, stretch)) {
      break;
    }
  }
  GroupReads(range_bytes, stretch);
  return stretch;
}

// Plans what the next byte's block holds of the extent; false when the buffer has no room for it.
bool ReadPlan::PlanBlock(size_t buffer_bytes, Stretch& stretch) {
  const uint64_t position = cursor_.position();
  const uint32_t block = static_cast<uint32_t>(map_.BlockAt(position));
  const uint32_t plain_bytes = map_.blocks[block].place.plain_bytes;
  auto slot = slots_.find(block);
  if (slot == slots_.end()) {
    if (used_ + plain_bytes > buffer_bytes) return false;
    slot = slots_.emplace(block, static_cast<uint32_t>(used_)).first;
    used_ += plain_bytes;
  }
  const uint64_t in_block = position - map_.block_starts[block];
  const uint64_t bytes = std::min(cursor_.bytes(), plain_bytes - in_block);
  AppendPiece({bytes, static_cast<uint32_t>(slot->second + in_block)}, stretch.pieces);
  cursor_.Advance(bytes);
  return true;
}

void ReadPlan::GroupReads(size_t range_bytes, Stretch& stretch) {
  std::vector<RangeRead::Block> blocks;
  blocks.reserve(slots_.size());
  for (const auto& [block, slot] : slots_) blocks.push_back({block, slot});
  std::sort(blocks.begin(), blocks.end(), [this](const auto& a, const auto& b) {
    const format::MapBlock& left = map_.blocks[a.block];
    const format::MapBlock& right = map_.blocks[b.block];
    return std::tie(left.pack, left.place.offset) < std::tie(right.pack, right.place.offset);
  });
  for (const RangeRead::Block& entry : blocks) {
    const format::MapBlock& block = map_.blocks[entry.block];
    const uint64_t end = uint64_t{block.place.offset} + block.place.sealed_bytes;
    if (!stretch.reads.empty()) {
      RangeRead& last = stretch.reads.back();
      const uint64_t last_end = uint64_t{last.offset} + last.bytes;
      if (last.pack == block.pack && block.place.offset >= last_end &&
          block.place.offset - last_end <= kRangeGapBytesMax && end - last.offset <= range_bytes) {
        last.bytes = static_cast<uint32_t>(end - last.offset);
        last.blocks.push_back(entry);
        continue;
      }
    }
    stretch.reads.push_back({block.pack, block.place.offset, block.place.sealed_bytes, {entry}});
  }
}

}  // namespace cedana::transfer
