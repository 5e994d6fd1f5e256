#include "core/transfer/tail_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/transfer/authentic_read.h"

namespace cedana::transfer {
namespace {

using format::kPackHeaderBytes;

// Where the wanted part of each tail pack ends, and where its page map begins.
struct TailExtent {
  uint64_t map_begin = 0;
  uint64_t end = 0;
};

std::vector<TailExtent> TailExtents(const format::Manifest& manifest) {
  std::vector<TailExtent> extents;
  for (const format::PackRef& pack : manifest.tail_packs) extents.push_back({pack.bytes, 0});
  for (const format::MapSegment& segment : manifest.page_map) {
    TailExtent& extent = extents[segment.tail_pack];
    const uint64_t end = uint64_t{segment.place.offset} + segment.place.sealed_bytes;
    extent.map_begin = std::min<uint64_t>(extent.map_begin, segment.place.offset);
    extent.end = std::max(extent.end, end);
  }
  for (TailExtent& extent : extents) {
    if (extent.end == 0) extent.end = extent.map_begin;  // only small files in it
  }
  return extents;
}

// Puts the segments of the page map that lie in one tail pack at their places in `map`.
absl::Status OpenSegments(const format::Manifest& manifest, size_t tail_pack,
                          const TailBlocks::PackBytes& pack, PackOpener& opener,
                          std::span<uint8_t> map) {
  size_t begin = 0;
  for (const format::MapSegment& segment : manifest.page_map) {
    const size_t bytes = segment.place.plain_bytes;
    if (segment.tail_pack == tail_pack) {
      CEDANA_RETURN_IF_ERROR(opener.Open(manifest.tail_packs[tail_pack], segment.place, pack.bytes,
                                         kPackHeaderBytes, pack.provider,
                                         map.subspan(begin, bytes)));
    }
    begin += bytes;
  }
  return absl::OkStatus();
}

// Blocks of tail packs must lie in the part that was read.
absl::Status CheckTailBlocks(const format::PageMap& map,
                             const std::vector<TailBlocks::PackBytes>& packs) {
  for (const format::MapBlock& block : map.blocks) {
    if (block.pack < map.body_packs) continue;
    const uint64_t end = uint64_t{block.place.offset} + block.place.sealed_bytes;
    if (end - kPackHeaderBytes > packs[block.pack - map.body_packs].bytes.size()) {
      return absl::DataLossError("page map: a small file lies behind the page map");
    }
  }
  return absl::OkStatus();
}

}  // namespace

TailBlocks::TailBlocks(const base::Context& context, const format::PageMap& map,
                       const format::OrganisationKeys& keys, PackSource& source,
                       std::vector<PackBytes> packs)
    : context_(context), map_(map), source_(source), packs_(std::move(packs)), opener_(keys) {}

absl::StatusOr<std::span<const uint8_t>> TailBlocks::Plain(size_t block) {
  absl::MutexLock lock(&mutex_);
  std::vector<uint8_t>& plain = plain_[block];
  if (plain.empty()) {
    const format::MapBlock& entry = map_.blocks[block];
    const PackBytes& pack = packs_[entry.pack - map_.body_packs];
    std::vector<uint8_t> opened(entry.place.plain_bytes);
    absl::Status status = opener_.Open(map_.packs[entry.pack], entry.place, pack.bytes,
                                       kPackHeaderBytes, pack.provider, opened);
    if (absl::IsDataLoss(status)) status = ReadElsewhere(entry, pack.provider, status, opened);
    CEDANA_RETURN_IF_ERROR(status);
    plain = std::move(opened);
  }
  return std::span<const uint8_t>(plain);
}

// Only this block: the others of the pack are read again when their turn comes, if they are wrong.
absl::Status TailBlocks::ReadElsewhere(const format::MapBlock& block, const std::string& provider,
                                       const absl::Status& damage, std::span<uint8_t> plain) {
  const format::PackRef& pack = map_.packs[block.pack];
  std::vector<uint8_t> sealed(block.place.sealed_bytes);
  AuthenticRead read(source_, pack.id);
  read.Reject(provider, damage);
  return read.Run(context_, block.place.offset, sealed,
                  [&](const std::string& other) ABSL_NO_THREAD_SAFETY_ANALYSIS {
                    return opener_.Open(pack, block.place, sealed, block.place.offset, other,
                                        plain);
                  });
}

size_t TailBlocks::ResidentBytes() const {
  size_t total = 0;
  for (const PackBytes& pack : packs_) total += pack.bytes.size();
  for (const format::MapBlock& block : map_.blocks) {
    if (block.pack >= map_.body_packs) total += block.place.plain_bytes;
  }
  return total;
}

absl::StatusOr<CheckpointTail> ReadTail(const base::Context& context,
                                        const format::Manifest& manifest,
                                        const format::OrganisationKeys& keys, PackSource& source,
                                        LoadProgress& progress) {
  const std::vector<TailExtent> extents = TailExtents(manifest);
  size_t map_bytes = 0;
  for (const format::MapSegment& segment : manifest.page_map) {
    map_bytes += segment.place.plain_bytes;
  }
  if (map_bytes > format::kPageMapBytesMax) return absl::DataLossError("page map is too large");

  std::vector<TailBlocks::PackBytes> packs(extents.size());
  CheckpointTail tail;
  {
    std::vector<uint8_t> joined(map_bytes);
    PackOpener opener(keys);
    for (size_t i = 0; i < packs.size(); ++i) {
      if (extents[i].end <= kPackHeaderBytes) return absl::DataLossError("empty tail pack");
      TailBlocks::PackBytes& pack = packs[i];
      pack.bytes.resize(extents[i].end - kPackHeaderBytes);
      CEDANA_RETURN_IF_ERROR(
          AuthenticRead(source, manifest.tail_packs[i].id)
              .Run(context, kPackHeaderBytes, pack.bytes, [&](const std::string& provider) {
                pack.provider = provider;
                progress.read_bytes += pack.bytes.size();
                return OpenSegments(manifest, i, pack, opener, joined);
              }));
    }
    CEDANA_ASSIGN_OR_RETURN(format::PageMap map,
                            format::DecodePageMap(joined, manifest.tail_packs));
    tail.map = std::make_unique<format::PageMap>(std::move(map));
  }
  // The sealed page map is not needed any more.
  for (size_t i = 0; i < packs.size(); ++i) {
    packs[i].bytes.resize(std::max<uint64_t>(extents[i].map_begin, kPackHeaderBytes) -
                          kPackHeaderBytes);
    packs[i].bytes.shrink_to_fit();
  }
  CEDANA_RETURN_IF_ERROR(CheckTailBlocks(*tail.map, packs));
  tail.blocks = std::make_unique<TailBlocks>(context, *tail.map, keys, source, std::move(packs));
  return tail;
}

size_t PageMapMemory(const format::PageMap& map) {
  size_t total = map.packs.size() * sizeof(format::PackRef) +
                 map.blocks.size() * (sizeof(format::MapBlock) + sizeof(uint64_t));
  for (const format::MappedFile& file : map.files) {
    total += sizeof(file) + file.name.size() + file.extents.size() * sizeof(format::Extent);
  }
  return total;
}

}  // namespace cedana::transfer
