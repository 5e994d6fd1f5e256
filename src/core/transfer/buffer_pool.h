// A fixed number of equal buffers, used again and again: memory stays within the budget (I5), and
// first-touch page faults, some 10 us each in virtual machines, are paid once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace cedana::transfer {

class BufferPool;

// Gives its memory back to the pool when it is destroyed. Movable; one owner.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer() { Reset(); }

  std::span<uint8_t> bytes() const { return bytes_; }
  bool valid() const { return pool_ != nullptr; }
  void Reset();

 private:
  friend class BufferPool;
  Buffer(BufferPool* pool, std::span<uint8_t> bytes) : pool_(pool), bytes_(bytes) {}

  BufferPool* pool_ = nullptr;
  std::span<uint8_t> bytes_;
};

// Thread-safe. Outlives its buffers. Memory is reserved at once and touched only when used, the
// buffer given back last first.
class BufferPool {
 public:
  // kResourceExhausted: the system does not give the memory.
  static absl::StatusOr<std::unique_ptr<BufferPool>> Create(size_t buffers, size_t buffer_bytes);
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  // Blocks until a buffer is free; the reason of the interruption after Interrupt.
  absl::StatusOr<Buffer> Acquire();
  // Nothing when fewer than `left_over` buffers would remain.
  std::optional<Buffer> TryAcquire(size_t left_over = 0);
  // Every Acquire, also those that wait now, returns `reason`. Buffers can still be given back.
  void Interrupt(const absl::Status& reason);

  size_t buffers() const { return count_; }
  size_t buffer_bytes() const { return buffer_bytes_; }
  size_t used_peak() const;  // most buffers out at the same time

 private:
  friend class Buffer;
  BufferPool(uint8_t* memory, size_t count, size_t buffer_bytes);
  Buffer TakeLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void GiveBack(uint8_t* memory);

  uint8_t* const memory_;
  const size_t count_;
  const size_t buffer_bytes_;
  mutable absl::Mutex mutex_;
  absl::CondVar freed_;
  std::vector<uint8_t*> free_ ABSL_GUARDED_BY(mutex_);
  size_t used_peak_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status interrupted_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cedana::transfer
