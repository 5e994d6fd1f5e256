#include "core/codec/registry.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "core/codec/codecs_internal.h"

namespace cedana::codec {
namespace {

class CopyExpander : public Expander {
 public:
  absl::Status Expand(std::span<const uint8_t> in, std::span<uint8_t> out) override {
    if (in.size() != out.size()) return absl::DataLossError("stored block has another length");
    if (!in.empty()) std::memcpy(out.data(), in.data(), in.size());
    return absl::OkStatus();
  }
};

struct NamedCodec {
  absl::string_view name;
  Codec codec;
};

constexpr NamedCodec kNames[] = {{"none", Codec::kNone},    {"tar", Codec::kNone},
                                 {"lz4", Codec::kLz4},      {"zstd", Codec::kZstd},
                                 {"gzip", Codec::kDeflate}, {"zlib", Codec::kDeflate}};

std::unique_ptr<Expander> MakeExpander(Codec codec) {
  switch (codec) {
    case Codec::kNone:
      return std::make_unique<CopyExpander>();
    case Codec::kLz4:
      return MakeLz4Expander();
    case Codec::kZstd:
      return MakeZstdExpander();
    case Codec::kDeflate:
      return MakeDeflateExpander();
  }
  return nullptr;
}

}  // namespace

absl::StatusOr<Codec> CodecFromName(absl::string_view name) {
  for (const NamedCodec& entry : kNames) {
    if (entry.name == name) return entry.codec;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("unknown compression '", name, "'; choose one of ", NamesText()));
}

std::string NamesText() { return "none, lz4, zstd, gzip, zlib"; }

absl::string_view CodecName(Codec codec) {
  for (const NamedCodec& entry : kNames) {
    if (entry.codec == codec) return entry.name;
  }
  return "unknown";
}

bool IsCodec(uint8_t number) { return number <= static_cast<uint8_t>(Codec::kDeflate); }

std::unique_ptr<Compressor> MakeCompressor(Codec codec) {
  switch (codec) {
    case Codec::kNone:
      return nullptr;
    case Codec::kLz4:
      return MakeLz4Compressor();
    case Codec::kZstd:
      return MakeZstdCompressor();
    case Codec::kDeflate:
      return MakeDeflateCompressor();
  }
  return nullptr;
}

Compressor* AnyCompressor::For(Codec codec) {
  std::unique_ptr<Compressor>& compressor = compressors_[static_cast<uint8_t>(codec)];
  if (compressor == nullptr) compressor = MakeCompressor(codec);
  return compressor.get();
}

absl::Status AnyExpander::Expand(Codec codec, std::span<const uint8_t> in, std::span<uint8_t> out) {
  const uint8_t number = static_cast<uint8_t>(codec);
  if (!IsCodec(number)) return absl::DataLossError(absl::StrCat("unknown codec ", number));
  std::unique_ptr<Expander>& expander = expanders_[number];
  if (expander == nullptr) expander = MakeExpander(codec);
  return expander->Expand(in, out);
}

}  // namespace cedana::codec
