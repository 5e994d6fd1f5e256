// counter [SECONDS]: prints 1, 2, 3, ... one each SECONDS (default 1), without end. Any number
// missing or doubled in its output is state lost.

#include <cstdint>
#include <cstdlib>

#include "workload.h"

int main(int argc, char** argv) {
  const double interval = argc > 1 ? std::atof(argv[1]) : 1.0;
  for (uint64_t n = 1;; ++n) {
    workload::Say("%llu", static_cast<unsigned long long>(n));
    workload::SleepFor(interval);
  }
}
