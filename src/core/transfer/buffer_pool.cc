#include "core/transfer/buffer_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace cedana::transfer {

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this != &other) {
    Reset();
    pool_ = std::exchange(other.pool_, nullptr);
    bytes_ = std::exchange(other.bytes_, {});
  }
  return *this;
}

void Buffer::Reset() {
  if (pool_ != nullptr) std::exchange(pool_, nullptr)->GiveBack(bytes_.data());
  bytes_ = {};
}

absl::StatusOr<std::unique_ptr<BufferPool>> BufferPool::Create(size_t buffers,
                                                               size_t buffer_bytes) {
  const size_t total = std::max<size_t>(buffers * buffer_bytes, 1);
  void* memory = mmap(nullptr, total, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return absl::ResourceExhaustedError(absl::StrCat("no memory for ", total, " bytes of buffers"));
  }
  // One fault for 2 MiB instead of 512; where the kernel has none to give, nothing is lost.
  madvise(memory, total, MADV_HUGEPAGE);
  return std::unique_ptr<BufferPool>(
      new BufferPool(static_cast<uint8_t*>(memory), buffers, buffer_bytes));
}

BufferPool::BufferPool(uint8_t* memory, size_t count, size_t buffer_bytes)
    : memory_(memory), count_(count), buffer_bytes_(buffer_bytes) {
  free_.reserve(count);
  for (size_t i = count; i > 0; --i) free_.push_back(memory + (i - 1) * buffer_bytes);
}

BufferPool::~BufferPool() { munmap(memory_, std::max<size_t>(count_ * buffer_bytes_, 1)); }

absl::StatusOr<Buffer> BufferPool::Acquire() {
  absl::MutexLock lock(&mutex_);
  while (interrupted_.ok() && free_.empty()) freed_.Wait(&mutex_);
  if (!interrupted_.ok()) return interrupted_;
  return TakeLocked();
}

std::optional<Buffer> BufferPool::TryAcquire(size_t left_over) {
  absl::MutexLock lock(&mutex_);
  if (free_.size() <= left_over || !interrupted_.ok()) return std::nullopt;
  return TakeLocked();
}

void BufferPool::Interrupt(const absl::Status& reason) {
  absl::MutexLock lock(&mutex_);
  if (interrupted_.ok()) interrupted_ = reason;
  freed_.SignalAll();
}

size_t BufferPool::used_peak() const {
  absl::MutexLock lock(&mutex_);
  return used_peak_;
}

Buffer BufferPool::TakeLocked() {
  uint8_t* memory = free_.back();
  free_.pop_back();
  used_peak_ = std::max(used_peak_, count_ - free_.size());
  return Buffer(this, {memory, buffer_bytes_});
}

void BufferPool::GiveBack(uint8_t* memory) {
  absl::MutexLock lock(&mutex_);
  free_.push_back(memory);
  freed_.Signal();
}

}  // namespace cedana::transfer
