// Packs that the service has to read back before a commit, because their provider vouches for no
// checksum (sightings.h), and how far it has come with each: it begins while the dump goes on
// (read_ahead.h), and a commit, or one that is repeated, goes on from there.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "core/base/context.h"
#include "core/objstore/object_store.h"

namespace cedana::replica {

// Thread-safe; an object is read by one thread at a time. Keys are written once and never changed
// (I3), so what was read of one stays true; what changes later is the scrub's to find. Bounded: of
// many packs, the oldest are read again.
class ReadBacks {
 public:
  // The first `bytes` of an object, or all of it.
  struct Content {
    uint64_t bytes = 0;
    uint32_t crc32c = 0;
    friend bool operator==(const Content&, const Content&) = default;
  };

  // Reads what has not been read of the first `bytes` of the object at `key`, or waits for whoever
  // is reading it already. What was read before an error is kept.
  absl::StatusOr<Content> Read(const base::Context& context, const std::string& provider,
                               objstore::ObjectStore& store, const std::string& key,
                               uint64_t bytes);
  // The same. OK: it is what is expected; kDataLoss: it is not (the next call begins anew); others:
  // nobody knows.
  absl::Status Check(const base::Context& context, const std::string& provider,
                     objstore::ObjectStore& store, const std::string& key, const Content& expected);
  // The service has written this object itself.
  void Note(const std::string& provider, const std::string& key, const Content& content);
  // Whether all of it was read before, and was what is expected.
  bool Matches(const std::string& provider, const std::string& key, const Content& expected) const;
  // Whether Read has nothing to do.
  bool Knows(const std::string& provider, const std::string& key, uint64_t bytes) const;
  // The provider is gone, or another has its name.
  void Forget(const std::string& provider);

 private:
  using Name = std::pair<std::string, std::string>;  // provider, key

  Content Of(const Name& name) const;
  void Drop(const Name& name);
  absl::Status Occupy(const base::Context& context, const Name& name);
  void Release(const Name& name);

  mutable absl::Mutex mutex_;
  std::set<Name> busy_ ABSL_GUARDED_BY(mutex_);
  std::map<Name, Content> known_ ABSL_GUARDED_BY(mutex_);
  std::deque<Name> order_ ABSL_GUARDED_BY(mutex_);  // of the first note; may name dropped ones
};

}  // namespace cedana::replica
