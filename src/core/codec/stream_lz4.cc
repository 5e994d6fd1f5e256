// lz4's frame format: independent blocks of 256 KiB, checksum of the content at the end, the same
// acceleration as in lz4.cc.
#include <lz4frame.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/codec/streams_internal.h"

namespace cedana::codec {
namespace {

constexpr size_t kStepBytes = 256u << 10;
constexpr int kLevel = -7;  // the library makes acceleration 8 of it

LZ4F_preferences_t Preferences() {
  LZ4F_preferences_t preferences = LZ4F_INIT_PREFERENCES;
  preferences.frameInfo.blockSizeID = LZ4F_max256KB;
  preferences.frameInfo.blockMode = LZ4F_blockIndependent;
  preferences.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled;
  preferences.compressionLevel = kLevel;
  return preferences;
}

class Lz4Stream : public StreamCompressor {
 public:
  Lz4Stream() : out_(LZ4F_compressBound(kStepBytes, &preferences_) + LZ4F_HEADER_SIZE_MAX) {
    LZ4F_cctx* context = nullptr;
    LZ4F_createCompressionContext(&context, LZ4F_VERSION);
    context_.reset(context);
  }

  absl::Status Add(std::span<const uint8_t> plain, const Sink& sink) override {
    CEDANA_RETURN_IF_ERROR(Begin(sink));
    while (!plain.empty()) {
      const auto step = plain.first(std::min(plain.size(), kStepBytes));
      CEDANA_RETURN_IF_ERROR(Give(LZ4F_compressUpdate(context_.get(), out_.data(), out_.size(),
                                                      step.data(), step.size(), nullptr),
                                  sink));
      plain = plain.subspan(step.size());
    }
    return absl::OkStatus();
  }

  absl::Status End(const Sink& sink) override {
    CEDANA_RETURN_IF_ERROR(Begin(sink));
    return Give(LZ4F_compressEnd(context_.get(), out_.data(), out_.size(), nullptr), sink);
  }

 private:
  struct Free {
    void operator()(LZ4F_cctx* context) const { LZ4F_freeCompressionContext(context); }
  };

  absl::Status Begin(const Sink& sink) {
    if (begun_) return absl::OkStatus();
    begun_ = true;
    if (context_ == nullptr) return absl::ResourceExhaustedError("no memory for lz4");
    return Give(LZ4F_compressBegin(context_.get(), out_.data(), out_.size(), &preferences_), sink);
  }
  absl::Status Give(size_t made, const Sink& sink) {
    if (LZ4F_isError(made)) {
      return absl::InternalError(absl::StrCat("lz4: ", LZ4F_getErrorName(made)));
    }
    return made == 0 ? absl::OkStatus() : sink(std::span(out_.data(), made));
  }

  const LZ4F_preferences_t preferences_ = Preferences();
  std::unique_ptr<LZ4F_cctx, Free> context_;
  std::vector<uint8_t> out_;
  bool begun_ = false;
};

}  // namespace

std::unique_ptr<StreamCompressor> MakeLz4Stream() { return std::make_unique<Lz4Stream>(); }

}  // namespace cedana::codec
