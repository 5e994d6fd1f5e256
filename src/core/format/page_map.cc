#include "core/format/page_map.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/format/bytes.h"

namespace cedana::format {
namespace {

constexpr absl::string_view kMagic = "CPMP";
constexpr size_t kPackEntryBytes = 28;
constexpr size_t kBlockEntryBytesMin = 4;
constexpr size_t kFileEntryBytesMin = 4;

enum ExtentKind : uint64_t { kZeroKind = 0, kNextKind = 1, kJumpKind = 2 };

// Where the next block of a pack is expected: behind the one before it in the table.
struct NextPlace {
  uint64_t number = 0;
  uint64_t offset = kPackHeaderBytes;

  void Pass(const BlockPlace& place) {
    number = uint64_t{place.number} + 1;
    offset = uint64_t{place.offset} + place.sealed_bytes;
  }
};

absl::Status Damaged(absl::string_view what) {
  return absl::DataLossError(absl::StrCat("page map: ", what));
}

void EncodeBlocks(const PageMap& map, ByteWriter& out) {
  std::vector<NextPlace> next(map.packs.size());
  out.Varint(map.blocks.size());
  for (const MapBlock& block : map.blocks) {
    NextPlace& expected = next[block.pack];
    const BlockPlace& place = block.place;
    const bool jump = place.number != expected.number || place.offset != expected.offset;
    out.Varint(uint64_t{block.pack} * 2 + (jump ? 1 : 0));
    if (jump) {
      out.Varint(place.number);
      out.Varint(place.offset);
    }
    out.Varint(place.sealed_bytes);
    out.Varint(place.plain_bytes);
    out.U8(static_cast<uint8_t>(place.codec));
    expected.Pass(place);
  }
}

void EncodeFiles(const PageMap& map, ByteWriter& out) {
  out.Varint(map.files.size());
  uint64_t expected = 0;
  for (const MappedFile& file : map.files) {
    out.Varint(file.name.size());
    out.Bytes(AsBytes(file.name));
    out.Varint(file.bytes);
    out.Varint(file.extents.size());
    for (size_t i = 0; i < file.extents.size(); ++i) {
      const uint64_t length = file.ExtentBytes(i);
      const uint64_t position = file.extents[i].position;
      if (position == Extent::kZeroes) {
        out.Varint(length * 4 + kZeroKind);
        continue;
      }
      out.Varint(length * 4 + (position == expected ? kNextKind : kJumpKind));
      if (position != expected) out.Varint(position);
      expected = position + length;
    }
  }
}

absl::Status DecodePacks(ByteReader& in, const std::vector<PackRef>& tail_packs, PageMap& map) {
  const uint64_t body = in.Varint();
  if (!in.ok() || body > in.left() / kPackEntryBytes) return Damaged("too many packs");
  map.body_packs = body;
  map.packs.reserve(body + tail_packs.size());
  for (uint64_t i = 0; i < body; ++i) {
    PackRef pack;
    pack.id = base::PackId::FromBytes(in.Bytes(base::PackId::kBytes).data());
    pack.key_epoch = in.U32();
    pack.bytes = in.U32();
    pack.crc32c = in.U32();
    if (pack.bytes > base::kPackBytesMax) return Damaged("a pack is too large");
    map.packs.push_back(pack);
  }
  map.packs.insert(map.packs.end(), tail_packs.begin(), tail_packs.end());
  return absl::OkStatus();
}

absl::Status DecodeBlocks(ByteReader& in, PageMap& map) {
  std::vector<NextPlace> next(map.packs.size());
  const uint64_t count = in.Varint();
  if (!in.ok() || count > in.left() / kBlockEntryBytesMin) return Damaged("too many blocks");
  map.blocks.reserve(count);
  map.block_starts.reserve(count + 1);
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t head = in.Varint();
    const uint64_t pack = head / 2;
    if (pack >= map.packs.size()) return Damaged("a block names no pack");
    const bool jump = (head & 1) != 0;
    const uint64_t number = jump ? in.Varint() : next[pack].number;
    const uint64_t offset = jump ? in.Varint() : next[pack].offset;
    const uint64_t sealed_bytes = in.Varint();
    const uint64_t plain_bytes = in.Varint();
    const uint8_t codec = in.U8();
    const uint64_t pack_bytes = map.packs[pack].bytes;
    const bool good = in.ok() && number < kPackBlocksMax && plain_bytes >= 1 &&
                      plain_bytes <= base::kBlockBytesMax && sealed_bytes > kTagBytes &&
                      sealed_bytes <= plain_bytes + kTagBytes && codec::IsCodec(codec) &&
                      offset >= kPackHeaderBytes && offset <= pack_bytes &&
                      sealed_bytes <= pack_bytes - offset;
    if (!good) return Damaged(absl::StrCat("bad entry for block ", i));
    MapBlock block;
    block.pack = static_cast<uint32_t>(pack);
    block.place = {static_cast<uint32_t>(number), static_cast<uint32_t>(offset),
                   static_cast<uint32_t>(sealed_bytes), static_cast<uint32_t>(plain_bytes),
                   static_cast<codec::Codec>(codec)};
    next[pack].Pass(block.place);
    map.AddBlock(block);
  }
  return absl::OkStatus();
}

absl::Status DecodeExtents(ByteReader& in, uint64_t row_bytes, uint64_t& expected,
                           MappedFile& file) {
  const uint64_t count = in.Varint();
  if (!in.ok() || count > in.left()) return Damaged("too many extents");
  file.extents.reserve(count);
  uint64_t offset = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t head = in.Varint();
    const uint64_t length = head / 4;
    if (!in.ok() || length == 0 || length > file.bytes - offset) return Damaged("bad extent");
    Extent extent{offset, Extent::kZeroes};
    if (head % 4 != kZeroKind) {
      if (head % 4 > kJumpKind) return Damaged("extent of an unknown kind");
      extent.position = head % 4 == kJumpKind ? in.Varint() : expected;
      if (!in.ok() || extent.position > row_bytes || length > row_bytes - extent.position) {
        return Damaged("extent outside of the blocks");
      }
      expected = extent.position + length;
    }
    offset += length;
    file.extents.push_back(extent);
  }
  if (offset != file.bytes) return Damaged("extents do not add up to the file");
  return absl::OkStatus();
}

absl::Status DecodeFiles(ByteReader& in, PageMap& map) {
  const uint64_t row_bytes = map.block_starts.back();
  const uint64_t count = in.Varint();
  if (!in.ok() || count > in.left() / kFileEntryBytesMin || count > base::kImageFilesMax) {
    return Damaged("too many files");
  }
  map.files.reserve(count);
  uint64_t expected = 0;
  for (uint64_t i = 0; i < count; ++i) {
    MappedFile file;
    const uint64_t name_bytes = in.Varint();
    if (name_bytes > base::kImageNameBytesMax) return Damaged("bad file name");
    file.name = std::string(AsText(in.Bytes(name_bytes)));
    file.bytes = in.Varint();
    if (!in.ok() || !IsImageName(file.name)) return Damaged("bad file name");
    if (!map.files.empty() && map.files.back().name >= file.name) {
      return Damaged("file names do not ascend");
    }
    CEDANA_RETURN_IF_ERROR(DecodeExtents(in, row_bytes, expected, file));
    map.files.push_back(std::move(file));
  }
  return absl::OkStatus();
}

}  // namespace

size_t PageMap::BlockAt(uint64_t position) const {
  const auto after = std::upper_bound(block_starts.begin(), block_starts.end(), position);
  return static_cast<size_t>(after - block_starts.begin()) - 1;
}

void PageMap::AddBlock(const MapBlock& block) {
  if (block_starts.empty()) block_starts.push_back(0);
  blocks.push_back(block);
  block_starts.push_back(block_starts.back() + block.place.plain_bytes);
}

bool IsImageName(absl::string_view name) {
  return !name.empty() && name.size() <= base::kImageNameBytesMax && name != "." && name != ".." &&
         name.find('/') == absl::string_view::npos && name.find('\0') == absl::string_view::npos;
}

absl::StatusOr<std::string> EncodePageMap(const PageMap& map) {
  ByteWriter out;
  out.Bytes(AsBytes(kMagic));
  out.U32(kFormatVersion);
  out.Varint(map.body_packs);
  for (size_t i = 0; i < map.body_packs; ++i) {
    const PackRef& pack = map.packs[i];
    out.Bytes({pack.id.data(), base::PackId::kBytes});
    out.U32(pack.key_epoch);
    out.U32(pack.bytes);
    out.U32(pack.crc32c);
  }
  EncodeBlocks(map, out);
  EncodeFiles(map, out);
  if (out.size() > kPageMapBytesMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("page map of ", out.size(), " bytes, at most ", kPageMapBytesMax));
  }
  return out.Take();
}

absl::StatusOr<PageMap> DecodePageMap(std::span<const uint8_t> bytes,
                                      const std::vector<PackRef>& tail_packs) {
  if (bytes.size() > kPageMapBytesMax) return Damaged("too large");
  ByteReader in(bytes);
  if (AsText(in.Bytes(kMagic.size())) != kMagic) return Damaged("has another magic");
  const uint32_t version = in.U32();
  if (version != kFormatVersion) {
    return absl::FailedPreconditionError(absl::StrCat("page map has format version ", version,
                                                      ", this program reads ", kFormatVersion));
  }
  PageMap map;
  map.block_starts.push_back(0);
  CEDANA_RETURN_IF_ERROR(DecodePacks(in, tail_packs, map));
  CEDANA_RETURN_IF_ERROR(DecodeBlocks(in, map));
  CEDANA_RETURN_IF_ERROR(DecodeFiles(in, map));
  if (in.left() != 0) return Damaged("bytes after the end");
  return map;
}

}  // namespace cedana::format
