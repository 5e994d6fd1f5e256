// What one provider could not do when it was asked, and does when it is back: so that a dark
// provider holds up nobody, and nothing is forgotten.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace cedana::metadata {

enum class ChoreKind { kDelete = 0, kWriteRecord = 1, kSweepSave = 2 };

struct Chore {
  std::string provider;
  std::string key;  // of the object; the prefix of a save that is to be swept
  ChoreKind kind = ChoreKind::kDelete;
  uint64_t sequence = 0;  // of the commit whose record is to be written
};

struct ChoreCount {
  std::string provider;
  uint64_t chores = 0;
};

// Thread-safe. One chore per provider and key: the newer takes the place of the older, so that a
// record that was deleted is not written afterwards.
class Chores {
 public:
  virtual ~Chores() = default;
  virtual absl::Status Add(const std::vector<Chore>& chores) = 0;
  // In the order of keys, which deletes a commit record (c/…) before its manifest (s/…).
  virtual absl::StatusOr<std::vector<Chore>> Of(const std::string& provider, int limit) = 0;
  // Only if it is still this one.
  virtual absl::Status Done(const Chore& chore) = 0;
  virtual absl::StatusOr<std::vector<ChoreCount>> Counts() = 0;
};

}  // namespace cedana::metadata
