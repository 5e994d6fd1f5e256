// Zstandard frames at level 1, without checksum: the seal around a block says whether it is whole.
#include <zstd.h>

#include <memory>

#include "core/codec/codecs_internal.h"

namespace cedana::codec {
namespace {

constexpr int kLevel = 1;

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

class ZstdCompressor : public Compressor {
 public:
  size_t Compress(std::span<const uint8_t> in, std::span<uint8_t> out) override {
    const size_t size =
        ZSTD_compressCCtx(context_.get(), out.data(), out.size(), in.data(), in.size(), kLevel);
    return ZSTD_isError(size) != 0 ? 0 : size;
  }

 private:
  std::unique_ptr<ZSTD_CCtx, FreeContext> context_{ZSTD_createCCtx()};
};

class ZstdExpander : public Expander {
 public:
  absl::Status Expand(std::span<const uint8_t> in, std::span<uint8_t> out) override {
    const size_t size =
        ZSTD_decompressDCtx(context_.get(), out.data(), out.size(), in.data(), in.size());
    if (ZSTD_isError(size) != 0 || size != out.size()) {
      return absl::DataLossError("not a zstd block of the expected length");
    }
    return absl::OkStatus();
  }

 private:
  std::unique_ptr<ZSTD_DCtx, FreeContext> context_{ZSTD_createDCtx()};
};

}  // namespace

std::unique_ptr<Compressor> MakeZstdCompressor() { return std::make_unique<ZstdCompressor>(); }
std::unique_ptr<Expander> MakeZstdExpander() { return std::make_unique<ZstdExpander>(); }

}  // namespace cedana::codec
