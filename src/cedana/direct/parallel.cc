#include "cedana/direct/parallel.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "core/base/thread.h"

namespace cedana::direct {

absl::Status ForEachAtOnce(size_t at_once, size_t count,
                           const std::function<absl::Status(size_t)>& work) {
  std::atomic<size_t> next{0};
  absl::Mutex mutex;
  absl::Status first;
  const auto run = [&] {
    for (size_t i = next++; i < count; i = next++) {
      const absl::Status status = work(i);
      if (status.ok()) continue;
      absl::MutexLock lock(&mutex);
      first.Update(status);
      next = count;
    }
  };
  std::vector<base::Thread> threads;
  for (size_t i = 1; i < std::min(at_once, count); ++i) threads.emplace_back("direct-io", run);
  run();
  threads.clear();
  return first;
}

}  // namespace cedana::direct
