// Objects of each released format version, which must be readable for ever. `WriteGoldenFiles` made
// them once, and prints the worked examples of docs/format; it is disabled so that nobody makes
// them anew by accident.
#include <gtest/gtest.h>

#include <iostream>

#include "core/base/fd.h"
#include "core/format/block_opener.h"
#include "core/format/bytes.h"
#include "core/format/commit_record.h"
#include "core/format/manifest.h"
#include "core/format/pack_reader.h"
#include "core/format/pack_writer.h"
#include "core/format/page_id.h"
#include "core/format/sealed_object.h"
#include "core/format/test_keys.h"

namespace cedana::format {
namespace {

using codec::Codec;

const base::PackId kPack = FilledId<base::PackId>(0xbb);
const base::CheckpointId kCheckpoint = FilledId<base::CheckpointId>(0xcc);

std::string GoldenPath(const std::string& name) { return CEDANA_GOLDEN_DIR "/" + name; }

std::string ReadGolden(const std::string& name) {
  const auto bytes = base::ReadFile(GoldenPath(name));
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  return bytes.value_or("");
}

// Two pages that every codec shrinks, different for each block.
std::vector<uint8_t> PlainOf(size_t block) {
  std::vector<uint8_t> plain(6000);
  for (size_t i = 0; i < plain.size(); ++i) plain[i] = static_cast<uint8_t>(i / 40 + block);
  return plain;
}

std::string OnePagePack() {
  std::vector<uint8_t> buffer(1 << 20);
  PackWriter writer(buffer, CountingKeys().organisation, CountingKeys().sealing[0], kPack);
  codec::AnyCompressor compressors;
  const std::vector<uint8_t> page(4096, 'a');
  const base::PageId id = PageIdHasher(CountingKey()).IdOf(page);
  writer.Add(BlockKind::kPages, page, Codec::kLz4, compressors.For(Codec::kLz4), {&id, 1});
  return std::string(AsText(writer.Finish().bytes));
}

std::string AllCodecsPack() {
  std::vector<uint8_t> buffer(1 << 20);
  PackWriter writer(buffer, CountingKeys().organisation, CountingKeys().sealing[0], kPack);
  codec::AnyCompressor compressors;
  for (uint8_t number = 0; number < 4; ++number) {
    const std::vector<uint8_t> plain = PlainOf(number);
    base::PageId ids[2];
    PageIdHasher(CountingKey()).IdsOf(plain, ids);
    const Codec codec = static_cast<Codec>(number);
    writer.Add(BlockKind::kPages, plain, codec, compressors.For(codec), ids);
  }
  return std::string(AsText(writer.Finish().bytes));
}

PageMap SmallMap() {
  PageMap map;
  map.block_starts.push_back(0);
  map.packs = {{kPack, 1, 20000, 0x01020304}, {FilledId<base::PackId>(0xbc), 1, 1000, 0}};
  map.body_packs = 1;
  map.AddBlock({0, {0, 32, 8208, 8192, Codec::kNone}});
  map.files = {{"pages-1.img", 12388, {{0, 0}, {8192, Extent::kZeroes}, {12288, 0}}}};
  return map;
}

Manifest SmallManifest() {
  Manifest manifest;
  manifest.checkpoint = kCheckpoint;
  manifest.path = "my-checkpoints/dump-1";
  manifest.tail_packs = {{kPack, 1, 1000, 16909060}};
  manifest.page_map = {{0, {2, 100, 216, 400, Codec::kZstd}}};
  manifest.image_bytes = 12388;
  manifest.stored_bytes = 21000;
  manifest.new_bytes = 21000;
  manifest.codec = "none";
  manifest.facts = {{"host", "here"}};
  manifest.created_by = "cedana 0.1.0";
  return manifest;
}

CommitRecord SmallRecord() {
  CommitRecord record;
  record.checkpoint = kCheckpoint;
  record.sequence = 17;
  record.path = "my-checkpoints/dump-1";
  record.manifest_sha256 = ManifestSha256(*SealManifest(SmallManifest(), CountingKeys()));
  record.created = absl::FromUnixMicros(1745322101000001);
  return record;
}

TEST(Golden, PackOfOnePage) {
  const std::string bytes = ReadGolden("pack-v1.bin");
  const auto trailer = CheckPack(CountingKeys(), kPack, AsBytes(bytes));
  ASSERT_TRUE(trailer.ok()) << trailer.status();
  ASSERT_EQ(trailer->page_ids.size(), 1u);
  EXPECT_EQ(trailer->page_ids[0],
            PageIdHasher(CountingKey()).IdOf(std::vector<uint8_t>(4096, 'a')));
}

TEST(Golden, PackOfEveryCodec) {
  const std::string bytes = ReadGolden("pack-codecs-v1.bin");
  const auto trailer = CheckPack(CountingKeys(), kPack, AsBytes(bytes));
  ASSERT_TRUE(trailer.ok()) << trailer.status();
  ASSERT_EQ(trailer->blocks.size(), 4u);
  PackSealer sealer(CountingKeys().organisation, CountingKeys().sealing[0], kPack);
  BlockOpener opener;
  for (size_t i = 0; i < 4; ++i) {
    const BlockPlace& place = trailer->blocks[i].place;
    EXPECT_EQ(static_cast<size_t>(place.codec), i);
    std::vector<uint8_t> plain(place.plain_bytes);
    ASSERT_TRUE(
        opener.Open(sealer, place, AsBytes(bytes).subspan(place.offset, place.sealed_bytes), plain)
            .ok());
    EXPECT_EQ(plain, PlainOf(i));
  }
}

TEST(Golden, PageMap) {
  const std::string bytes = ReadGolden("page-map-v1.bin");
  const PageMap expected = SmallMap();
  const auto map = DecodePageMap(AsBytes(bytes), {expected.packs[1]});
  ASSERT_TRUE(map.ok()) << map.status();
  EXPECT_EQ(map->packs, expected.packs);
  EXPECT_EQ(map->blocks, expected.blocks);
  EXPECT_EQ(map->files, expected.files);
  EXPECT_EQ(*EncodePageMap(expected), bytes);  // a writer has no choice
}

TEST(Golden, Manifest) {
  const std::string bytes = ReadGolden("manifest-v1.bin");
  const auto manifest = OpenManifest(bytes, kCheckpoint, CountingKeys());
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->path, "my-checkpoints/dump-1");
  EXPECT_EQ(manifest->tail_packs, SmallManifest().tail_packs);
  EXPECT_EQ(manifest->page_map, SmallManifest().page_map);
}

TEST(Golden, CommitRecord) {
  const auto record =
      OpenCommitRecord(ReadGolden("commit-record-v1.bin"), kCheckpoint, CountingKeys());
  ASSERT_TRUE(record.ok()) << record.status();
  EXPECT_EQ(record->sequence, 17u);
  EXPECT_EQ(record->manifest_sha256, ManifestSha256(ReadGolden("manifest-v1.bin")));
}

void Print(const std::string& title, absl::string_view bytes) {
  if (bytes.size() > 1000) return;
  std::cout << title << "\n";
  for (size_t i = 0; i < bytes.size(); i += 32) {
    const std::span<const uint8_t> line = AsBytes(bytes.substr(i, 32));
    std::cout << base::HexEncode(line.data(), line.size()) << "\n";
  }
}

TEST(Golden, DISABLED_WriteGoldenFiles) {
  const auto write = [](const std::string& name, const std::string& bytes) {
    ASSERT_TRUE(base::WriteFileAtomic(GoldenPath(name), bytes, 0644).ok());
    Print(name, bytes);
  };
  write("pack-v1.bin", OnePagePack());
  write("pack-codecs-v1.bin", AllCodecsPack());
  write("page-map-v1.bin", *EncodePageMap(SmallMap()));
  write("manifest-v1.bin", *SealManifest(SmallManifest(), CountingKeys()));
  write("commit-record-v1.bin", SealCommitRecord(SmallRecord(), CountingKeys()));
  std::array<uint8_t, 16> id;
  std::copy_n(kCheckpoint.data(), 16, id.begin());
  std::cout << *OpenObject(kManifestKind, CountingKeys(), id, ReadGolden("manifest-v1.bin")) << "\n"
            << *OpenObject(kCommitRecordKind, CountingKeys(), id,
                           ReadGolden("commit-record-v1.bin"))
            << "\n";
  const Key256 pack_key = DeriveKey(CountingKey(), {kPack.data(), 16}, "cedana pack v1");
  std::cout << "pack key " << base::HexEncode(pack_key.data(), 32) << "\n";
}

}  // namespace
}  // namespace cedana::format
