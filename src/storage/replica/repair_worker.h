// The background threads of repair: one pays debts as they become due, one looks at listings, and
// at what grants bind.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "core/base/context.h"
#include "core/base/thread.h"
#include "storage/replica/registry.h"
#include "storage/replica/repair.h"

namespace cedana::replica {

// Runs from construction to destruction, which waits for what is being done. A provider that is
// back makes due what waits for it.
class RepairWorker {
 public:
  RepairWorker(const Vault* vault, Repairer* repairer, ProviderRegistry* registry);
  ~RepairWorker();

 private:
  void Repair();
  void Scrub();
  // `due`: when each provider's next trial is, by the monotonic clock.
  void TryGrantsWhereDue(const base::Context& context, std::map<std::string, absl::Duration>* due);

  const Vault& vault_;
  Repairer& repairer_;
  ProviderRegistry* const registry_;
  const std::shared_ptr<base::CancelSource> cancel_;
  base::Thread repair_thread_;
  base::Thread scrub_thread_;
};

}  // namespace cedana::replica
