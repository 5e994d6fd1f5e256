// One range of a pack on its way from one of several providers: the rules by which GrantSource
// reads.
//
// - Providers are asked one after the other, in the service's order adjusted by what this client
//   knows of each (provider_health.h). One that fails is not asked again in this round.
// - A read slower than ProviderHealth::HedgeAfter is asked of another provider as well, when that
//   one is ready, the hedge is paid for and there is memory for a second answer. The first good
//   answer wins, and the other request is cancelled.
// - One that lags (three seconds without progress, a tenth of the usual rate, also where nothing
//   else is under way to compare with) is read elsewhere as well, without payment; where memory is
//   missing, a read that has stopped altogether is given up for it, one that moves goes on.
// - A provider that asked to be left alone is not asked: when no other is left the round ends, with
//   the time to wait.
// - Only whole answers reach the caller's buffer while Run is the last to write to it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "cedana/remote/provider_health.h"
#include "cedana/remote/retry.h"
#include "cedana/remote/wire.h"
#include "core/base/context.h"
#include "core/http/client.h"

namespace cedana::remote {

// Memory for second answers; shared by the reads of one restore, which counts it in its budget
// (I5). Thread-safe.
class SecondReads {
 public:
  explicit SecondReads(size_t bytes_max) : left_(bytes_max) {}
  bool Take(size_t bytes) {
    size_t left = left_.load(std::memory_order_relaxed);
    while (left >= bytes) {
      if (left_.compare_exchange_weak(left, left - bytes)) return true;
    }
    return false;
  }
  void Give(size_t bytes) { left_ += bytes; }

 private:
  std::atomic<size_t> left_;
};

// What all reads of a restore share. Everything is borrowed.
struct ReadShared {
  http::Client* data_client = nullptr;
  ProviderHealth* health = nullptr;
  SecondReads* second_reads = nullptr;
  Services services;
  absl::Duration tick = absl::Milliseconds(100);  // how often progress is looked at
  absl::Duration stopped_after =
      absl::Seconds(3);  // without a byte: given up where it is in the way
};

// Run once, by one thread, which decides; each request has a thread of its own, and none is left
// when Run returns. At most two requests at a time.
class PackRead {
 public:
  // `grants`: of the providers that may be asked, best first as the service sees it.
  PackRead(const ReadShared& shared, const base::Context& context, std::vector<Grant> grants,
           uint64_t offset, std::span<uint8_t> out);
  ~PackRead();

  // The provider whose answer fills `out`. Errors name every provider that was asked; where several
  // failed, one that may recover outweighs the rest, and kNotFound is said only by all.
  absl::StatusOr<std::string> Run();

  // After Run: what each provider that failed said.
  const std::vector<std::pair<std::string, absl::Status>>& failures() const { return failures_; }

 private:
  struct Request;

  // The steps of the deciding thread, over and over.
  void TakeEnded();
  void StartWhereNeeded();
  void WaitForEvent();

  bool StartNext();
  void StartBeside(Request& first);
  void Start(size_t grant, std::vector<uint8_t> own);
  void GiveUp(Request& request, const absl::Status& why);
  // The untried grant to use next, in order, and how ready its provider is; nothing: none is left.
  std::optional<ProviderHealth::Choice> Next();
  void StopAll(const absl::Status& reason);
  absl::Status Failure() const;
  absl::Duration Now() const { return shared_.services.clock->Monotonic(); }
  void Signal();

  const ReadShared& shared_;
  const base::Context context_;
  const std::vector<Grant> grants_;
  const uint64_t offset_;
  const std::span<uint8_t> out_;

  // Of the deciding thread.
  std::vector<bool> tried_;  // by grant
  std::vector<std::unique_ptr<Request>> under_way_;
  std::unique_ptr<Request> winner_;
  std::vector<std::pair<std::string, absl::Status>> failures_;

  absl::Mutex mutex_;  // guards the outcomes as well
  absl::CondVar event_;
  bool happened_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace cedana::remote
