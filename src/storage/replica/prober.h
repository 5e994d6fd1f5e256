// The background thread that asks every provider for a small object that is not there, so that the
// service knows who is well, and how fast, before anybody has to wait for it.
#pragma once

#include <memory>

#include "core/base/context.h"
#include "core/base/thread.h"
#include "storage/replica/vault.h"

namespace cedana::replica {

class ProviderRegistry;

// One probe of every provider, in parallel, each bounded by two seconds; told to the health board.
void ProbeAll(const base::Context& context, const Vault& vault);

// Runs from construction to destruction.
class Prober {
 public:
  // Both outlive it. `registry` may be null: nothing is reopened.
  Prober(const Vault* vault, ProviderRegistry* registry);
  ~Prober();

 private:
  void Run();

  const Vault& vault_;
  ProviderRegistry* const registry_;
  const std::shared_ptr<base::CancelSource> cancel_;
  base::Thread thread_;
};

}  // namespace cedana::replica
