// Streams in the containers of the common tools, made while they are read: gzip (RFC 1952), zlib
// (RFC 1950), lz4's frame format and zstd's. One stream, so every tool that knows the format
// takes it, with a checksum at its end. Nothing stored is made of these: see registry.h.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "absl/status/status.h"

namespace cedana::codec {

enum class Container { kGzip, kZlib, kLz4, kZstd };

// Used by one thread. Holds less than 2 MiB, whatever the stream's length. What it is given makes
// the bytes: the same pieces or others, the same stream comes out expanded.
class StreamCompressor {
 public:
  using Sink = std::function<absl::Status(std::span<const uint8_t>)>;
  virtual ~StreamCompressor() = default;
  // Both hand compressed bytes to `sink`, which borrows them for its call. An error is the sink's,
  // and final.
  virtual absl::Status Add(std::span<const uint8_t> plain, const Sink& sink) = 0;
  // Nothing follows: what is still held, and the checksum.
  virtual absl::Status End(const Sink& sink) = 0;
};

std::unique_ptr<StreamCompressor> MakeStreamCompressor(Container container);

}  // namespace cedana::codec
