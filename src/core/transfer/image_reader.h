// Stage: image files into chunks. Runs in the thread that stores the file and does nothing but
// read: while a process is frozen, its rate is what the process waits for.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/transfer/buffer_pool.h"
#include "core/transfer/image_record.h"
#include "core/transfer/save.h"

namespace cedana::transfer {

// The image files of one save. Thread-safe. Small ones are gathered in memory, as long as all of
// them together stay within `small_bytes_max`; the others go on as chunks.
class ImageFiles {
 public:
  explicit ImageFiles(size_t small_bytes_max) : small_bytes_max_(small_bytes_max) {}

  // kInvalidArgument: not a name, or there already.
  absl::StatusOr<ImageRecord*> Add(const std::string& name);
  // False when there is no room left for them.
  bool KeepSmall(const std::string& name, std::string bytes);

  // Both sorted by name; a file is in one of them. Requires: nothing is added any more.
  const std::map<std::string, std::unique_ptr<ImageRecord>>& large() const
      ABSL_NO_THREAD_SAFETY_ANALYSIS;
  const std::map<std::string, std::string>& small() const ABSL_NO_THREAD_SAFETY_ANALYSIS;

 private:
  const size_t small_bytes_max_;
  mutable absl::Mutex mutex_;
  std::map<std::string, std::unique_ptr<ImageRecord>> large_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> small_ ABSL_GUARDED_BY(mutex_);
  size_t small_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

using ChunkSink = std::function<absl::Status(Chunk)>;

// Reads `source` to its end. Blocks while no chunk buffer is free or the sink is full. A source
// that pauses in the middle of a large file keeps one chunk buffer meanwhile (CRIU writes one such
// file at a time); one that pauses early keeps none.
absl::Status ReadImage(const std::string& name, ByteSource& source, ImageFiles& files,
                       BufferPool& chunks, SaveProgress& progress, const ChunkSink& sink);

}  // namespace cedana::transfer
