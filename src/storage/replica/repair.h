// Repair: brings packs and manifests back to as many copies as their organisation's policy wants.
// What is to be done is in the catalog (debt); any number of workers may share it by claims.
//
// One object: shards that were only acknowledged are looked at; a good copy is read, checked whole
// (size and CRC-32C, a manifest by its SHA-256), written create-only where a copy is missing,
// looked at again, and only then counted. A damaged shard is deleted and written anew once a good
// copy is in hand, never before; where there is no other, it is read again now and then, for a
// mark may be wrong or out of date, and must not cost the last copy. A kill between any two steps
// leaves the debt, and the next try finds what was written.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/base/context.h"
#include "storage/replica/pace.h"
#include "storage/replica/vault.h"

namespace cedana::replica {

class ProviderRegistry;

struct RepairOptions {
  uint64_t bytes_per_s = 64u << 20;                // read, and as many written; 0: no bound
  int parallel = 2;                                // objects at once, 32 MiB of memory each
  absl::Duration claim = absl::Minutes(5);         // of one object; renewed while it takes longer
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
  using ShardName = std::pair<metadata::ObjectId, std::string>;
  // Each of these claimed debts, at once.
  std::vector<absl::Status> PayAll(const base::Context& context,
                                   const std::vector<metadata::Debt>& debts);
  // Its bytes, read whole and checked, or looked at as cheaply as the provider allows; both in
  // their turn.
  absl::StatusOr<std::string> Read(const base::Context& context, const Provider& provider,
                                   const metadata::ReplicatedObject& object);
  absl::Status Look(const base::Context& context, const Provider& provider,
                    const metadata::ReplicatedObject& object);
  absl::StatusOr<std::string> ReadGood(const base::Context& context, Work& work);
  // Where it is wanted and can be written now, best first.
  std::vector<ProviderPtr> Targets(const Work& work) const;
  // The error of what has to wait, with the time after which the first provider that asks to be
  // left alone may be asked again.
  absl::Status NotNow(absl::string_view what) const;
  absl::Status CheckAcknowledged(const base::Context& context, Work& work);
  absl::Status WriteMissing(const base::Context& context, Work& work);
  absl::Status WriteShard(const base::Context& context, Work& work, const Provider& target,
                          absl::string_view bytes);
  absl::Status RemoveDamaged(const base::Context& context, Work& work);
  // The verdict of the last whole read of it, if that is no older than `age`.
  std::optional<DamageVerdict> Remembered(const ShardName& shard, absl::Duration age) const;
  void Remember(const ShardName& shard, DamageVerdict verdict);
  // Notes what a look at a shard has shown.
  absl::Status Note(const metadata::ObjectRef& ref, const std::string& provider,
                    const absl::Status& seen);

  const Vault& vault_;
  const RepairOptions options_;
  const std::string worker_;
  Pace read_pace_;
  Pace write_pace_;

  absl::Mutex inspect_mutex_;  // held for a look, 32 MiB of memory
  mutable absl::Mutex mutex_;
  std::map<ShardName, std::pair<absl::Duration, DamageVerdict>> looked_ ABSL_GUARDED_BY(mutex_);
  RepairCounts counts_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> suspects_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cedana::replica
