#include "storage/replica/worker.h"

#include <algorithm>

#include "core/base/log.h"

namespace cedana::replica {
namespace {

// Queued commit records are looked for this often: one indexed query on a table that is empty most
// of the time.
constexpr absl::Duration kRecordInterval = absl::Seconds(1);
// After a failure (a provider is dark), so that the log says it twice a minute and not each second.
constexpr absl::Duration kRecordRetry = absl::Seconds(30);

// What providers owe from when they were dark: one indexed query for each that is healthy.
constexpr absl::Duration kChoreInterval = absl::Seconds(5);

void LogRound(const CollectionCounts& counts) {
  if (counts.swept_objects + counts.deleted_checkpoints + counts.condemned_packs +
          counts.deleted_packs ==
      0) {
    return;
  }
  base::LogInfo("collected", {{"swept_saves", counts.swept_saves},
                              {"swept_objects", counts.swept_objects},
                              {"deleted_checkpoints", counts.deleted_checkpoints},
                              {"condemned_packs", counts.condemned_packs},
                              {"deleted_packs", counts.deleted_packs},
                              {"deleted_bytes", counts.deleted_bytes}});
}

}  // namespace

Worker::Worker(const Vault* vault, Collector* collector)
    : vault_(*vault),
      collector_(*collector),
      cancel_(std::make_shared<base::CancelSource>()),
      thread_("collect", [this] { Run(); }) {}

Worker::~Worker() {
  cancel_->Cancel(absl::CancelledError("the service stops"));
  thread_.Join();
}

void Worker::Run() {
  const base::Context context{.cancel = cancel_};
  absl::Duration next_round = vault_.clock->Monotonic() + vault_.times.sweep_interval;
  absl::Duration next_records = absl::ZeroDuration();
  absl::Duration next_chores = absl::ZeroDuration();
  const absl::Duration pause = std::min(kRecordInterval, vault_.times.sweep_interval);
  while (!cancel_->WaitFor(pause)) {
    if (vault_.clock->Monotonic() >= next_records) {
      const absl::Status status = collector_.WriteRecords(context);
      if (!status.ok() && !absl::IsCancelled(status)) {
        base::LogWarn("commit records are late", {{"error", status.message()}});
        next_records = vault_.clock->Monotonic() + kRecordRetry;
      }
    }
    if (vault_.clock->Monotonic() >= next_chores) {
      const absl::StatusOr<uint64_t> done = collector_.DoChores(context);
      if (done.ok() && *done > 0) base::LogInfo("chores done", {{"chores", *done}});
      next_chores = vault_.clock->Monotonic() + kChoreInterval;
    }
    if (vault_.clock->Monotonic() < next_round) continue;
    const absl::StatusOr<CollectionCounts> counts = collector_.Round(context);
    if (counts.ok()) {
      LogRound(*counts);
    } else if (!absl::IsCancelled(counts.status())) {
      base::LogWarn("collection is late", {{"error", counts.status().message()}});
    }
    next_round = vault_.clock->Monotonic() + vault_.times.sweep_interval;
  }
}

}  // namespace cedana::replica
