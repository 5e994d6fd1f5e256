// The catalog: organisations, tokens, saves, checkpoints, packs. Kept in SQLite here; everything
// that uses it sees only narrow interfaces, so that another database can take its place.
//
// Time is the catalog's: `clock` judges every lease. Thread-safe.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/ids.h"
#include "storage/metadata/checkpoints.h"
#include "storage/metadata/chores.h"
#include "storage/metadata/collection.h"
#include "storage/metadata/identities.h"
#include "storage/metadata/providers.h"
#include "storage/metadata/replication.h"
#include "storage/metadata/saves.h"

namespace cedana::metadata {

struct MetadataOptions {
  base::Clock* clock = nullptr;              // null: the system's
  absl::Duration lease = absl::Minutes(5);   // of saves and holds
  absl::Duration grant = absl::Minutes(15);  // how long a grant is good
};

class Metadata {
 public:
  // Opens or creates `file`. Whoever serves it has locked its folder.
  static absl::StatusOr<std::unique_ptr<Metadata>> Open(const std::string& file,
                                                        const MetadataOptions& options);
  virtual ~Metadata() = default;
  virtual Identities& identities() = 0;
  virtual Saves& saves() = 0;
  virtual Checkpoints& checkpoints() = 0;
  virtual Collection& collection() = 0;
  virtual Providers& providers() = 0;
  virtual Replication& replication() = 0;
  virtual Chores& chores() = 0;
  // Who this catalog is: drawn when it is asked for first, the same ever after, and the same in one
  // that was restored from a backup.
  virtual absl::StatusOr<base::VaultId> VaultId(base::Random& random) = 0;
  // OK when it answers.
  virtual absl::Status Ping() = 0;
};

}  // namespace cedana::metadata
