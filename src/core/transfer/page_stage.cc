#include "core/transfer/page_stage.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/base/status.h"

namespace cedana::transfer {
namespace {

using base::kBlockBytesMax;
using base::kBlockPagesMax;
using base::kPageBytes;

// From this many pages on, a chunk without a hole is worth a block of its own.
constexpr size_t kOwnBlockPagesMin = kBlockPagesMax / 2;

size_t PagesIn(size_t bytes) { return (bytes + kPageBytes - 1) / kPageBytes; }

bool Continues(const PlacedRun& before, const PlacedRun& run) {
  if (before.zero() || run.zero()) return before.zero() && run.zero();
  return before.pipeline == run.pipeline && before.block == run.block &&
         before.offset + before.bytes == run.offset;
}

void Append(const PlacedRun& run, PlacedRuns& runs) {
  if (!runs.empty() && Continues(runs.back(), run)) {
    runs.back().bytes += run.bytes;
  } else {
    runs.push_back(run);
  }
}

// The longest stretch at the start of `bytes` whose pages are all zero, or all not zero.
std::span<const uint8_t> EqualNature(std::span<const uint8_t> bytes, bool* zero) {
  size_t size = std::min(bytes.size(), kPageBytes);
  *zero = format::IsZero(bytes.first(size));
  while (size < bytes.size()) {
    const size_t next = std::min(bytes.size() - size, kPageBytes);
    if (format::IsZero(bytes.subspan(size, next)) != *zero) break;
    size += next;
  }
  return bytes.first(size);
}

}  // namespace

PageStage::PageStage(uint32_t pipeline, const format::Key256& page_id_key, PackFiller& filler,
                     SaveProgress& progress)
    : pipeline_(pipeline), hasher_(page_id_key), filler_(filler), progress_(progress) {
  gathered_.reserve(kBlockBytesMax);
  gathered_ids_.reserve(kBlockPagesMax);
}

absl::Status PageStage::Take(const Chunk& chunk) {
  PlacedRuns runs;
  std::span<const uint8_t> rest = chunk.buffer.bytes().first(chunk.bytes);
  while (!rest.empty()) {
    bool zero = false;
    const std::span<const uint8_t> stretch = EqualNature(rest, &zero);
    if (zero) {
      PlacedRun run;
      run.bytes = static_cast<uint32_t>(stretch.size());
      Append(run, runs);
      progress_.zero_bytes += stretch.size();
    } else {
      CEDANA_RETURN_IF_ERROR(PlacePages(stretch, runs));
    }
    rest = rest.subspan(stretch.size());
  }
  chunk.record->Place(chunk.number, std::move(runs));
  return absl::OkStatus();
}

absl::Status PageStage::PlacePages(std::span<const uint8_t> pages, PlacedRuns& runs) {
  std::array<base::PageId, kBlockPagesMax> id_places;
  const std::span<base::PageId> ids(id_places.data(), PagesIn(pages.size()));
  hasher_.IdsOf(pages, ids);
  // Here is the place to look the ids up among the pages of earlier checkpoints: a known page
  // becomes a run that refers to its old block, and only the others go on.
  if (ids.size() < kOwnBlockPagesMin) return Gather(pages, ids, runs);

  CEDANA_ASSIGN_OR_RETURN(const format::MapBlock block,
                          filler_.Add(format::BlockKind::kPages, pages, ids));
  Append({static_cast<uint32_t>(pages.size()), pipeline_, static_cast<uint32_t>(blocks_.size()), 0},
         runs);
  blocks_.push_back(block);
  return absl::OkStatus();
}

absl::Status PageStage::Gather(std::span<const uint8_t> pages, std::span<const base::PageId> ids,
                               PlacedRuns& runs) {
  while (!pages.empty()) {
    if (gathered_.empty()) {
      gathered_block_ = static_cast<uint32_t>(blocks_.size());
      blocks_.emplace_back();  // filled when the block is sealed
    }
    const size_t size = std::min(pages.size(), kBlockBytesMax - gathered_.size());
    const size_t count = PagesIn(size);
    Append({static_cast<uint32_t>(size), pipeline_, gathered_block_,
            static_cast<uint32_t>(gathered_.size())},
           runs);
    gathered_.insert(gathered_.end(), pages.begin(), pages.begin() + static_cast<long>(size));
    gathered_ids_.insert(gathered_ids_.end(), ids.begin(), ids.begin() + static_cast<long>(count));
    // Pages stay aligned in their block, so a short one is its last.
    const bool short_page = size % kPageBytes != 0;
    if (short_page || gathered_.size() == kBlockBytesMax) CEDANA_RETURN_IF_ERROR(SealGathered());
    pages = pages.subspan(size);
    ids = ids.subspan(count);
  }
  return absl::OkStatus();
}

absl::Status PageStage::SealGathered() {
  CEDANA_ASSIGN_OR_RETURN(blocks_[gathered_block_],
                          filler_.Add(format::BlockKind::kPages, gathered_, gathered_ids_));
  gathered_.clear();
  gathered_ids_.clear();
  return absl::OkStatus();
}

absl::Status PageStage::Flush() { return gathered_.empty() ? absl::OkStatus() : SealGathered(); }

}  // namespace cedana::transfer
