// One file for each container.
#pragma once

#include <memory>

#include "core/codec/stream.h"

namespace cedana::codec {

std::unique_ptr<StreamCompressor> MakeGzipStream();
std::unique_ptr<StreamCompressor> MakeZlibStream();
std::unique_ptr<StreamCompressor> MakeLz4Stream();
std::unique_ptr<StreamCompressor> MakeZstdStream();

}  // namespace cedana::codec
