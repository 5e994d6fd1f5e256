#include "cedana/remote/damage_reports.h"

#include "absl/strings/str_cat.h"
#include "core/base/json.h"
#include "core/base/log.h"

namespace cedana::remote {
namespace {

// A checkpoint that is bad throughout needs no more to be known as such.
constexpr size_t kReportsMax = 256;
constexpr size_t kWhatBytesMax = 200;
// The end of a restore does not wait longer for what was found last.
constexpr absl::Duration kLinger = absl::Seconds(3);

}  // namespace

DamageReports::~DamageReports() {
  {
    absl::MutexLock lock(&mutex_);
    ending_ = true;
    changed_.SignalAll();
    const absl::Duration until = services_.clock->Monotonic() + kLinger;
    while (!waiting_.empty() && services_.clock->Monotonic() < until) {
      changed_.WaitWithTimeout(&mutex_, absl::Milliseconds(100));
    }
  }
  stop_->Cancel(absl::CancelledError("the restore has ended"));
  thread_.Join();
}

void DamageReports::Add(const base::PackId& pack, const std::string& provider,
                        const absl::Status& what) {
  absl::MutexLock lock(&mutex_);
  if (ending_ || known_.size() >= kReportsMax || !known_.insert({pack, provider}).second) return;
  base::LogWarn("a copy of a pack is bad",
                {{"pack", pack.ToHex()}, {"provider", provider}, {"error", what.message()}});
  waiting_.push_back({pack, provider, std::string(what.message().substr(0, kWhatBytesMax))});
  changed_.SignalAll();
  if (!thread_.joinable()) thread_ = base::Thread("damage-reports", [this] { Run(); });
}

void DamageReports::Run() {
  while (true) {
    Report report;
    {
      absl::MutexLock lock(&mutex_);
      while (waiting_.empty() && !ending_) changed_.Wait(&mutex_);
      if (waiting_.empty()) return;
      report = waiting_.front();
    }
    const absl::Status sent = Send(report);
    if (!sent.ok()) {
      base::LogWarn("the storage service could not be told of a bad pack",
                    {{"pack", report.pack.ToHex()},
                     {"provider", report.provider},
                     {"error", sent.message()}});
    }
    absl::MutexLock lock(&mutex_);
    waiting_.pop_front();
    changed_.SignalAll();
  }
}

absl::Status DamageReports::Send(const Report& report) {
  const base::Json body = {
      {"pack", report.pack.ToHex()}, {"provider", report.provider}, {"what", report.what}};
  const std::string target = absl::StrCat("/v3/leases/", lease_.ToHex(), "/damage");
  Retry retry(policy_, base::Context{.cancel = stop_}, services_);
  while (true) {
    absl::Status sent = api_->Call(retry.AttemptContext(), "POST", target, &body).status();
    if (sent.ok()) return sent;
    absl::Status final = retry.Wait(sent, /*repeat_is_safe=*/true);
    if (!final.ok()) return final;
  }
}

}  // namespace cedana::remote
