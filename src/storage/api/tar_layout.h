// The `.tar` view's bytes: POSIX ustar, with a pax header where a name is longer than 100 bytes or
// a file larger than 8 GiB. Fixed order, times (0), owners (0) and modes, so that the same
// checkpoint always gives the same archive, and its length is known before the first byte is read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/transfer/load.h"

namespace cedana::api {

// One run of bytes of the archive: literal text, or a file's content.
struct TarPiece {
  std::string literal;
  std::string file;  // empty: literal
  uint64_t bytes = 0;
};

// The entry `.` first, then the files in the order given, then two empty blocks.
std::vector<TarPiece> LayOutTar(const std::vector<transfer::ImageFile>& files);
uint64_t TarBytes(const std::vector<TarPiece>& pieces);

}  // namespace cedana::api
