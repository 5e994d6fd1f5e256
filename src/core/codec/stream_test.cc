// Streams against the decoders of the libraries that the common tools are made of.
#include "core/codec/stream.h"

#include <gtest/gtest.h>

#include <string>

#include "core/base/random.h"
#include "core/codec/testing/expand_stream.h"

namespace cedana::codec {
namespace {

constexpr Container kAll[] = {Container::kGzip, Container::kZlib, Container::kLz4,
                              Container::kZstd};

std::span<const uint8_t> Bytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string Compress(Container container, const std::string& plain, size_t piece) {
  const auto stream = MakeStreamCompressor(container);
  std::string out;
  const StreamCompressor::Sink sink = [&](std::span<const uint8_t> bytes) {
    out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return absl::OkStatus();
  };
  for (size_t at = 0; at < plain.size(); at += piece) {
    const absl::Status added =
        stream->Add(Bytes(plain).subspan(at, std::min(piece, plain.size() - at)), sink);
    EXPECT_TRUE(added.ok()) << added;
  }
  EXPECT_TRUE(stream->End(sink).ok());
  return out;
}

std::string HalfCompressible(size_t bytes) {
  std::string text(bytes, 'a');
  for (size_t at = 0; at < bytes; at += 8192) {
    base::SystemRandom().Fill(reinterpret_cast<uint8_t*>(text.data()) + at,
                              std::min<size_t>(4096, bytes - at));
  }
  return text;
}

TEST(Stream, ComesBackWhateverThePieces) {
  for (const Container container : kAll) {
    for (const size_t size : {size_t{0}, size_t{1}, size_t{100}, size_t{300000}, size_t{3} << 20}) {
      const std::string plain = HalfCompressible(size);
      for (const size_t piece : {size_t{511}, size_t{256} << 10, size_t{8} << 20}) {
        const std::string in = Compress(container, plain, piece);
        EXPECT_TRUE(ExpandStream(container, in, size) == plain)
            << static_cast<int>(container) << " " << size << " by " << piece;
        if (size > 1000) {
          EXPECT_LT(in.size(), size * 6 / 10) << static_cast<int>(container);
        }
      }
    }
  }
}

TEST(Stream, StartsAsItsFormatDoes) {
  EXPECT_EQ(Compress(Container::kGzip, "x", 1).substr(0, 3), "\x1f\x8b\x08");
  const std::string zlib = Compress(Container::kZlib, "x", 1);
  EXPECT_EQ(zlib[0] & 0x0f, 8);
  EXPECT_EQ((static_cast<uint8_t>(zlib[0]) * 256 + static_cast<uint8_t>(zlib[1])) % 31, 0);
  EXPECT_EQ(Compress(Container::kLz4, "x", 1).substr(0, 4), "\x04\x22\x4d\x18");
  EXPECT_EQ(Compress(Container::kZstd, "x", 1).substr(0, 4), "\x28\xb5\x2f\xfd");
}

TEST(Stream, EndsWithTheSinksError) {
  const std::string plain = HalfCompressible(4u << 20);
  for (const Container container : kAll) {
    const auto stream = MakeStreamCompressor(container);
    const auto gone = [](std::span<const uint8_t>) { return absl::UnavailableError("gone"); };
    EXPECT_EQ(stream->Add(Bytes(plain), gone).code(), absl::StatusCode::kUnavailable);
  }
}

}  // namespace
}  // namespace cedana::codec
