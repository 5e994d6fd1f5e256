// The rules for a checkpoint's path (core/transfer/checkpoint_path.h), under this folder's name.
#pragma once

#include "core/transfer/checkpoint_path.h"

namespace cedana::metadata {

using transfer::IsFilePath;
using transfer::NormaliseFile;
using transfer::NormaliseFolder;
using transfer::NormalisePath;
using transfer::SuffixOfCodec;
using transfer::ViewSuffix;

}  // namespace cedana::metadata
