// Chance from a seed, so that a test that fails can be repeated.
#pragma once

#include <cstring>
#include <random>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/base/random.h"

namespace cedana::transfer {

// Thread-safe; with several threads the order of draws is not repeatable.
class SeededRandom : public base::Random {
 public:
  explicit SeededRandom(uint64_t seed) : engine_(seed) {}

  void Fill(uint8_t* out, size_t size) override {
    absl::MutexLock lock(&mutex_);
    while (size > 0) {
      const uint64_t value = engine_();
      const size_t step = size < sizeof(value) ? size : sizeof(value);
      std::memcpy(out, &value, step);
      out += step;
      size -= step;
    }
  }

 private:
  absl::Mutex mutex_;
  std::mt19937_64 engine_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cedana::transfer
