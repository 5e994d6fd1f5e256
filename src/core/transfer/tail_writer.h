// Stage: the last packs of a save. Small image files first, then the page map, so that a restore
// opens with one read.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/codec/registry.h"
#include "core/format/manifest.h"
#include "core/format/page_map.h"
#include "core/transfer/image_reader.h"
#include "core/transfer/pack_filler.h"
#include "core/transfer/page_stage.h"

namespace cedana::transfer {

struct Tail {
  std::vector<format::PackRef> packs;
  std::vector<format::MapSegment> page_map;
};

// Requires: every chunk is placed, every body pack is finished. The packs go to the supply's sink;
// that they are durable is for the caller to wait for.
absl::StatusOr<Tail> WriteTail(PackSupply& supply, codec::Codec codec, const ImageFiles& files,
                               const std::vector<const PageStage*>& pipelines);

}  // namespace cedana::transfer
