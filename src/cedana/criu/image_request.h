// The messages on CRIU's image sockets. Each is a little-endian u32 length and that many bytes of
// protobuf; the two message types have one member each, so they are read and written by hand.
//
//   request  { 1: filename }   before each image file; in a dump a pipe follows by SCM_RIGHTS
//   reply    { 1: exists }     restore only; if it exists, CRIU then passes its pipe
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cedana::criu {

inline constexpr size_t kLengthBytes = 4;

uint32_t DecodeLength(const uint8_t bytes[kLengthBytes]);

// The file name of a request's message. kInvalidArgument for anything that CRIU would not send:
// malformed bytes, no name or two, a name that CheckImageName refuses.
absl::StatusOr<std::string> DecodeRequest(absl::string_view message);

// A name of a file without folder, of at most base::kImageNameBytesMax bytes, no control bytes.
absl::Status CheckImageName(absl::string_view name);

// With the length before them.
std::string EncodeRequest(absl::string_view name);
std::string EncodeReply(bool exists);

}  // namespace cedana::criu
