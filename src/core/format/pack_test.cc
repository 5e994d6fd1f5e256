#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "core/codec/crc32c.h"
#include "core/format/pack_reader.h"
#include "core/format/pack_writer.h"
#include "core/format/page_id.h"
#include "core/format/test_keys.h"

namespace cedana::format {
namespace {

using codec::Codec;

const base::PackId kPack = FilledId<base::PackId>(0xbb);

// A pack under construction in a buffer of its own.
struct PackInTest {
  explicit PackInTest(size_t capacity)
      : buffer(capacity),
        writer(buffer, CountingKeys().organisation, CountingKeys().sealing[0], kPack) {}

  BlockPlace AddPages(const std::vector<uint8_t>& plain, Codec codec) {
    std::vector<base::PageId> ids((plain.size() + 4095) / 4096);
    PageIdHasher(CountingKey()).IdsOf(plain, ids);
    return writer.Add(BlockKind::kPages, plain, codec, compressors.For(codec), ids);
  }

  std::vector<uint8_t> buffer;
  codec::AnyCompressor compressors;
  PackWriter writer;
};

std::vector<uint8_t> Noise(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<uint8_t> bytes(size);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

std::vector<uint8_t> SmallPack() {
  PackInTest pack(1 << 20);
  pack.AddPages(std::vector<uint8_t>(5000, 'a'), Codec::kLz4);
  pack.AddPages(Noise(300, 1), Codec::kZstd);
  pack.writer.Add(BlockKind::kData, std::vector<uint8_t>(90, 'd'), Codec::kNone, nullptr, {});
  const FinishedPack finished = pack.writer.Finish();
  EXPECT_EQ(finished.crc32c, codec::Crc32c(finished.bytes));
  return {finished.bytes.begin(), finished.bytes.end()};
}

TEST(Pack, TrailerTellsWhatIsInside) {
  const std::vector<uint8_t> bytes = SmallPack();
  const auto trailer = CheckPack(CountingKeys(), kPack, bytes);
  ASSERT_TRUE(trailer.ok()) << trailer.status();
  ASSERT_EQ(trailer->blocks.size(), 3u);
  EXPECT_EQ(trailer->blocks[0].pages, 2u);
  EXPECT_EQ(trailer->blocks[0].place.codec, Codec::kLz4);
  EXPECT_EQ(trailer->blocks[1].pages, 1u);
  EXPECT_EQ(trailer->blocks[1].first_page, 2u);
  // Noise does not shrink, so it is stored.
  EXPECT_EQ(trailer->blocks[1].place.codec, Codec::kNone);
  EXPECT_EQ(trailer->blocks[1].place.sealed_bytes, 316u);
  EXPECT_EQ(trailer->blocks[2].kind, BlockKind::kData);
  ASSERT_EQ(trailer->page_ids.size(), 3u);
  EXPECT_EQ(trailer->page_ids[1], PageIdHasher(CountingKey()).IdOf(std::vector<uint8_t>(904, 'a')));
}

TEST(Pack, EveryFlippedBitIsFound) {
  const std::vector<uint8_t> good = SmallPack();
  for (size_t i = 0; i < good.size(); ++i) {
    std::vector<uint8_t> bad = good;
    bad[i] ^= static_cast<uint8_t>(1 << (i % 8));
    const absl::Status status = CheckPack(CountingKeys(), kPack, bad).status();
    EXPECT_FALSE(status.ok()) << "byte " << i;
    EXPECT_NE(status.message().find(kPack.ToHex()), absl::string_view::npos);
  }
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(CheckPack(CountingKeys(), kPack, std::span(good).first(size)).ok()) << size;
  }
}

TEST(Pack, OpensOnlyUnderItsOwnId) {
  std::vector<uint8_t> bytes = SmallPack();
  const auto other = FilledId<base::PackId>(0xbc);
  EXPECT_FALSE(CheckPack(CountingKeys(), other, bytes).ok());
  std::copy_n(other.data(), 16, bytes.begin() + 16);
  EXPECT_FALSE(CheckPack(CountingKeys(), other, bytes).ok());
  OrganisationKeys keys = CountingKeys();
  keys.organisation = FilledId<base::OrgId>(0xab);
  EXPECT_FALSE(CheckPack(keys, kPack, SmallPack()).ok());
}

TEST(PackWriter, NeverGrowsOverItsBuffer) {
  constexpr size_t kCapacity = 3 << 20;
  PackInTest pack(kCapacity);
  const std::vector<uint8_t> noise = Noise(256 << 10, 2);
  int blocks = 0;
  for (; pack.writer.HasRoomFor(noise.size(), 64); ++blocks) pack.AddPages(noise, Codec::kLz4);
  EXPECT_EQ(blocks, 11);  // the twelfth would leave no room for the trailer
  // A small block still fits.
  ASSERT_TRUE(pack.writer.HasRoomFor(4096, 1));
  pack.AddPages(Noise(4096, 3), Codec::kLz4);
  const FinishedPack finished = pack.writer.Finish();
  EXPECT_LE(finished.bytes.size(), kCapacity);
  EXPECT_TRUE(CheckPack(CountingKeys(), kPack, finished.bytes).ok());
}

TEST(PackWriter, ClosesAtThePageLimitHoweverWellTheyShrink) {
  PackInTest pack(base::kPackBytesMax);
  const std::vector<uint8_t> block(256 << 10, 'a');
  size_t pages = 0;
  for (; pack.writer.HasRoomFor(block.size(), 64); pages += 64) pack.AddPages(block, Codec::kZstd);
  EXPECT_EQ(pages, kPackPagesMax);
  const FinishedPack finished = pack.writer.Finish();
  EXPECT_LT(finished.bytes.size(), 2u << 20);
  EXPECT_TRUE(CheckPack(CountingKeys(), kPack, finished.bytes).ok());
}

TEST(PackReader, SurvivesHostileTrailers) {
  // A trailer is authenticated first, so damage inside it is tried with a seal of its own.
  const OrganisationKeys keys = CountingKeys();
  std::mt19937 random(4);
  PackSealer sealer(keys.organisation, keys.sealing[0], kPack);
  for (int round = 0; round < 20000; ++round) {
    std::vector<uint8_t> plain(random() % 200);
    for (uint8_t& byte : plain) byte = static_cast<uint8_t>(random() % 4 == 0 ? random() : 0);
    if (plain.size() >= 4) plain[0] = static_cast<uint8_t>(random() % 4), plain[1] = 0;
    std::vector<uint8_t> sealed(plain.size() + kTagBytes);
    sealer.Seal(kTrailerNumber, Codec::kNone, static_cast<uint32_t>(plain.size()), plain,
                sealed.data());
    OpenTrailer(keys, 1, kPack, {32, static_cast<uint32_t>(sealed.size())}, sealed)
        .status()
        .IgnoreError();
  }
}

}  // namespace
}  // namespace cedana::format
