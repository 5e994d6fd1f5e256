#include "core/transfer/page_map_builder.h"

#include <utility>

namespace cedana::transfer {
namespace {

constexpr uint32_t kUnnumbered = UINT32_MAX;

}  // namespace

PageMapBuilder::PageMapBuilder(std::vector<BlockList> pipeline_blocks)
    : pipeline_blocks_(std::move(pipeline_blocks)) {
  for (BlockList blocks : pipeline_blocks_) numbers_.emplace_back(blocks->size(), kUnnumbered);
  map_.block_starts.push_back(0);
}

void PageMapBuilder::BeginFile(const std::string& name) {
  map_.files.emplace_back();
  map_.files.back().name = name;
}

void PageMapBuilder::AddRun(const PlacedRun& run) {
  format::MappedFile& file = map_.files.back();
  format::Extent extent{file.bytes, format::Extent::kZeroes};
  bool continues = !file.extents.empty();
  if (run.zero()) {
    continues = continues && file.extents.back().position == format::Extent::kZeroes;
  } else {
    uint32_t& number = numbers_[run.pipeline][run.block];
    if (number == kUnnumbered) {
      number = static_cast<uint32_t>(map_.blocks.size());
      map_.AddBlock((*pipeline_blocks_[run.pipeline])[run.block]);
    }
    extent.position = map_.block_starts[number] + run.offset;
    continues = continues && file.extents.back().position != format::Extent::kZeroes &&
                file.extents.back().position + (file.bytes - file.extents.back().file_offset) ==
                    extent.position;
  }
  if (!continues) file.extents.push_back(extent);
  file.bytes += run.bytes;
}

format::PageMap PageMapBuilder::Take(const std::vector<format::PackRef>& body,
                                     const std::vector<format::PackRef>& tail) {
  map_.packs = body;
  map_.packs.insert(map_.packs.end(), tail.begin(), tail.end());
  map_.body_packs = body.size();
  return std::move(map_);
}

}  // namespace cedana::transfer
