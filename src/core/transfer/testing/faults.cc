#include "core/transfer/testing/faults.h"

#include <utility>

#include "core/base/status.h"

namespace cedana::transfer {
namespace {

absl::Status StatusOf(const absl::Status& status) { return status; }
template <typename T>
absl::Status StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

// `call` between the two halves of a verdict.
template <typename Call>
auto WithFaults(FaultPlan& plan, const base::Context& context, const char* name, Call call)
    -> decltype(call()) {
  const FaultPlan::Verdict verdict = plan.Ask(context, name);
  if (!verdict.before.ok()) return verdict.before;
  auto result = call();
  if (!verdict.after.ok() && StatusOf(result).ok()) return verdict.after;
  return result;
}

}  // namespace

void FaultPlan::FailCall(int n, absl::Status status, Moment moment) {
  absl::MutexLock lock(&mutex_);
  by_number_[n] = {std::move(status), moment, 1};
}

void FaultPlan::FailNext(const std::string& name, absl::Status status, Moment moment, int times) {
  absl::MutexLock lock(&mutex_);
  by_name_[name] = {std::move(status), moment, times};
}

void FaultPlan::Delay(const std::string& name, absl::Duration delay) {
  absl::MutexLock lock(&mutex_);
  delays_[name] = delay;
}

void FaultPlan::Block(const std::string& name) {
  absl::MutexLock lock(&mutex_);
  blocked_[name] = true;
}

void FaultPlan::Release(const std::string& name) {
  absl::MutexLock lock(&mutex_);
  blocked_[name] = false;
  changed_.SignalAll();
}

void FaultPlan::AwaitCalls(const std::string& name, int calls) {
  absl::MutexLock lock(&mutex_);
  while (calls_by_name_[name] < calls) changed_.Wait(&mutex_);
}

int FaultPlan::calls() const {
  absl::MutexLock lock(&mutex_);
  return calls_;
}

int FaultPlan::calls(const std::string& name) const {
  absl::MutexLock lock(&mutex_);
  const auto count = calls_by_name_.find(name);
  return count == calls_by_name_.end() ? 0 : count->second;
}

bool FaultPlan::fired() const {
  absl::MutexLock lock(&mutex_);
  return fired_;
}

absl::Status FaultPlan::WaitLocked(const base::Context& context, const std::string& name) {
  // In short steps, because a context cannot wake this condition.
  while (blocked_[name]) {
    CEDANA_RETURN_IF_ERROR(context.Check());
    changed_.WaitWithTimeout(&mutex_, absl::Milliseconds(5));
  }
  return absl::OkStatus();
}

FaultPlan::Verdict FaultPlan::Ask(const base::Context& context, const std::string& name) {
  absl::Duration delay;
  Fault fault;
  {
    absl::MutexLock lock(&mutex_);
    ++calls_by_name_[name];
    const auto numbered = by_number_.find(++calls_);
    const auto named = by_name_.find(name);
    if (numbered != by_number_.end()) {
      fault = numbered->second;
    } else if (named != by_name_.end() && named->second.times > 0) {
      --named->second.times;
      fault = named->second;
    }
    fired_ = fired_ || !fault.status.ok();
    delay = delays_[name];
    changed_.SignalAll();
    if (absl::Status status = WaitLocked(context, name); !status.ok()) return {status, {}};
  }
  if (delay > absl::ZeroDuration()) {
    if (absl::Status status = context.Sleep(delay); !status.ok()) return {status, {}};
  }
  if (fault.moment == Moment::kBefore) return {fault.status, {}};
  return {{}, fault.status};
}

absl::StatusOr<BegunSave> FaultyCatalog::Begin(const base::Context& context,
                                               const BeginRequest& request) {
  return WithFaults(plan_, context, "Begin", [&] { return inner_.Begin(context, request); });
}

absl::Status FaultyCatalog::Heartbeat(const base::Context& context, const base::SaveId& save) {
  return WithFaults(plan_, context, "Heartbeat", [&] { return inner_.Heartbeat(context, save); });
}

absl::StatusOr<CheckpointInfo> FaultyCatalog::Commit(const base::Context& context,
                                                     const CommitRequest& request) {
  return WithFaults(plan_, context, "Commit", [&] { return inner_.Commit(context, request); });
}

absl::Status FaultyCatalog::Abort(const base::Context& context, const base::SaveId& save) {
  return WithFaults(plan_, context, "Abort", [&] { return inner_.Abort(context, save); });
}

absl::StatusOr<SaveOutcome> FaultyCatalog::Outcome(const base::Context& context,
                                                   const base::SaveId& save) {
  return WithFaults(plan_, context, "Outcome", [&] { return inner_.Outcome(context, save); });
}

absl::StatusOr<OpenedCheckpoint> FaultyCatalog::Open(const base::Context& context,
                                                     const std::string& path,
                                                     const base::LeaseId& lease) {
  return WithFaults(plan_, context, "Open", [&] { return inner_.Open(context, path, lease); });
}

absl::Status FaultyCatalog::RenewHold(const base::Context& context, const base::LeaseId& lease) {
  return WithFaults(plan_, context, "RenewHold", [&] { return inner_.RenewHold(context, lease); });
}

absl::Status FaultyCatalog::Close(const base::Context& context, const base::LeaseId& lease) {
  return WithFaults(plan_, context, "Close", [&] { return inner_.Close(context, lease); });
}

absl::StatusOr<std::vector<CheckpointInfo>> FaultyCatalog::List(const base::Context& context,
                                                                const ListQuery& query) {
  return WithFaults(plan_, context, "List", [&] { return inner_.List(context, query); });
}

absl::Status FaultyCatalog::Delete(const base::Context& context, const std::string& path) {
  return WithFaults(plan_, context, "Delete", [&] { return inner_.Delete(context, path); });
}

absl::StatusOr<std::vector<std::string>> FaultySink::Put(const base::Context& context,
                                                         const base::PackId& pack,
                                                         std::span<const uint8_t> bytes,
                                                         uint32_t crc32c) {
  return WithFaults(plan_, context, "Put",
                    [&] { return inner_->Put(context, pack, bytes, crc32c); });
}

absl::StatusOr<std::string> FaultySource::Read(const base::Context& context,
                                               const base::PackId& pack, uint64_t offset,
                                               std::span<uint8_t> out,
                                               std::span<const std::string> avoid) {
  return WithFaults(plan_, context, "Read",
                    [&] { return inner_->Read(context, pack, offset, out, avoid); });
}

}  // namespace cedana::transfer
