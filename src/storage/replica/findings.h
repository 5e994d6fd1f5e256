// Bad shards that somebody came upon (a reader, a repair, a scrub), counted since the start; what
// follows from each is in the catalog.
#pragma once

#include <atomic>
#include <cstdint>

namespace cedana::replica {

// Thread-safe.
class Findings {
 public:
  void Damaged() { ++damaged_; }
  void Missing() { ++missing_; }
  uint64_t damaged() const { return damaged_; }
  uint64_t missing() const { return missing_; }

 private:
  std::atomic<uint64_t> damaged_{0};
  std::atomic<uint64_t> missing_{0};
};

}  // namespace cedana::replica
