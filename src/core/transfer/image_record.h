// Where the bytes of one image file went, put together chunk by chunk by the pipelines.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/inlined_vector.h"
#include "absl/synchronization/mutex.h"
#include "core/transfer/buffer_pool.h"

namespace cedana::transfer {

// Bytes of a chunk that lie together: in a block of a pipeline, or nowhere because they are zero.
struct PlacedRun {
  static constexpr uint32_t kZeroes = UINT32_MAX;
  uint32_t bytes = 0;
  uint32_t pipeline = kZeroes;
  uint32_t block = 0;   // in the pipeline's own count
  uint32_t offset = 0;  // in the block's plain bytes

  bool zero() const { return pipeline == kZeroes; }
};

// Most chunks are one run: the whole of them in one block.
using PlacedRuns = absl::InlinedVector<PlacedRun, 1>;

// Thread-safe: the reader adds chunks, pipelines place them in any order.
class ImageRecord {
 public:
  explicit ImageRecord(std::string name) : name_(std::move(name)) {}

  const std::string& name() const { return name_; }

  // Returns the number of the new chunk.
  size_t AddChunk(size_t bytes) {
    absl::MutexLock lock(&mutex_);
    bytes_ += bytes;
    chunks_.emplace_back();
    return chunks_.size() - 1;
  }
  void Place(size_t chunk, PlacedRuns runs) {
    absl::MutexLock lock(&mutex_);
    chunks_[chunk] = std::move(runs);
  }

  uint64_t bytes() const {
    absl::MutexLock lock(&mutex_);
    return bytes_;
  }
  // Calls `visit` with each run in file order. Requires: every chunk is placed.
  template <typename Visit>
  void ForEachRun(Visit visit) const {
    absl::MutexLock lock(&mutex_);
    for (const PlacedRuns& runs : chunks_) {
      for (const PlacedRun& run : runs) visit(run);
    }
  }

 private:
  const std::string name_;
  mutable absl::Mutex mutex_;
  uint64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<PlacedRuns> chunks_ ABSL_GUARDED_BY(mutex_);
};

// Up to base::kBlockBytesMax bytes of an image file, starting at a page, on their way to a
// pipeline. Only the last chunk of a file has less.
struct Chunk {
  ImageRecord* record = nullptr;
  size_t number = 0;
  size_t bytes = 0;
  Buffer buffer;
};

}  // namespace cedana::transfer
