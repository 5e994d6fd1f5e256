// One restore, from the request to the running job; a failed one leaves nothing behind (I10). The
// order of things is Run() in restore.cc.
#pragma once

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
#include "core/transfer/load.h"

namespace cedana::daemon {

struct RestoreRequest {
  std::string job_name;     // empty: a bare process by path
  std::string path;         // storage URL; empty: the job's newest checkpoint
  std::string dir;          // storage URL of the folder to search, and only that; may be empty
  std::string default_dir;  // where else to look, as the command has it
  std::string log;          // --out; empty: as before
  bool attachable = false;
  bool hold_output = false;  // until the first attach
  bool tcp_close = false;
  bool tcp_established = false;
  std::vector<std::string> external;
};

struct RestoreResult {
  std::shared_ptr<Job> job;
  int pid = 0;
  transfer::CheckpointInfo info;
  absl::Duration wall;
};

class RestoreOperation {
 public:
  RestoreOperation(const Services& services, RestoreRequest request,
                   std::shared_ptr<Progress> progress);
  ~RestoreOperation();

  absl::StatusOr<RestoreResult> Run(const base::Context& context);
  // In the logs.
  const std::string& operation() const { return operation_; }

 private:
  // Which checkpoint?
  absl::Status FindCheckpoint(const base::Context& context);
  // May it be restored here? Nothing is touched before all of it is answered.
  absl::Status OpenCheckpoint(const base::Context& context);
  absl::Status CheckHost();
  absl::Status PrepareJob();
  absl::Status PrepareStdio(criu::RestoreFlags* flags, runtime::CriuRequest* run);
  absl::Status RecreateLogs();
  absl::Status BeginJournal();
  absl::Status Listen();
  absl::StatusOr<runtime::CriuExit> RunCriu();
  absl::Status PostRestore();
  absl::Status Conclude(const absl::StatusOr<runtime::CriuExit>& exit);
  absl::Status TakeOver();
  absl::Status FailureOf(const absl::StatusOr<runtime::CriuExit>& exit);
  void Undo();
  void Cancel(const absl::Status& reason);

  const Services& services_;
  const RestoreRequest request_;
  const std::shared_ptr<Progress> progress_;
  const std::string operation_ = DrawOperationName();

  plugin::StorageUrl url_;
  std::unique_ptr<plugin::StorageBackend> storage_;
  std::optional<MemoryGate::Share> memory_;
  std::unique_ptr<transfer::Load> load_;
  RestoreFacts facts_;
  criu::CriuProgram criu_;
  std::shared_ptr<Job> job_;
  std::optional<JobLock> lock_;
  bool job_is_new_ = false;
  JobRecord record_;  // what the job becomes
  std::unique_ptr<OperationFolder> folder_;
  std::string cgroup_;
  OperationRecord journal_;
  std::shared_ptr<runtime::ShimClient> shim_;
  std::unique_ptr<criu::ImageServe> serve_;
  std::unique_ptr<criu::HookServer> hook_;

  absl::Mutex mutex_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  bool said_yes_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace cedana::daemon
