// The codecs by name and by the number that stands in the block tables (docs/format/pack.md).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cedana::codec {

// Written to disk: a number never changes its meaning.
enum class Codec : uint8_t { kNone = 0, kLz4 = 1, kZstd = 2, kDeflate = 3 };

// Keeps its tables between blocks: one for each thread, used by one thread at a time.
class Compressor {
 public:
  virtual ~Compressor() = default;
  // Compresses `in` into `out` and returns the compressed size, or 0 when it does not fit there.
  // Give an `out` smaller than `in` to learn that a block does not shrink.
  virtual size_t Compress(std::span<const uint8_t> in, std::span<uint8_t> out) = 0;
};

// As above: one for each thread.
class Expander {
 public:
  virtual ~Expander() = default;
  // Fills exactly `out`. kDataLoss when `in` is not one whole block of that length; `in` may be
  // hostile, nothing outside of `out` is ever written.
  virtual absl::Status Expand(std::span<const uint8_t> in, std::span<uint8_t> out) = 0;
};

// "none", "tar" (a spelling of none), "lz4", "zstd", "gzip" and "zlib" (both raw deflate inside).
// kInvalidArgument names the choices.
absl::StatusOr<Codec> CodecFromName(absl::string_view name);
// "none, lz4, zstd, gzip, zlib", for help and errors.
std::string NamesText();
absl::string_view CodecName(Codec codec);
bool IsCodec(uint8_t number);

// Requires: a codec of the enum. Null for kNone: such a block is stored as it is.
std::unique_ptr<Compressor> MakeCompressor(Codec codec);

// The compressor of any codec, made at its first use.
class AnyCompressor {
 public:
  // Null for kNone.
  Compressor* For(Codec codec);

 private:
  std::unique_ptr<Compressor> compressors_[4];
};

// Expands blocks of any codec, kNone (a copy) included, making each expander at its first use.
class AnyExpander {
 public:
  absl::Status Expand(Codec codec, std::span<const uint8_t> in, std::span<uint8_t> out);

 private:
  std::unique_ptr<Expander> expanders_[4];
};

}  // namespace cedana::codec
