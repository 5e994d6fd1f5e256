// Tells the service of shards that turned out to be bad, behind the back of the reads: the service
// looks at each for itself, which takes as long as reading it.
#pragma once

#include <deque>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "cedana/remote/http_api.h"
#include "cedana/remote/retry.h"
#include "core/base/context.h"
#include "core/base/ids.h"
#include "core/base/thread.h"

namespace cedana::remote {

// Thread-safe. Borrows the API. Destruction gives what is still to be told a few seconds.
class DamageReports {
 public:
  DamageReports(const base::LeaseId& lease, const HttpApi* api, RetryPolicy policy,
                Services services)
      : lease_(lease), api_(api), policy_(policy), services_(services) {}
  ~DamageReports();

  // Logs it and sees that the service hears of it; each shard once. Does not wait.
  void Add(const base::PackId& pack, const std::string& provider, const absl::Status& what);

 private:
  struct Report {
    base::PackId pack;
    std::string provider;
    std::string what;
  };
  void Run();
  absl::Status Send(const Report& report);

  const base::LeaseId lease_;
  const HttpApi* const api_;
  const RetryPolicy policy_;
  const Services services_;
  const std::shared_ptr<base::CancelSource> stop_ = std::make_shared<base::CancelSource>();

  absl::Mutex mutex_;
  absl::CondVar changed_;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<std::pair<base::PackId, std::string>> known_ ABSL_GUARDED_BY(mutex_);
  std::deque<Report> waiting_ ABSL_GUARDED_BY(mutex_);  // the first is being sent
  base::Thread thread_;                                 // started with the first report
};

}  // namespace cedana::remote
