// Fills one pack (docs/format/pack.md) in a buffer that is borrowed from a pool.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/ids.h"
#include "core/codec/registry.h"
#include "core/format/keys.h"
#include "core/format/pack_layout.h"
#include "core/format/sealer.h"

namespace cedana::format {

struct FinishedPack {
  base::PackId id;
  uint32_t key_epoch = 0;
  std::span<const uint8_t> bytes;  // in the buffer that the writer was given
  uint32_t crc32c = 0;
};

// Lifecycle: construct, Add blocks while they fit, Finish once. One thread at a time.
class PackWriter {
 public:
  // `id` is freshly drawn and used for nothing else. The pack never grows over `buffer`.
  // Requires: 64 KiB over the largest sealed block in `buffer`, base::kPackBytesMax at most.
  PackWriter(std::span<uint8_t> buffer, const base::OrgId& organisation, const SealingKey& key,
             const base::PackId& id);

  // Whether a block of that many plain bytes and pages fits, were it not to shrink.
  bool HasRoomFor(size_t plain_bytes, size_t pages) const;

  // Compresses with `compressor` (null: not), seals and appends. `ids`: of each page, for blocks of
  // kind kPages. Requires: HasRoomFor.
  BlockPlace Add(BlockKind kind, std::span<const uint8_t> plain, codec::Codec codec,
                 codec::Compressor* compressor, std::span<const base::PageId> ids);

  // Appends trailer and footer.
  FinishedPack Finish();

  const base::PackId& id() const { return id_; }
  uint32_t key_epoch() const { return key_epoch_; }
  bool empty() const { return entries_.empty(); }

 private:
  struct Entry {
    BlockPlace place;
    BlockKind kind;
    uint16_t pages;
  };
  void Append(std::span<const uint8_t> bytes);
  size_t TrailerPlainBytes(size_t blocks, size_t pages) const;

  const std::span<uint8_t> buffer_;
  const base::PackId id_;
  const uint32_t key_epoch_;
  PackSealer sealer_;
  size_t used_ = 0;
  uint32_t crc32c_ = 0;
  std::vector<Entry> entries_;
  std::vector<base::PageId> page_ids_;
};

}  // namespace cedana::format
