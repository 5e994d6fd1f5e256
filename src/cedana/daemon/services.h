// What the daemon's operations share: one struct, made once in daemon.cc, borrowed by all.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "cedana/criu/criu.h"
#include "cedana/daemon/job_table.h"
#include "cedana/daemon/jobs.h"
#include "cedana/daemon/progress_board.h"
#include "cedana/daemon/settings.h"
#include "cedana/plugin/loader.h"
#include "cedana/plugin/storage_url.h"
#include "cedana/runtime/cgroup.h"
#include "core/base/context.h"

namespace cedana::daemon {

// Shares `checkpoint.memory_limit` between operations, so that all of them together stay within
// it (I5). Half of it for each where that is enough for the pipeline. Thread-safe.
class MemoryGate {
 public:
  explicit MemoryGate(size_t limit_bytes);

  class Share {
   public:
    Share(Share&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
    Share& operator=(Share&&) = delete;
    ~Share();
    size_t bytes() const { return gate_->share_bytes_; }

   private:
    friend class MemoryGate;
    explicit Share(MemoryGate* gate) : gate_(gate) {}
    MemoryGate* gate_;
  };
  // Waits for a free share. The error is the context's.
  absl::StatusOr<Share> Take(const base::Context& context);

 private:
  size_t share_bytes_;
  absl::Mutex mutex_;
  int free_ ABSL_GUARDED_BY(mutex_);
};

// The CRIU of this machine, looked for again when its file changes. Thread-safe.
class CriuFinder {
 public:
  explicit CriuFinder(const Settings* settings) : settings_(settings) {}
  // kFailedPrecondition: none works; one line that says what to do.
  absl::StatusOr<criu::CriuProgram> Find();

 private:
  const Settings* const settings_;
  absl::Mutex mutex_;
  std::string checked_ ABSL_GUARDED_BY(mutex_);  // path and version that passed `criu check`
};

struct Services {
  const Settings* settings = nullptr;
  JobTable* table = nullptr;
  Jobs* jobs = nullptr;
  plugin::StoragePlugins* plugins = nullptr;
  const runtime::Cgroups* cgroups = nullptr;  // null: no cgroup v2 here
  ProgressBoard* board = nullptr;
  MemoryGate* memory = nullptr;
  CriuFinder* criu = nullptr;
  base::CancelSource* stop = nullptr;  // the daemon stops
  // Takes a dump whose outcome is not known; it stays in the journal and is asked about.
  std::function<void(const OperationRecord&)> unsettled;

  // The back end for checkpoints in `folder`. `operation`: see StorageConfig.
  absl::StatusOr<std::unique_ptr<plugin::StorageBackend>> OpenStorage(
      const plugin::StorageUrl& folder, const std::string& operation = "") const;
};

// A name for one dump or restore, under which the daemon and the service log what they do for it.
std::string DrawOperationName();

// A folder of one operation (sockets, CRIU's log), `<run dir>/o/<hex>`. Removed with the object.
class OperationFolder {
 public:
  static absl::StatusOr<std::unique_ptr<OperationFolder>> Make(const Settings& settings);
  ~OperationFolder();
  const std::string& path() const { return path_; }
  // Copies CRIU's log and stderr to the folder of kept logs and returns where; empty: none.
  std::string KeepLogs(const Settings& settings, const std::string& name) const;

 private:
  explicit OperationFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// Moves every process of `from` and its children into `to`; nothing to do where one is empty.
absl::Status MoveTree(const std::string& from, const std::string& to);

// "…/name" plus the suffix that the compression has in names ("lz4" is ".tar.lz4").
std::string WithSuffix(const std::string& url, const std::string& codec);

}  // namespace cedana::daemon
