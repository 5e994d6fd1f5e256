// memhog --mib N [--seed S] [--half-compressible] [--zero-percent Z] [--dirty-percent P]
//        [--verify-on SIGUSR1|SIGUSR2]
//
// Fills N MiB of private anonymous memory and prints `ready`, then `tick N` each second. Every
// page is a function of the seed, its number and how often it was written, so that at the signal
// (default SIGUSR1) all of it is recomputed and compared: `verify ok` or `verify BAD page N`.
//
//   --half-compressible  the second half of each page repeats one word: lz4 makes about 2:1
//   --zero-percent Z     so many pages are touched, but stay zero
//   --dirty-percent P    rewrites so many pages each second with new content

#include <getopt.h>
#include <signal.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "workload.h"

namespace {

constexpr size_t kPageBytes = 4096;
constexpr size_t kPageWords = kPageBytes / sizeof(uint64_t);
constexpr size_t kLanes = 4;  // Independent generators keep the processor's pipelines full.

struct Options {
  uint64_t mib = 0;
  uint64_t seed = 1;
  uint64_t zero_percent = 0;
  uint64_t dirty_percent = 0;
  bool half_compressible = false;
  int verify_signal = SIGUSR1;
};

volatile int verify_asked = 0;

// The content of a page after `version` rewrites.
class PageMaker {
 public:
  explicit PageMaker(const Options& options) : options_(options) {}

  void Make(uint64_t page, uint32_t version, uint64_t* out) const {
    const uint64_t key = workload::Mix(options_.seed ^ workload::Mix(page << 20 ^ version));
    if (version == 0 && key % 100 < options_.zero_percent) {
      std::memset(out, 0, kPageBytes);
      return;
    }
    uint64_t lanes[kLanes];
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] = workload::Mix(key + lane) | 1;
    const size_t random_words = options_.half_compressible ? kPageWords / 2 : kPageWords;
    for (size_t word = 0; word < random_words; word += kLanes) {
      for (size_t lane = 0; lane < kLanes; ++lane) {
        uint64_t x = lanes[lane];
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        lanes[lane] = x;
        out[word + lane] = x;
      }
    }
    for (size_t word = random_words; word < kPageWords; ++word) out[word] = key;
  }

 private:
  const Options& options_;
};

// The memory and how often each page of it was written.
class Memory {
 public:
  Memory(const Options& options, uint64_t* words)
      : options_(options), maker_(options), words_(words), versions_(options.mib << 8) {}

  void Fill() {
    for (size_t page = 0; page < versions_.size(); ++page) maker_.Make(page, 0, At(page));
  }

  void Dirty(uint64_t tick) {
    const size_t count = versions_.size() * options_.dirty_percent / 100;
    for (size_t i = 0; i < count; ++i) {
      const size_t page = workload::Mix(tick << 32 ^ i) % versions_.size();
      maker_.Make(page, ++versions_[page], At(page));
    }
  }

  // Returns the number of the first page with other content, or -1.
  int64_t Verify() const {
    uint64_t expected[kPageWords];
    for (size_t page = 0; page < versions_.size(); ++page) {
      maker_.Make(page, versions_[page], expected);
      if (std::memcmp(expected, At(page), kPageBytes) != 0) return static_cast<int64_t>(page);
    }
    return -1;
  }

 private:
  uint64_t* At(size_t page) const { return words_ + page * kPageWords; }

  const Options& options_;
  PageMaker maker_;
  uint64_t* words_;
  std::vector<uint32_t> versions_;
};

bool Parse(int argc, char** argv, Options* options) {
  const option names[] = {{"mib", required_argument, nullptr, 'm'},
                          {"seed", required_argument, nullptr, 's'},
                          {"zero-percent", required_argument, nullptr, 'z'},
                          {"dirty-percent", required_argument, nullptr, 'd'},
                          {"half-compressible", no_argument, nullptr, 'c'},
                          {"verify-on", required_argument, nullptr, 'v'},
                          {nullptr, 0, nullptr, 0}};
  for (int name; (name = getopt_long(argc, argv, "", names, nullptr)) != -1;) {
    const std::string value = optarg == nullptr ? "" : optarg;
    switch (name) {
      case 'm':
        options->mib = std::strtoull(value.c_str(), nullptr, 10);
        break;
      case 's':
        options->seed = std::strtoull(value.c_str(), nullptr, 10);
        break;
      case 'z':
        options->zero_percent = std::strtoull(value.c_str(), nullptr, 10);
        break;
      case 'd':
        options->dirty_percent = std::strtoull(value.c_str(), nullptr, 10);
        break;
      case 'c':
        options->half_compressible = true;
        break;
      case 'v':
        if (value != "SIGUSR1" && value != "SIGUSR2") return false;
        options->verify_signal = value == "SIGUSR1" ? SIGUSR1 : SIGUSR2;
        break;
      default:
        return false;
    }
  }
  return options->mib > 0 && optind == argc;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!Parse(argc, argv, &options)) {
    workload::Say("memhog: bad arguments; --mib N is needed, see the head of memhog.cc");
    return 2;
  }
  struct sigaction action = {};
  action.sa_handler = [](int) { verify_asked = 1; };
  sigaction(options.verify_signal, &action, nullptr);

  void* address =
      mmap(nullptr, options.mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) {
    workload::Say("memhog: no memory");
    return 2;
  }
  Memory memory(options, static_cast<uint64_t*>(address));
  memory.Fill();
  workload::Say("ready");
  for (uint64_t tick = 1;;) {
    workload::SleepFor(1, &verify_asked);
    if (verify_asked != 0) {
      verify_asked = 0;
      const int64_t bad = memory.Verify();
      if (bad < 0) {
        workload::Say("verify ok");
      } else {
        workload::Say("verify BAD page %lld", static_cast<long long>(bad));
      }
      continue;
    }
    workload::Say("tick %llu", static_cast<unsigned long long>(tick));
    memory.Dirty(tick++);
  }
}
