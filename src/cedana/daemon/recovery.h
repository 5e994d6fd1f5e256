// What a daemon owes to the operations of the one before it: the journal tells what was in flight.
// Restores without a yes leave nothing behind, those with a yes become jobs, broken connections
// are cured, and every save is asked about until its outcome is known.
#pragma once

#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "cedana/daemon/services.h"
#include "core/base/thread.h"

namespace cedana::daemon {

// Thread-safe.
class Recovery {
 public:
  explicit Recovery(const Services* services) : services_(services) {}
  ~Recovery();

  // The local part, before the jobs are adopted. Blocks for seconds at most.
  absl::Status CleanUp();
  // The part that needs the storage, in the background, again and again.
  void StartSettling();
  void Add(const OperationRecord& operation);

 private:
  void CleanUpDump(const OperationRecord& operation);
  std::string JobCgroup(const std::string& uuid) const;
  void CleanUpRestore(const OperationRecord& operation);
  absl::Status AdoptRestored(const OperationRecord& operation);
  // OK: settled. An error: ask again later.
  absl::Status Settle(const OperationRecord& operation);
  absl::Status RecordCommitted(const OperationRecord& operation, plugin::StorageBackend& storage,
                               const plugin::StorageUrl& url);
  void Loop();

  const Services* const services_;
  absl::Mutex mutex_;
  std::vector<OperationRecord> open_ ABSL_GUARDED_BY(mutex_);
  base::CancelSource end_;
  base::Thread thread_;
};

}  // namespace cedana::daemon
