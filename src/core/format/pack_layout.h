// The parts of a pack (docs/format/pack.md) as values that writer, readers and page map share.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "core/base/limits.h"
#include "core/codec/registry.h"
#include "core/format/aead.h"

namespace cedana::format {

inline constexpr uint32_t kFormatVersion = 1;

inline constexpr absl::string_view kPackMagic = "CEDPACK1";
inline constexpr absl::string_view kPackEndMagic = "CEDPEND1";
inline constexpr size_t kPackHeaderBytes = 32;
inline constexpr size_t kPackFooterBytes = 16;
inline constexpr size_t kTrailerEntryBytes = 16;
inline constexpr uint32_t kTrailerNumber = 0xffffffff;

// Bounds of a trailer, so that a pack of well compressible pages cannot make it grow without end.
inline constexpr size_t kPackBlocksMax = 8192;
inline constexpr size_t kPackPagesMax = 65536;
inline constexpr size_t kTrailerPlainBytesMax =
    4 + kPackBlocksMax * kTrailerEntryBytes + kPackPagesMax * 16;

inline constexpr size_t kSealedBlockBytesMax = base::kBlockBytesMax + kTagBytes;

enum class BlockKind : uint8_t { kPages = 0, kData = 1, kPageMap = 2 };

// Where a sealed block lies in its pack, and what it takes to open it.
struct BlockPlace {
  uint32_t number = 0;
  uint32_t offset = 0;
  uint32_t sealed_bytes = 0;
  uint32_t plain_bytes = 0;
  codec::Codec codec = codec::Codec::kNone;

  friend bool operator==(const BlockPlace&, const BlockPlace&) = default;
};

}  // namespace cedana::format
