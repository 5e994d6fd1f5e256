// `provider test`: everything that the service and its clients will do with a provider, tried once,
// and what will bite an operator later.
#pragma once

#include <string>
#include <vector>

#include "core/base/context.h"
#include "storage/replica/vault.h"

namespace cedana::replica {

struct ExamineItem {
  std::string what;
  bool ok = true;
  // Why not, or what was measured.
  std::string detail;
  bool warning = false;  // works, but will bite
};

struct Examined {
  std::vector<ExamineItem> items;
  objstore::Capabilities capabilities;  // without the claims that do not hold
};

// Writes, reads, lists and deletes small objects `x/probe-<random>`, by the service's own rights
// and by grants, wrong ones too (grant_trial.h); leaves nothing behind where it may delete. Takes
// at most the context's time.
Examined ExamineProvider(const base::Context& context, const Vault& vault,
                         const Provider& provider);

}  // namespace cedana::replica
