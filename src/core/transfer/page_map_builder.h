// Puts what the pipelines noted together into the page map of a checkpoint.
#pragma once

#include <string>
#include <vector>

#include "core/format/page_map.h"
#include "core/transfer/image_record.h"

namespace cedana::transfer {

// Blocks enter the map in the order in which the files, added in the order of their names, first
// use them. One thread at a time.
class PageMapBuilder {
 public:
  using BlockList = const std::vector<format::MapBlock>*;
  // `pipeline_blocks[i]`: the blocks that runs of pipeline i name. Borrowed until Take.
  explicit PageMapBuilder(std::vector<BlockList> pipeline_blocks);

  void BeginFile(const std::string& name);
  void AddRun(const PlacedRun& run);

  // `body` and `tail` are all packs by their numbers in the ledger, body packs first.
  format::PageMap Take(const std::vector<format::PackRef>& body,
                       const std::vector<format::PackRef>& tail);

 private:
  std::vector<BlockList> pipeline_blocks_;
  std::vector<std::vector<uint32_t>> numbers_;  // in the map, of each pipeline's blocks
  format::PageMap map_;
};

}  // namespace cedana::transfer
