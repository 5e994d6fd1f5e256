// Repair: brings packs and manifests back to as many copies as their organisation's policy wants.
// What is to be done is in the catalog (debt); any number of workers may share it by claims.
//
// One object: shards that were only acknowledged are looked at; a good copy is read, checked whole
// (size and CRC-32C, a manifest by its SHA-256), written create-only where a copy is missing,
// looked at again, and only then counted. A damaged shard is deleted and written anew once a good
// copy is in hand, never before. A kill between any two steps leaves the debt, and the next try
// finds what was written.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/base/context.h"
#include "storage/replica/pace.h"
#include "storage/replica/vault.h"

namespace cedana::replica {

class ProviderRegistry;

struct RepairOptions {
  uint64_t bytes_per_s = 64u << 20;                // written; 0: no bound
  int parallel = 2;                                // objects at once, 32 MiB of memory each
  absl::Duration claim = absl::Minutes(5);         // of one object
  absl::Duration retry = absl::Seconds(10);        // doubled with every failure …
  absl::Duration retry_max = absl::Minutes(5);     // … up to this
  absl::Duration scrub_interval = absl::Hours(6);  // between two looks at a provider's listing
  absl::Duration scrub_pause = absl::Milliseconds(500);  // between two batches of a listing
};

// Since the start; for metrics.
struct RepairCounts {
  uint64_t paid = 0;       // objects brought back to full
  uint64_t postponed = 0;  // tries that failed
  uint64_t written_shards = 0;
  uint64_t written_bytes = 0;
  uint64_t damaged_shards = 0;  // found by whomever (findings.h)
  uint64_t missing_shards = 0;
};

enum class DamageVerdict { kSound, kDamaged, kMissing, kUnreachable };
const char* DamageName(DamageVerdict verdict);

// Thread-safe.
class Repairer {
 public:
  Repairer(const Vault* vault, const RepairOptions& options);

  // Pays what is due, what has the fewest copies first, until nothing is or `at_most` is over (what
  // was begun is ended); returns how many objects are full again. Errors are the catalog's or the
  // context's only.
  absl::StatusOr<uint64_t> Round(const base::Context& context,
                                 absl::Duration at_most = absl::InfiniteDuration());
  // One object. OK: it owes nothing any more.
  absl::Status Pay(const base::Context& context, const metadata::ObjectRef& ref);
  // Empties draining providers of what is full without them, and forgets those that are empty.
  absl::Status Drain(const base::Context& context, ProviderRegistry* registry);

  // A client could not use this shard: the service looks for itself, marks what is bad, and logs
  // it. One look per shard and minute, then the answer is repeated; one look at a time, others are
  // kUnavailable.
  absl::StatusOr<DamageVerdict> Inspect(const base::Context& context,
                                        const metadata::ObjectRef& ref,
                                        const std::string& provider);

  RepairCounts counts() const;
  const RepairOptions& options() const { return options_; }
  // Providers at which something is missing that ought to be there; taken once.
  void Suspect(const std::string& provider);
  std::set<std::string> TakeSuspects();

 private:
  struct Work;  // one object under repair
  absl::StatusOr<std::string> ReadGood(const base::Context& context, Work& work);
  absl::Status CheckAcknowledged(const base::Context& context, Work& work);
  absl::Status WriteMissing(const base::Context& context, Work& work);
  absl::Status WriteShard(const base::Context& context, Work& work, const Provider& target,
                          absl::string_view bytes);
  absl::Status RemoveDamaged(const base::Context& context, Work& work);
  // Notes what a look at a shard has shown.
  absl::Status Note(const metadata::ObjectRef& ref, const std::string& provider,
                    const absl::Status& seen);

  const Vault& vault_;
  const RepairOptions options_;
  const std::string worker_;
  Pace pace_;

  absl::Mutex inspect_mutex_;  // held for a look, 32 MiB of memory
  mutable absl::Mutex mutex_;
  using ShardName = std::pair<metadata::ObjectId, std::string>;
  std::map<ShardName, std::pair<absl::Duration, DamageVerdict>> looked_ ABSL_GUARDED_BY(mutex_);
  RepairCounts counts_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> suspects_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cedana::replica
