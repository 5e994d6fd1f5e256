#include "core/transfer/image_reader.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/base/status.h"
#include "core/format/page_map.h"

namespace cedana::transfer {
namespace {

// A stream that is open but idle holds only this, not a chunk: CRIU keeps some 20 open throughout.
constexpr size_t kFirstBytes = 16 << 10;
// A file that ends within so many chunks may be gathered with the small ones.
constexpr size_t kSmallChunksMax = 4;

// Reads until `out` is full or the source ends.
absl::StatusOr<size_t> Fill(ByteSource& source, std::span<uint8_t> out, SaveProgress& progress) {
  size_t filled = 0;
  while (filled < out.size()) {
    CEDANA_ASSIGN_OR_RETURN(const size_t got, source.Read(out.subspan(filled)));
    if (got == 0) break;
    filled += got;
    progress.image_bytes += got;
  }
  return filled;
}

struct HeldChunk {
  Buffer buffer;
  size_t bytes = 0;
};

// Chunks that are held back until it is known whether the file is small.
class HeldChunks {
 public:
  void Add(HeldChunk chunk) { chunks_.push_back(std::move(chunk)); }
  size_t size() const { return chunks_.size(); }

  std::string Join() const {
    std::string bytes;
    for (const HeldChunk& chunk : chunks_) {
      bytes.append(reinterpret_cast<const char*>(chunk.buffer.bytes().data()), chunk.bytes);
    }
    return bytes;
  }
  absl::Status SendAll(ImageRecord* record, const ChunkSink& sink) {
    for (HeldChunk& held : chunks_) {
      Chunk chunk;
      chunk.record = record;
      chunk.number = record->AddChunk(held.bytes);
      chunk.bytes = held.bytes;
      chunk.buffer = std::move(held.buffer);
      CEDANA_RETURN_IF_ERROR(sink(std::move(chunk)));
    }
    chunks_.clear();
    return absl::OkStatus();
  }

 private:
  std::vector<HeldChunk> chunks_;
};

}  // namespace

absl::StatusOr<ImageRecord*> ImageFiles::Add(const std::string& name) {
  if (!format::IsImageName(name)) {
    return absl::InvalidArgumentError(absl::StrCat("'", name, "' is no name of an image file"));
  }
  absl::MutexLock lock(&mutex_);
  const auto [entry, added] = large_.try_emplace(name, nullptr);
  if (!added) return absl::InvalidArgumentError(absl::StrCat("image file ", name, " came twice"));
  if (large_.size() > base::kImageFilesMax) {
    return absl::ResourceExhaustedError("too many image files");
  }
  entry->second = std::make_unique<ImageRecord>(name);
  return entry->second.get();
}

bool ImageFiles::KeepSmall(const std::string& name, std::string bytes) {
  absl::MutexLock lock(&mutex_);
  if (small_bytes_ + bytes.size() > small_bytes_max_) return false;
  small_bytes_ += bytes.size();
  small_[name] = std::move(bytes);
  return true;
}

const std::map<std::string, std::unique_ptr<ImageRecord>>& ImageFiles::large() const {
  return large_;
}

const std::map<std::string, std::string>& ImageFiles::small() const { return small_; }

absl::Status ReadImage(const std::string& name, ByteSource& source, ImageFiles& files,
                       BufferPool& chunks, SaveProgress& progress, const ChunkSink& sink) {
  CEDANA_ASSIGN_OR_RETURN(ImageRecord* const record, files.Add(name));
  std::string first(kFirstBytes, '\0');
  const std::span<uint8_t> first_bytes(reinterpret_cast<uint8_t*>(first.data()), first.size());
  CEDANA_ASSIGN_OR_RETURN(const size_t first_size, Fill(source, first_bytes, progress));
  first.resize(first_size);
  if (first_size < kFirstBytes && files.KeepSmall(name, first)) return absl::OkStatus();

  HeldChunks held;
  bool small = true;
  for (bool more = true; more;) {
    std::optional<Buffer> buffer;
    // Streams that are held back and idle may take half of the buffers, and no more.
    if (small) buffer = chunks.TryAcquire(chunks.buffers() / 2);
    if (!buffer.has_value()) {
      // Waiting for a buffer while holding others could leave every reader waiting for the next.
      small = false;
      CEDANA_RETURN_IF_ERROR(held.SendAll(record, sink));
      CEDANA_ASSIGN_OR_RETURN(buffer, chunks.Acquire());
    }
    std::memcpy(buffer->bytes().data(), first.data(), first.size());
    CEDANA_ASSIGN_OR_RETURN(const size_t got,
                            Fill(source, buffer->bytes().subspan(first.size()), progress));
    const size_t bytes = first.size() + got;
    first.clear();
    more = bytes == buffer->bytes().size();
    if (bytes > 0) held.Add({std::move(*buffer), bytes});
    small = small && held.size() <= kSmallChunksMax;
    if (!small) CEDANA_RETURN_IF_ERROR(held.SendAll(record, sink));
  }
  if (small && files.KeepSmall(name, held.Join())) return absl::OkStatus();
  return held.SendAll(record, sink);
}

}  // namespace cedana::transfer
