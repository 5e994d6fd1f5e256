// One zstd frame at level 1 with a checksum at its end.
#include <zstd.h>

#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/codec/streams_internal.h"

namespace cedana::codec {
namespace {

constexpr size_t kOutBytes = 256u << 10;
constexpr int kLevel = 1;

class ZstdStream : public StreamCompressor {
 public:
  ZstdStream() : context_(ZSTD_createCCtx()) {
    if (context_ == nullptr) return;
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, kLevel);
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_checksumFlag, 1);
  }

  absl::Status Add(std::span<const uint8_t> plain, const Sink& sink) override {
    return Run(plain, ZSTD_e_continue, sink);
  }
  absl::Status End(const Sink& sink) override { return Run({}, ZSTD_e_end, sink); }

 private:
  struct Free {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };

  absl::Status Run(std::span<const uint8_t> plain, ZSTD_EndDirective how, const Sink& sink) {
    if (context_ == nullptr) return absl::ResourceExhaustedError("no memory for zstd");
    ZSTD_inBuffer in{plain.data(), plain.size(), 0};
    size_t held = 0;
    do {
      ZSTD_outBuffer out{out_.data(), out_.size(), 0};
      held = ZSTD_compressStream2(context_.get(), &out, &in, how);
      if (ZSTD_isError(held)) {
        return absl::InternalError(absl::StrCat("zstd: ", ZSTD_getErrorName(held)));
      }
      if (out.pos > 0) CEDANA_RETURN_IF_ERROR(sink(std::span(out_.data(), out.pos)));
    } while (how == ZSTD_e_end ? held != 0 : in.pos < in.size);
    return absl::OkStatus();
  }

  std::unique_ptr<ZSTD_CCtx, Free> context_;
  std::vector<uint8_t> out_ = std::vector<uint8_t>(kOutBytes);
};

}  // namespace

std::unique_ptr<StreamCompressor> MakeZstdStream() { return std::make_unique<ZstdStream>(); }

}  // namespace cedana::codec
