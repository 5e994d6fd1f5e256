// One dump, from the request to the checkpoint: nothing is lost on the way (I9). The order of
// things is Run() in dump.cc.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "cedana/daemon/facts.h"
#include "cedana/daemon/services.h"
#include "core/transfer/save.h"

namespace cedana::daemon {

struct DumpRequest {
  std::shared_ptr<Job> job;  // null: a bare process
  int pid = 0;
  std::string dir;          // storage URL of the folder
  std::string name;         // empty: generated
  std::string compression;  // a name of the codec registry
  int streams = 0;
  bool leave_running = false;
  bool tcp_established = false;
  bool tcp_close = false;
  std::vector<std::string> external;
};

struct DumpResult {
  std::string url;  // with the suffix of its compression
  transfer::CheckpointInfo info;
  uint64_t frozen_us = 0;  // 0: not known
  absl::Duration wall;
  std::vector<std::string> warnings;
};

class DumpOperation {
 public:
  DumpOperation(const Services& services, DumpRequest request, std::shared_ptr<Progress> progress);
  ~DumpOperation();

  // Blocks until the dump has succeeded or failed. On any error the process runs on, except that
  // kUnknown may also mean "committed" (the text says so).
  absl::StatusOr<DumpResult> Run(const base::Context& context);
  // In the logs.
  const std::string& operation() const { return operation_; }

 private:
  absl::Status Prepare(const base::Context& context);
  absl::Status BeginSave(const base::Context& context);
  absl::Status BeginJournal();
  absl::Status Listen();
  absl::Status FindShim();
  void HoldTree();
  void ReleaseTree();
  // Frozen from here on, until CRIU has ended.
  absl::StatusOr<runtime::CriuExit> Freeze();
  absl::Status PostDump();
  absl::Status Conclude(const absl::StatusOr<runtime::CriuExit>& exit);
  absl::Status FailureOf(const absl::StatusOr<runtime::CriuExit>& exit);
  bool TreeHasBegunToEnd() const;
  absl::Status EndTree();
  void CureAfterKill();
  void Record();
  void NoteFailure(const absl::Status& status);  // the first one counts
  void Cancel(const absl::Status& reason);
  std::string Subject() const;  // "job my-job-1" or "process 4711"

  const Services& services_;
  const DumpRequest request_;
  const std::shared_ptr<Progress> progress_;
  const std::string operation_ = DrawOperationName();

  std::unique_ptr<plugin::StorageBackend> storage_;
  std::optional<MemoryGate::Share> memory_;
  criu::CriuProgram criu_;
  RestoreFacts facts_;
  std::vector<runtime::ProcessIdentity> tree_;
  std::vector<std::string> warnings_;
  plugin::StorageUrl url_;
  base::Context save_context_;
  std::unique_ptr<transfer::Save> save_;
  std::unique_ptr<OperationFolder> folder_;
  std::string cgroup_;             // op; empty without cgroup v2
  std::vector<std::string> hold_;  // the tree's, while it is held for its connections
  OperationRecord journal_;
  std::shared_ptr<runtime::ShimClient> shim_;
  std::string own_shim_folder_;  // of a bare process's shim
  std::unique_ptr<criu::ImageCapture> capture_;
  std::unique_ptr<criu::HookServer> hook_;
  std::atomic<int> criu_pid_{0};
  std::atomic<bool> frozen_{false};

  absl::Mutex mutex_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);  // the first of our own
  std::optional<transfer::CheckpointInfo> committed_ ABSL_GUARDED_BY(mutex_);
  bool post_dump_seen_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace cedana::daemon
