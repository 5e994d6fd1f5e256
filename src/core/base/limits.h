// Every bound of the data path in one place, with its unit and its reason. What is in flight in one
// dump or restore must fit the memory budget (`checkpoint.memory_limit`); `core/transfer` sums it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cedana::base {

inline constexpr size_t kPageBytes = 4096;                             // unit of identity
inline constexpr size_t kBlockPagesMax = 64;                           // pages in a block
inline constexpr size_t kBlockBytesMax = kBlockPagesMax * kPageBytes;  // 256 KiB of plain bytes
inline constexpr size_t kPackBytesMax = 32u << 20;                     // sealed; the unit of upload
inline constexpr size_t kManifestBytesMax = 1u << 20;
inline constexpr size_t kSmallFilesBytesMax = 8u << 20;  // gathered in memory, sealed last
inline constexpr size_t kImageNameBytesMax = 255;
inline constexpr size_t kImageFilesMax = 1u << 20;          // image files of one checkpoint
inline constexpr size_t kImageRequestBytesMax = 10u << 10;  // CRIU's own bound on a message
inline constexpr size_t kCheckpointPathBytesMax = 1024;
inline constexpr size_t kPathSegmentBytesMax = 255;
inline constexpr int kPipeBytes = 1 << 20;                 // 8 MiB measured slower (+25 % CPU)
inline constexpr size_t kSecondReadsBytesMax = 16u << 20;  // answers of hedged reads, each restore
inline constexpr size_t kMemoryLimitDefaultMiB = 256;
inline constexpr size_t kMemoryLimitMinMiB = 128;
inline constexpr size_t kMemoryOneFileMinMiB = 32;      // of a save or restore of one image file
inline constexpr size_t kJsonBodyBytesMax = 64u << 20;  // commit of 1 TB: 30,000 packs, some 5 MB
// Copying, writing and comparing JSON takes stack for each level; what we write ourselves has
// under 10.
inline constexpr size_t kJsonDepthMax = 64;
// Of what a client sends: some of it comes back inside of answers, which clients must be able to
// read.
inline constexpr size_t kJsonBodyDepthMax = 32;
inline constexpr size_t kGrantBatchMax = 64;
inline constexpr size_t kListPageMax = 1000;

}  // namespace cedana::base
