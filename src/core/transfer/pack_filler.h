// Stage: blocks into packs. One for each pipeline, so that packs are filled without locks.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "absl/status/statusor.h"
#include "core/base/random.h"
#include "core/codec/registry.h"
#include "core/format/keys.h"
#include "core/format/pack_writer.h"
#include "core/format/page_map.h"
#include "core/transfer/buffer_pool.h"
#include "core/transfer/pack_ledger.h"
#include "core/transfer/save.h"

namespace cedana::transfer {

// A pack on its way to an uploader.
struct SealedPack {
  uint32_t number = 0;  // in the ledger
  format::FinishedPack pack;
  Buffer buffer;  // holds the pack's bytes
};

// What all fillers of one save share; outlives them.
struct PackSupply {
  const format::OrganisationKeys& keys;
  base::Random& random;
  BufferPool& buffers;
  PackLedger& ledger;
  SaveProgress& progress;
  std::function<absl::Status(SealedPack)> sink;  // takes a finished pack, may block
};

// One thread at a time.
class PackFiller {
 public:
  PackFiller(PackSupply& supply, codec::Codec codec) : supply_(supply), codec_(codec) {}

  // Compresses, seals and appends a block, going on to the next pack when this one is full. The
  // pack is named by its number in the ledger. `ids`: of each page, for blocks of pages. The page
  // map shrinks well whatever the image files do, so it is always compressed.
  absl::StatusOr<format::MapBlock> Add(format::BlockKind kind, std::span<const uint8_t> plain,
                                       std::span<const base::PageId> ids);
  // Finishes the open pack, if there is one.
  absl::Status Flush();

 private:
  absl::Status BeginPack();

  PackSupply& supply_;
  const codec::Codec codec_;
  codec::AnyCompressor compressors_;
  uint32_t number_ = 0;
  Buffer buffer_;
  std::optional<format::PackWriter> writer_;
};

}  // namespace cedana::transfer
