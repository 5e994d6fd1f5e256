// Faults on purpose: one plan, and a decorator for each port that asks it before and after a call.
//
//   FaultPlan plan;
//   plan.FailCall(3, absl::UnknownError("gone"), FaultPlan::Moment::kAfter);
//   FaultyCatalog catalog(&memory_catalog, &plan);   // the third call works, its reply is lost
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/transfer/catalog.h"
#include "core/transfer/pack_sink.h"
#include "core/transfer/pack_source.h"

namespace cedana::transfer {

// Thread-safe. Calls are counted over every decorator that shares the plan. Their names are the
// methods': "Begin", "Commit", "Put", "Read"…
class FaultPlan {
 public:
  enum class Moment { kBefore, kAfter };  // the call never happens; its reply is lost

  // The n-th call from the start, counting from 1.
  void FailCall(int n, absl::Status status, Moment moment = Moment::kBefore);
  // The next `times` calls of that name.
  void FailNext(const std::string& name, absl::Status status, Moment moment = Moment::kBefore,
                int times = 1);
  // Every call of that name takes so much longer.
  void Delay(const std::string& name, absl::Duration delay);
  // Calls of that name wait until Release, or their context ends.
  void Block(const std::string& name);
  void Release(const std::string& name);
  // Waits until that many calls of the name have begun.
  void AwaitCalls(const std::string& name, int calls);

  int calls() const;
  int calls(const std::string& name) const;
  bool fired() const;  // a fault was given

  // For the decorators: what to return instead of calling, or after it.
  struct Verdict {
    absl::Status before;
    absl::Status after;
  };
  Verdict Ask(const base::Context& context, const std::string& name);

 private:
  struct Fault {
    absl::Status status;
    Moment moment = Moment::kBefore;
    int times = 1;
  };
  absl::Status WaitLocked(const base::Context& context, const std::string& name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  absl::CondVar changed_;
  int calls_ ABSL_GUARDED_BY(mutex_) = 0;
  bool fired_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, int> calls_by_name_ ABSL_GUARDED_BY(mutex_);
  std::map<int, Fault> by_number_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Fault> by_name_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, absl::Duration> delays_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, bool> blocked_ ABSL_GUARDED_BY(mutex_);
};

// Borrows both.
class FaultyCatalog : public Catalog {
 public:
  FaultyCatalog(Catalog* inner, FaultPlan* plan) : inner_(*inner), plan_(*plan) {}

  absl::StatusOr<BegunSave> Begin(const base::Context& context,
                                  const BeginRequest& request) override;
  absl::Status Heartbeat(const base::Context& context, const base::SaveId& save) override;
  absl::StatusOr<CheckpointInfo> Commit(const base::Context& context,
                                        const CommitRequest& request) override;
  absl::Status Abort(const base::Context& context, const base::SaveId& save) override;
  absl::StatusOr<SaveOutcome> Outcome(const base::Context& context,
                                      const base::SaveId& save) override;
  absl::StatusOr<OpenedCheckpoint> Open(const base::Context& context, const std::string& path,
                                        const base::LeaseId& lease) override;
  absl::Status RenewHold(const base::Context& context, const base::LeaseId& lease) override;
  absl::Status Close(const base::Context& context, const base::LeaseId& lease) override;
  absl::StatusOr<std::vector<CheckpointInfo>> List(const base::Context& context,
                                                   const ListQuery& query) override;
  absl::Status Delete(const base::Context& context, const std::string& path) override;

 private:
  Catalog& inner_;
  FaultPlan& plan_;
};

class FaultySink : public PackSink {
 public:
  FaultySink(std::unique_ptr<PackSink> inner, FaultPlan* plan)
      : inner_(std::move(inner)), plan_(*plan) {}
  absl::StatusOr<std::vector<std::string>> Put(const base::Context& context,
                                               const base::PackId& pack,
                                               std::span<const uint8_t> bytes,
                                               uint32_t crc32c) override;
  void SetPatience(absl::Duration patience) override { inner_->SetPatience(patience); }

 private:
  const std::unique_ptr<PackSink> inner_;
  FaultPlan& plan_;
};

class FaultySource : public PackSource {
 public:
  FaultySource(std::unique_ptr<PackSource> inner, FaultPlan* plan)
      : inner_(std::move(inner)), plan_(*plan) {}
  absl::StatusOr<std::string> Read(const base::Context& context, const base::PackId& pack,
                                   uint64_t offset, std::span<uint8_t> out,
                                   std::span<const std::string> avoid) override;
  void ReportDamage(const base::PackId& pack, const std::string& provider,
                    const absl::Status& what) override {
    inner_->ReportDamage(pack, provider, what);
  }

 private:
  const std::unique_ptr<PackSource> inner_;
  FaultPlan& plan_;
};

}  // namespace cedana::transfer
