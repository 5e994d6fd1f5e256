#include "core/format/page_map.h"

#include <gtest/gtest.h>

#include <random>

#include "absl/strings/str_cat.h"
#include "core/format/bytes.h"
#include "core/format/test_keys.h"

namespace cedana::format {
namespace {

using codec::Codec;

// A map as a save would make it, from a seed: blocks in several packs, files with holes.
PageMap RandomMap(uint32_t seed) {
  std::mt19937 random(seed);
  PageMap map;
  map.block_starts.push_back(0);
  const uint32_t packs = 1 + random() % 4;
  std::vector<BlockPlace> next(packs);
  for (uint32_t i = 0; i < packs; ++i) {
    map.packs.push_back({FilledId<base::PackId>(static_cast<uint8_t>(i + 1)), 1 + i,
                         static_cast<uint32_t>(base::kPackBytesMax),
                         static_cast<uint32_t>(random())});
    next[i].offset = kPackHeaderBytes;
  }
  map.body_packs = random() % (packs + 1);
  for (uint32_t i = random() % 50; i > 0; --i) {
    MapBlock block;
    block.pack = random() % packs;
    BlockPlace& place = next[block.pack];
    if (random() % 4 == 0) place.number += random() % 3, place.offset += random() % 1000;
    place.plain_bytes = 1 + random() % base::kBlockBytesMax;
    place.sealed_bytes = 17 + random() % place.plain_bytes;
    place.codec = static_cast<Codec>(random() % 4);
    block.place = place;
    map.AddBlock(block);
    place.number += 1;
    place.offset += place.sealed_bytes;
  }
  const uint64_t row = map.block_starts.back();
  for (int i = 0; i < static_cast<int>(random() % 20); ++i) {
    MappedFile file;
    file.name = absl::StrCat("file-", 100 + i, ".img");
    for (int j = 0; j < static_cast<int>(random() % 6); ++j) {
      Extent extent{file.bytes, Extent::kZeroes};
      uint64_t length = 1 + random() % 100000;
      if (row > 0 && random() % 3 != 0) {
        extent.position = random() % row;
        length = 1 + random() % (row - extent.position);
      }
      file.extents.push_back(extent);
      file.bytes += length;
    }
    map.files.push_back(file);
  }
  return map;
}

std::vector<PackRef> TailOf(const PageMap& map) {
  return {map.packs.begin() + static_cast<long>(map.body_packs), map.packs.end()};
}

TEST(PageMap, RoundTrips) {
  for (uint32_t seed = 0; seed < 300; ++seed) {
    const PageMap map = RandomMap(seed);
    const auto bytes = EncodePageMap(map);
    ASSERT_TRUE(bytes.ok());
    const auto back = DecodePageMap(AsBytes(*bytes), TailOf(map));
    ASSERT_TRUE(back.ok()) << back.status() << " seed " << seed;
    EXPECT_EQ(back->packs, map.packs);
    EXPECT_EQ(back->body_packs, map.body_packs);
    EXPECT_EQ(back->blocks, map.blocks);
    EXPECT_EQ(back->block_starts, map.block_starts);
    EXPECT_EQ(back->files, map.files);
  }
}

TEST(PageMap, FindsTheBlockOfAPosition) {
  const PageMap map = RandomMap(8);
  ASSERT_GT(map.blocks.size(), 3u);
  for (size_t i = 0; i < map.blocks.size(); ++i) {
    EXPECT_EQ(map.BlockAt(map.block_starts[i]), i);
    EXPECT_EQ(map.BlockAt(map.block_starts[i + 1] - 1), i);
  }
}

TEST(PageMap, StaysSmallForALargeProcess) {
  // 4 GiB in full blocks, two pipelines in turn, lz4-like sizes.
  std::mt19937 random(1);
  PageMap map;
  map.block_starts.push_back(0);
  MappedFile file;
  file.name = "pages-1.img";
  file.extents.push_back({0, 0});
  std::vector<BlockPlace> next;
  for (uint32_t i = 0; i < 16384; ++i) {
    const uint32_t pack = i / 512 * 2 + i % 2;
    while (map.packs.size() <= pack) {
      map.packs.push_back({base::PackId(), 1, static_cast<uint32_t>(base::kPackBytesMax), 0});
      next.push_back({0, kPackHeaderBytes, 0, 0, Codec::kLz4});
    }
    next[pack].plain_bytes = base::kBlockBytesMax;
    next[pack].sealed_bytes = 100000 + random() % 20000;
    map.AddBlock({pack, next[pack]});
    next[pack].number += 1;
    next[pack].offset += next[pack].sealed_bytes;
  }
  file.bytes = uint64_t{4} << 30;
  map.files.push_back(file);
  map.body_packs = map.packs.size();
  EXPECT_LT(EncodePageMap(map)->size(), 150u << 10);
}

TEST(PageMap, SurvivesHostileBytes) {
  std::mt19937 random(2);
  for (uint32_t seed = 0; seed < 20; ++seed) {
    const PageMap map = RandomMap(seed);
    const std::string good = *EncodePageMap(map);
    const std::vector<PackRef> tail = TailOf(map);
    for (int round = 0; round < 5000; ++round) {
      std::string bad = good;
      if (random() % 4 == 0) bad.resize(random() % (bad.size() + 1));
      for (uint32_t flips = random() % 6; flips > 0 && !bad.empty(); --flips) {
        // Behind magic and version, where it hurts.
        const size_t at = bad.size() > 8 ? 8 + random() % (bad.size() - 8) : 0;
        bad[at] = static_cast<char>(random() % 3 == 0 ? 0xff : random());
      }
      const auto map_back = DecodePageMap(AsBytes(bad), tail);
      if (!map_back.ok()) continue;
      // What is accepted can be used: every extent lies inside the row.
      for (const MappedFile& file : map_back->files) {
        for (size_t i = 0; i < file.extents.size(); ++i) {
          if (file.extents[i].position == Extent::kZeroes) continue;
          ASSERT_LE(file.extents[i].position + file.ExtentBytes(i), map_back->block_starts.back());
        }
      }
    }
  }
}

TEST(PageMap, CountsDoNotReserveMoreThanTheBytesCanHold) {
  ByteWriter bytes;
  bytes.Bytes(AsBytes("CPMP"));
  bytes.U32(1);
  bytes.Varint(uint64_t{1} << 60);
  EXPECT_EQ(DecodePageMap(AsBytes(bytes.Take()), {}).status().code(), absl::StatusCode::kDataLoss);
}

TEST(PageMap, RefusesBadNamesAndANewerVersion) {
  PageMap map;
  map.block_starts.push_back(0);
  for (const std::string& name : {std::string(""), std::string("a/b"), std::string(".."),
                                  std::string(256, 'x'), std::string("a\0b", 3)}) {
    map.files = {{name, 0, {}}};
    EXPECT_EQ(DecodePageMap(AsBytes(*EncodePageMap(map)), {}).status().code(),
              absl::StatusCode::kDataLoss);
  }
  map.files = {{"b", 0, {}}, {"a", 0, {}}};
  EXPECT_FALSE(DecodePageMap(AsBytes(*EncodePageMap(map)), {}).ok());
  map.files = {{"a", 0, {}}, {"b", 0, {}}};
  std::string bytes = *EncodePageMap(map);
  EXPECT_TRUE(DecodePageMap(AsBytes(bytes), {}).ok());
  bytes[4] = 2;
  EXPECT_EQ(DecodePageMap(AsBytes(bytes), {}).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(Varint, HasOneFormOnly) {
  for (uint64_t value : {uint64_t{0}, uint64_t{127}, uint64_t{128}, uint64_t{16383},
                         uint64_t{16384}, UINT64_MAX >> 1, UINT64_MAX}) {
    ByteWriter writer;
    writer.Varint(value);
    const std::string bytes = writer.Take();
    ByteReader reader(AsBytes(bytes));
    EXPECT_EQ(reader.Varint(), value);
    EXPECT_TRUE(reader.ok());
    EXPECT_EQ(reader.left(), 0u);
  }
  for (const std::string& bad : {std::string("\x80\x00", 2), std::string("\x80", 1),
                                 std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10),
                                 std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x80\x01", 11)}) {
    ByteReader reader(AsBytes(bad));
    reader.Varint();
    EXPECT_FALSE(reader.ok());
  }
}

}  // namespace
}  // namespace cedana::format
