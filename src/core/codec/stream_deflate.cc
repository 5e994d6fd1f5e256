// igzip at its level 1, which writes header and trailer itself: some 1 GB/s per core.
#include <isa-l/igzip_lib.h>

#include <memory>
#include <vector>

#include "core/base/status.h"
#include "core/codec/streams_internal.h"

namespace cedana::codec {
namespace {

constexpr size_t kOutBytes = 256u << 10;
constexpr size_t kStepBytes = 1u << 30;  // the library counts in 32 bits

class DeflateStream : public StreamCompressor {
 public:
  explicit DeflateStream(uint16_t container) {
    isal_deflate_init(&stream_);
    stream_.level = 1;
    stream_.level_buf = level_buffer_.data();
    stream_.level_buf_size = static_cast<uint32_t>(level_buffer_.size());
    stream_.gzip_flag = container;
    stream_.flush = NO_FLUSH;
  }

  absl::Status Add(std::span<const uint8_t> plain, const Sink& sink) override {
    while (!plain.empty()) {
      const auto step = plain.first(std::min(plain.size(), kStepBytes));
      CEDANA_RETURN_IF_ERROR(Run(step, sink));
      plain = plain.subspan(step.size());
    }
    return absl::OkStatus();
  }

  absl::Status End(const Sink& sink) override {
    stream_.end_of_stream = 1;
    return Run({}, sink);
  }

 private:
  // Until all of `plain` is taken, and at the end until the trailer is out.
  absl::Status Run(std::span<const uint8_t> plain, const Sink& sink) {
    stream_.next_in = const_cast<uint8_t*>(plain.data());
    stream_.avail_in = static_cast<uint32_t>(plain.size());
    do {
      stream_.next_out = out_.data();
      stream_.avail_out = static_cast<uint32_t>(out_.size());
      if (isal_deflate(&stream_) != COMP_OK) return absl::InternalError("deflate failed");
      const size_t made = out_.size() - stream_.avail_out;
      if (made > 0) CEDANA_RETURN_IF_ERROR(sink(std::span(out_.data(), made)));
    } while (stream_.avail_in > 0 || stream_.avail_out == 0 ||
             (stream_.end_of_stream != 0 && stream_.internal_state.state != ZSTATE_END));
    return absl::OkStatus();
  }

  isal_zstream stream_{};
  std::vector<uint8_t> level_buffer_ = std::vector<uint8_t>(ISAL_DEF_LVL1_DEFAULT);
  std::vector<uint8_t> out_ = std::vector<uint8_t>(kOutBytes);
};

}  // namespace

std::unique_ptr<StreamCompressor> MakeGzipStream() {
  return std::make_unique<DeflateStream>(IGZIP_GZIP);
}
std::unique_ptr<StreamCompressor> MakeZlibStream() {
  return std::make_unique<DeflateStream>(IGZIP_ZLIB);
}

}  // namespace cedana::codec
