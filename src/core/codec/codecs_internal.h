// What the registry knows of each codec's file.
#pragma once

#include <memory>

#include "core/codec/registry.h"

namespace cedana::codec {

std::unique_ptr<Compressor> MakeLz4Compressor();
std::unique_ptr<Expander> MakeLz4Expander();
std::unique_ptr<Compressor> MakeZstdCompressor();
std::unique_ptr<Expander> MakeZstdExpander();
std::unique_ptr<Compressor> MakeDeflateCompressor();
std::unique_ptr<Expander> MakeDeflateExpander();

}  // namespace cedana::codec
