#include "storage/replica/fan_out.h"

#include <memory>
#include <utility>

#include "absl/time/clock.h"
#include "core/base/thread.h"

namespace cedana::replica {
namespace {

// Cancels with the caller's context, and when told.
class LinkedCancel {
 public:
  explicit LinkedCancel(const base::Context& context) : parent_(context.cancel) {
    if (parent_ == nullptr) return;
    handle_ = parent_->OnCancel([this] { own_->Cancel(parent_->status()); });
  }
  ~LinkedCancel() {
    if (parent_ != nullptr) parent_->RemoveCallback(handle_);
  }
  LinkedCancel(const LinkedCancel&) = delete;

  const std::shared_ptr<base::CancelSource>& source() const { return own_; }

 private:
  const std::shared_ptr<base::CancelSource> parent_;
  const std::shared_ptr<base::CancelSource> own_ = std::make_shared<base::CancelSource>();
  int handle_ = 0;
};

}  // namespace

std::vector<absl::Status> FanOut(const base::Context& context,
                                 const std::vector<ProviderPtr>& providers,
                                 const HealthBoard& health, const Patience& patience,
                                 const FanOutWork& work,
                                 const std::function<bool(const FanOutResults&)>& enough) {
  FanOutResults results(providers.size());
  LinkedCancel cancel(context);
  const base::Context own{.deadline = context.deadline, .cancel = cancel.source()};
  const absl::Time grace_end = absl::Now() + patience.grace;
  absl::Mutex mutex;
  size_t ended = 0;
  bool suffices = false;
  {
    std::vector<base::Thread> threads;
    for (size_t i = 0; i < providers.size(); ++i) {
      const bool healthy = health.Healthy(providers[i]->name);
      const base::Context bounded =
          own.WithTimeout(healthy ? patience.healthy : patience.unhealthy);
      threads.emplace_back("fan-out", [&, i, bounded] {
        absl::Status status = work(bounded, i);
        absl::MutexLock lock(&mutex);
        results[i] = std::move(status);
        ++ended;
        suffices = suffices || (enough && enough(results));
      });
    }
    absl::MutexLock lock(&mutex);
    const auto all_ended = [&] { return ended == providers.size(); };
    const auto may_stop = [&] { return all_ended() || suffices; };
    mutex.Await(absl::Condition(&may_stop));
    if (!all_ended() && !mutex.AwaitWithDeadline(absl::Condition(&all_ended), grace_end)) {
      cancel.source()->Cancel(absl::CancelledError("the others suffice"));
    }
  }
  std::vector<absl::Status> statuses;
  for (std::optional<absl::Status>& result : results) statuses.push_back(*std::move(result));
  return statuses;
}

}  // namespace cedana::replica
