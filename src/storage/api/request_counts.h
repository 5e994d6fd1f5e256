// What the service has answered since its start, for metrics.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace cedana::api {

// Thread-safe.
class RequestCounts {
 public:
  static constexpr size_t kClasses = 6;  // 0: nothing was answered; 1 to 5: HTTP status / 100

  void Answered(int status) {
    const int of = status / 100;
    ++answers_[of >= 0 && of < static_cast<int>(kClasses) ? of : 0];
  }
  void Committed() { ++commits_; }

  uint64_t answers(size_t of) const { return answers_[of]; }
  uint64_t commits() const { return commits_; }

 private:
  std::array<std::atomic<uint64_t>, kClasses> answers_{};
  std::atomic<uint64_t> commits_{0};
};

}  // namespace cedana::api
