// Chance, injected (I7): production draws from the kernel, tests from a seed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cedana::base {

// Thread-safe.
class Random {
 public:
  virtual ~Random() = default;
  virtual void Fill(uint8_t* out, size_t size) = 0;

  uint64_t Next64();
  // Uniform in [0, bound). Requires: bound > 0.
  uint64_t Below(uint64_t bound);
};

// getrandom(2); aborts the program if the kernel refuses, for no id is better than a weak one.
Random& SystemRandom();

}  // namespace cedana::base
