#include "core/base/random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdlib>

namespace cedana::base {
namespace {

class KernelRandom : public Random {
 public:
  void Fill(uint8_t* out, size_t size) override {
    while (size > 0) {
      const ssize_t got = getrandom(out, size, 0);
      if (got < 0) {
        if (errno == EINTR) continue;
        std::abort();
      }
      out += got;
      size -= static_cast<size_t>(got);
    }
  }
};

}  // namespace

uint64_t Random::Next64() {
  uint64_t value = 0;
  Fill(reinterpret_cast<uint8_t*>(&value), sizeof(value));
  return value;
}

uint64_t Random::Below(uint64_t bound) {
  // Rejection keeps the draw uniform; at most one retry is expected.
  const uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
  uint64_t value = Next64();
  while (value >= limit) value = Next64();
  return value % bound;
}

Random& SystemRandom() {
  static KernelRandom random;
  return random;
}

}  // namespace cedana::base
