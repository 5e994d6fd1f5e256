#include "core/codec/stream.h"

#include "core/codec/streams_internal.h"

namespace cedana::codec {

std::unique_ptr<StreamCompressor> MakeStreamCompressor(Container container) {
  switch (container) {
    case Container::kGzip:
      return MakeGzipStream();
    case Container::kZlib:
      return MakeZlibStream();
    case Container::kLz4:
      return MakeLz4Stream();
    case Container::kZstd:
      return MakeZstdStream();
  }
  return nullptr;
}

}  // namespace cedana::codec
