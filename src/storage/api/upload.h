// The body of an upload on its way into a save: of any length, read as it comes.
#pragma once

#include <cstdint>
#include <span>

#include "core/transfer/save.h"
#include "storage/api/paced_peer.h"

namespace cedana::api {

// The one image file of an uploaded file's save.
inline constexpr char kFileData[] = "data";
// JobFacts::type of such a save.
inline constexpr char kFileType[] = "file";
// Its page map is in memory while it is saved and while it is read: some 16 MiB at this size.
inline constexpr uint64_t kUploadBytesMax = uint64_t{256} << 30;

// kInvalidArgument when the body is larger than allowed, kDeadlineExceeded when it is to give way
// to others; else the connection's errors: a body that was cut is one, never an end.
class BodySource : public transfer::ByteSource {
 public:
  explicit BodySource(PacedPeer* peer) : peer_(*peer) {}
  absl::StatusOr<size_t> Read(std::span<uint8_t> out) override;

 private:
  PacedPeer& peer_;
  uint64_t bytes_ = 0;
};

}  // namespace cedana::api
