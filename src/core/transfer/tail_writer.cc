#include "core/transfer/tail_writer.h"

#include <algorithm>
#include <utility>

#include "core/base/status.h"
#include "core/format/bytes.h"
#include "core/transfer/page_map_builder.h"

namespace cedana::transfer {
namespace {

// Seals `bytes` in blocks as large as they may be.
absl::StatusOr<std::vector<format::MapBlock>> AddBlocks(PackFiller& filler, format::BlockKind kind,
                                                        absl::string_view bytes) {
  std::vector<format::MapBlock> blocks;
  for (size_t offset = 0; offset < bytes.size(); offset += base::kBlockBytesMax) {
    CEDANA_ASSIGN_OR_RETURN(
        format::MapBlock block,
        filler.Add(kind, format::AsBytes(bytes.substr(offset, base::kBlockBytesMax)), {}));
    blocks.push_back(block);
  }
  return blocks;
}

// The small files end to end are seen as one more pipeline whose blocks are all full.
void AddSmallFile(PageMapBuilder& builder, uint32_t pipeline, size_t start, size_t bytes) {
  while (bytes > 0) {
    PlacedRun run;
    run.pipeline = pipeline;
    run.block = static_cast<uint32_t>(start / base::kBlockBytesMax);
    run.offset = static_cast<uint32_t>(start % base::kBlockBytesMax);
    run.bytes = static_cast<uint32_t>(std::min(bytes, base::kBlockBytesMax - run.offset));
    builder.AddRun(run);
    start += run.bytes;
    bytes -= run.bytes;
  }
}

// Both kinds of files, merged in the order of their names.
void AddFiles(PageMapBuilder& builder, const ImageFiles& files, uint32_t small_pipeline) {
  size_t small_start = 0;
  for (const auto& [name, record] : files.large()) {
    builder.BeginFile(name);
    const auto small = files.small().find(name);
    if (small == files.small().end()) {
      record->ForEachRun([&builder](const PlacedRun& run) { builder.AddRun(run); });
      continue;
    }
    AddSmallFile(builder, small_pipeline, small_start, small->second.size());
    small_start += small->second.size();
  }
}

}  // namespace

absl::StatusOr<Tail> WriteTail(PackSupply& supply, codec::Codec codec, const ImageFiles& files,
                               const std::vector<const PageStage*>& pipelines) {
  const size_t body_packs = supply.ledger.size();
  std::string small_bytes;
  for (const auto& [name, bytes] : files.small()) small_bytes += bytes;
  PackFiller filler(supply, codec);
  CEDANA_ASSIGN_OR_RETURN(const std::vector<format::MapBlock> small_blocks,
                          AddBlocks(filler, format::BlockKind::kData, small_bytes));

  std::vector<PageMapBuilder::BlockList> block_lists;
  block_lists.reserve(pipelines.size() + 1);
  for (const PageStage* pipeline : pipelines) block_lists.push_back(&pipeline->blocks());
  block_lists.push_back(&small_blocks);
  PageMapBuilder builder(std::move(block_lists));
  AddFiles(builder, files, static_cast<uint32_t>(pipelines.size()));
  std::vector<format::PackRef> body = supply.ledger.References(0);
  std::vector<format::PackRef> tail(body.begin() + static_cast<long>(body_packs), body.end());
  body.resize(body_packs);
  CEDANA_ASSIGN_OR_RETURN(const std::string map, format::EncodePageMap(builder.Take(body, tail)));

  CEDANA_ASSIGN_OR_RETURN(const std::vector<format::MapBlock> map_blocks,
                          AddBlocks(filler, format::BlockKind::kPageMap, map));
  CEDANA_RETURN_IF_ERROR(filler.Flush());

  Tail result;
  result.packs = supply.ledger.References(body_packs);
  for (const format::MapBlock& block : map_blocks) {
    result.page_map.push_back({block.pack - static_cast<uint32_t>(body_packs), block.place});
  }
  return result;
}

}  // namespace cedana::transfer
