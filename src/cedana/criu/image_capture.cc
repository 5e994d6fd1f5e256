#include "absl/strings/str_cat.h"
#include "cedana/criu/criu.h"
#include "cedana/criu/image_streams_internal.h"
#include "core/base/status.h"

namespace cedana::criu {
namespace {

class StreamSource final : public transfer::ByteSource {
 public:
  explicit StreamSource(ImageStream& stream) : stream_(stream) {}
  absl::StatusOr<size_t> Read(std::span<uint8_t> out) override { return stream_.Read(out); }

 private:
  ImageStream& stream_;
};

class Capture final : public ImageCapture {
 public:
  explicit Capture(std::unique_ptr<ImageStreams> streams) : streams_(std::move(streams)) {}
  absl::Status WaitDrained(absl::Duration timeout) override { return streams_->Wait(timeout); }
  void Close(absl::Status reason) override { streams_->Close(std::move(reason)); }
  uint64_t files() const override { return streams_->files(); }

 private:
  std::unique_ptr<ImageStreams> streams_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ImageCapture>> ImageCapture::Listen(const std::string& folder,
                                                                   Store store) {
  ImageStreams::Role role;
  role.carry = [store = std::move(store)](ImageStream& stream) -> absl::Status {
    StreamSource source(stream);
    CEDANA_RETURN_IF_ERROR(store(stream.name(), source));
    // What stays in the pipe is live memory of the process: it would be neither stored nor safe.
    if (!stream.at_end()) return absl::InternalError("was not read to its end");
    return absl::OkStatus();
  };
  CEDANA_ASSIGN_OR_RETURN(
      auto streams,
      ImageStreams::Listen(absl::StrCat(folder, "/streamer-capture.sock"), std::move(role)));
  return std::make_unique<Capture>(std::move(streams));
}

}  // namespace cedana::criu
