// Reads packs back while their dump goes on, where the provider vouches for no checksum: a commit
// then finds most of them known (read_backs.h), however large the dump was, and the frozen process
// does not wait for it.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "core/base/context.h"
#include "core/base/thread.h"
#include "storage/replica/vault.h"

namespace cedana::replica {

// One round over all living saves at all providers that need it; the number of packs that were
// read. What fails is left to the next round or to the commit, which says why.
absl::StatusOr<uint64_t> ReadAheadRound(const base::Context& context, const Vault& vault);

// Such rounds, from construction to destruction, which waits for what is being done.
class ReadAheadWorker {
 public:
  explicit ReadAheadWorker(const Vault* vault);
  ~ReadAheadWorker();

 private:
  void Run();

  const Vault& vault_;
  const std::shared_ptr<base::CancelSource> cancel_;
  base::Thread thread_;
};

}  // namespace cedana::replica
