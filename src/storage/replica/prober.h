// The background thread that asks every provider for a small object, so that the service knows who
// is well, and how fast, before anybody has to wait for it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/context.h"
#include "core/base/thread.h"
#include "storage/replica/vault.h"

namespace cedana::replica {

class ProviderRegistry;
class Repairer;

// One probe of every provider, in parallel, each bounded by two seconds; told to the health board.
// Asked for is an organisation's key, which every provider holds: returns those that answer and
// have it not, because they were emptied or are new.
std::vector<std::string> ProbeAll(const base::Context& context, const Vault& vault);

// Runs from construction to destruction.
class Prober {
 public:
  // All outlive it. The repairer learns who is under suspicion.
  Prober(const Vault* vault, ProviderRegistry* registry, Repairer* repairer);
  ~Prober();

 private:
  void Run();
  // Until the next round is due, or a client's report calls for it. False: the service stops.
  bool WaitForRound();

  const Vault& vault_;
  ProviderRegistry& registry_;
  Repairer& repairer_;
  const std::shared_ptr<base::CancelSource> cancel_;
  base::Thread thread_;
};

}  // namespace cedana::replica
