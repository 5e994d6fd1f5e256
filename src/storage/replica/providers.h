// The object stores that the service works with at this moment, and the order in which they are
// best used. They come and go while it serves: whoever works with one holds it by its pointer.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/base/context.h"
#include "core/objstore/dialect.h"
#include "core/objstore/directory_store.h"
#include "core/objstore/object_store.h"
#include "storage/metadata/providers.h"
#include "storage/replica/findings.h"
#include "storage/replica/health.h"
#include "storage/replica/read_backs.h"

namespace cedana::replica {

// Never changes once it is in a set; a change is a new one in its place.
struct Provider {
  std::string name;
  std::string domain;  // failure domain
  std::string url;     // without any secret
  metadata::ProviderState state = metadata::ProviderState::kActive;
  objstore::Dialect dialect = objstore::Dialect::kDirectory;
  objstore::Capabilities capabilities;
  std::shared_ptr<objstore::ObjectStore> store;   // never null; thread-safe
  objstore::DirectoryStore* directory = nullptr;  // takes uploads by our own grants
  bool opened = true;  // false: `store` only says why it could not be opened

  bool active() const { return state == metadata::ProviderState::kActive; }
  // What it acknowledged under one of our grants is what was granted.
  bool enforces() const {
    return capabilities.grant_enforces_size && capabilities.grant_enforces_checksum;
  }
  // Whether it answers for the checksum of what is uploaded by a grant. Where not, even one that it
  // lists is only what the uploader told it.
  bool vouches_for_checksums() const {
    return capabilities.grant_enforces_checksum || capabilities.keeps_checksum;
  }
};
using ProviderPtr = std::shared_ptr<const Provider>;

// Thread-safe.
class ProviderSet {
 public:
  // Borrows the board, which outlives it.
  explicit ProviderSet(HealthBoard* health) : health_(*health) {}

  // In place of one with the same name, else at the end.
  void Put(Provider provider);
  // Claims of this provider that are not in `found` are not believed from now on. Nothing when it
  // is not in the set any more.
  void Weaken(const Provider& provider, const objstore::Capabilities& found);
  void Remove(const std::string& name);

  // A snapshot, in order of addition. Lost ones are not in it.
  std::vector<ProviderPtr> All() const;
  // Null when there is none.
  ProviderPtr Find(const std::string& name) const;
  // Best first: healthy, not reported failing, not throttling, not full; then the fastest; then the
  // oldest. For writing: active ones only.
  std::vector<ProviderPtr> Ranked(const base::OrgId& organisation, bool writing) const;
  // Those of `all` that are healthy, in that order; and those of them that need not be left alone.
  std::vector<ProviderPtr> Healthy() const;
  std::vector<ProviderPtr> Ready() const;
  // At least one answers.
  absl::Status Ping(const base::Context& context) const;
  HealthBoard& health() const { return health_; }
  ReadBacks& read_backs() { return read_backs_; }
  Findings& findings() { return findings_; }
  // Whether its commit records were compared with the catalog since the start (lost_commits.h).
  bool Compared(const std::string& name) const;
  void SetCompared(const std::string& name);

 private:
  HealthBoard& health_;
  ReadBacks read_backs_;
  Findings findings_;
  mutable absl::Mutex mutex_;
  std::vector<ProviderPtr> providers_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> compared_ ABSL_GUARDED_BY(mutex_);
};

// In how many different failure domains these are.
size_t CountDomains(const std::vector<ProviderPtr>& providers);

// At most `count` of these, in their order: the first of each failure domain before a second one of
// any.
std::vector<ProviderPtr> FirstOfDomains(const std::vector<ProviderPtr>& ranked, size_t count);

// A store that could not be opened: every call answers why.
std::unique_ptr<objstore::ObjectStore> MakeClosedStore(const absl::Status& why);

}  // namespace cedana::replica
