#include "absl/strings/str_cat.h"
#include "cedana/criu/criu.h"
#include "cedana/criu/image_streams_internal.h"
#include "core/base/status.h"

namespace cedana::criu {
namespace {

class StreamSink final : public transfer::ByteSink {
 public:
  explicit StreamSink(ImageStream& stream) : stream_(stream) {}
  absl::Status Write(std::span<const uint8_t> bytes) override { return stream_.Write(bytes); }

 private:
  ImageStream& stream_;
};

class Serving final : public ImageServe {
 public:
  explicit Serving(std::unique_ptr<ImageStreams> streams) : streams_(std::move(streams)) {}
  absl::Status WaitServed(absl::Duration timeout) override { return streams_->Wait(timeout); }
  void Close(absl::Status reason) override { streams_->Close(std::move(reason)); }

 private:
  std::unique_ptr<ImageStreams> streams_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ImageServe>> ImageServe::Listen(const std::string& folder,
                                                               Exists exists, Serve serve) {
  ImageStreams::Role role;
  role.restore = true;
  role.exists = std::move(exists);
  role.carry = [serve = std::move(serve)](ImageStream& stream) {
    StreamSink sink(stream);
    return serve(stream.name(), sink);
  };
  CEDANA_ASSIGN_OR_RETURN(
      auto streams,
      ImageStreams::Listen(absl::StrCat(folder, "/streamer-serve.sock"), std::move(role)));
  return std::make_unique<Serving>(std::move(streams));
}

}  // namespace cedana::criu
