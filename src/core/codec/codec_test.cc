#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "core/codec/registry.h"

namespace cedana::codec {
namespace {

constexpr size_t kBlockBytes = 256 << 10;
constexpr Codec kCompressing[] = {Codec::kLz4, Codec::kZstd, Codec::kDeflate};

std::vector<uint8_t> HalfRandom(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<uint8_t> bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = i % 64 < 32 ? static_cast<uint8_t>(random()) : 7;
  return bytes;
}

std::vector<uint8_t> Compressed(Codec codec, const std::vector<uint8_t>& plain) {
  std::vector<uint8_t> out(plain.size() + 1024);
  out.resize(MakeCompressor(codec)->Compress(plain, out));
  return out;
}

TEST(Registry, MapsNamesBothWays) {
  EXPECT_EQ(*CodecFromName("none"), Codec::kNone);
  EXPECT_EQ(*CodecFromName("tar"), Codec::kNone);
  EXPECT_EQ(*CodecFromName("lz4"), Codec::kLz4);
  EXPECT_EQ(*CodecFromName("zstd"), Codec::kZstd);
  EXPECT_EQ(*CodecFromName("gzip"), Codec::kDeflate);
  EXPECT_EQ(*CodecFromName("zlib"), Codec::kDeflate);
  EXPECT_EQ(CodecName(Codec::kNone), "none");
  EXPECT_EQ(CodecName(Codec::kDeflate), "gzip");
  EXPECT_FALSE(IsCodec(4));
}

TEST(Registry, AnUnknownNameListsTheChoices) {
  const absl::Status status = CodecFromName("brotli").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(std::string(status.message()).find(NamesText()), std::string::npos);
}

TEST(Codec, RoundTripsEverySize) {
  for (Codec codec : kCompressing) {
    AnyExpander expander;
    for (size_t size : {1u, 2u, 63u, 4095u, 4096u, 4097u, 100000u, 262144u}) {
      const std::vector<uint8_t> plain = HalfRandom(size, 1);
      const std::vector<uint8_t> packed = Compressed(codec, plain);
      ASSERT_FALSE(packed.empty());
      std::vector<uint8_t> back(size);
      ASSERT_TRUE(expander.Expand(codec, packed, back).ok()) << CodecName(codec) << " " << size;
      EXPECT_EQ(back, plain);
    }
  }
}

TEST(Codec, ShrinksWhatCanShrink) {
  for (Codec codec : kCompressing) {
    EXPECT_LT(Compressed(codec, HalfRandom(kBlockBytes, 2)).size(), kBlockBytes * 3 / 4);
  }
}

TEST(Codec, SaysWhenABlockDoesNotFit) {
  std::mt19937 random(3);
  std::vector<uint8_t> noise(kBlockBytes);
  for (uint8_t& byte : noise) byte = static_cast<uint8_t>(random());
  std::vector<uint8_t> out(kBlockBytes);
  for (Codec codec : kCompressing) {
    std::unique_ptr<Compressor> compressor = MakeCompressor(codec);
    EXPECT_EQ(compressor->Compress(noise, std::span(out).first(kBlockBytes - 1)), 0u);
    // The failure leaves nothing behind.
    const std::vector<uint8_t> plain = HalfRandom(kBlockBytes, 4);
    EXPECT_GT(compressor->Compress(plain, out), 0u);
  }
}

TEST(Codec, RefusesAnotherLength) {
  AnyExpander expander;
  const std::vector<uint8_t> plain = HalfRandom(8192, 5);
  for (Codec codec : kCompressing) {
    const std::vector<uint8_t> packed = Compressed(codec, plain);
    for (size_t size : {8191u, 8193u, 1u, 20000u}) {
      std::vector<uint8_t> out(size);
      EXPECT_EQ(expander.Expand(codec, packed, out).code(), absl::StatusCode::kDataLoss)
          << CodecName(codec) << " " << size;
    }
  }
  std::vector<uint8_t> shorter(8000);
  EXPECT_EQ(expander.Expand(Codec::kNone, plain, shorter).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(expander.Expand(static_cast<Codec>(9), plain, shorter).code(),
            absl::StatusCode::kDataLoss);
}

TEST(Codec, SurvivesHostileInput) {
  AnyExpander expander;
  std::mt19937 random(6);
  const std::vector<uint8_t> plain = HalfRandom(16384, 7);
  for (Codec codec : kCompressing) {
    const std::vector<uint8_t> good = Compressed(codec, plain);
    for (int round = 0; round < 2000; ++round) {
      // Exactly sized vectors, so that a sanitizer sees one byte too many.
      std::vector<uint8_t> bad(good.begin(), good.begin() + 1 + random() % good.size());
      for (int flips = 0; flips < 1 + round % 8; ++flips) {
        bad[random() % bad.size()] ^= static_cast<uint8_t>(1u << (random() % 8));
      }
      std::vector<uint8_t> out(plain.size());
      expander.Expand(codec, bad, out).IgnoreError();
    }
  }
}

}  // namespace
}  // namespace cedana::codec
