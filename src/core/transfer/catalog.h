// The catalog as save and load see it: who owns a path, under which lease, with which keys. Port
// number one of three (see also pack_sink.h, pack_source.h). Implemented over HTTP by
// cedana/remote, in the service by storage/metadata, and in memory by transfer/testing.
//
// All calls block until `context` ends at the latest, may be made from any thread, and may be
// repeated with the same ids: the second call gives the answer of the first (I6).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/context.h"
#include "core/base/ids.h"
#include "core/base/json.h"
#include "core/format/keys.h"

namespace cedana::transfer {

// Facts about where a checkpoint came from; travels in its manifest and in the catalog. All text
// is UTF-8, any member may be empty.
struct JobFacts {
  std::string job_id;    // uuid (hex) of the job, empty for a bare process
  std::string job_name;  // "my-job-1"
  std::string type;      // "process"
  std::string host;
  std::string user;  // name of the uid that the process ran under
  std::string command_line;
  uint32_t pid = 0;
  // What restore needs to repeat (stdio, log path, TCP flags, CRIU version…), opaque here.
  base::Json details = base::Json::object();

  base::Json ToJson() const;
  static JobFacts FromJson(const base::Json& json);
};

struct CheckpointInfo {
  base::CheckpointId id;
  std::string path;           // without suffix, without scheme
  uint64_t sequence = 0;      // commit order; the newest is the highest, never a client's clock
  absl::Time created;         // the catalog's clock, at the commit
  uint64_t image_bytes = 0;   // sum of the image files
  uint64_t stored_bytes = 0;  // sealed bytes that it refers to
  uint64_t new_bytes = 0;     // sealed bytes that this save added
  std::string codec;          // name of the compression
  std::string durability;     // "durable", "fully replicated"
  JobFacts facts;
};

struct BeginRequest {
  base::SaveId save;
  base::CheckpointId checkpoint;
  std::string path;        // wanted path, without suffix
  bool generated = false;  // the name was generated: a taken path becomes path-2, path-3…
};

struct BegunSave {
  std::string path;  // the path it will have
  format::OrganisationKeys keys;
  absl::Duration lease;      // from now on, unless renewed
  absl::Duration heartbeat;  // renew this often
};

struct StoredPack {
  base::PackId id;
  uint64_t bytes = 0;
  uint32_t crc32c = 0;
  uint32_t key_epoch = 0;
  bool own = true;                     // written by this save; false: referred to from older ones
  std::vector<std::string> providers;  // that acknowledged it (own packs only)
};

struct CommitRequest {
  base::SaveId save;
  base::CheckpointId checkpoint;
  std::string path;
  std::string manifest;           // sealed bytes, at most base::kManifestBytesMax
  std::vector<StoredPack> packs;  // every pack that the checkpoint refers to
  uint64_t image_bytes = 0;
  uint64_t stored_bytes = 0;
  uint64_t new_bytes = 0;
  std::string codec;
  JobFacts facts;
};

enum class SaveOutcome { kOpen, kCommitted, kAborted, kUnknown };

struct OpenedCheckpoint {
  CheckpointInfo info;
  format::OrganisationKeys keys;
  std::string manifest;  // sealed bytes; their SHA-256 equals the one the catalog pinned
  absl::Duration lease;  // of the hold that this open took under the caller's LeaseId
  absl::Duration heartbeat;
};

// Which checkpoints: all members that are not empty must match.
struct ListQuery {
  std::string prefix;  // of the path; matches whole segments
  std::string job_name;
  std::string job_id;
  bool newest_per_job = false;   // only the newest of each job id (jobs only)
  uint64_t before_sequence = 0;  // page on: only older than this; 0 = from the newest
  uint32_t limit = 1000;         // at most base::kListPageMax
};

class Catalog {
 public:
  virtual ~Catalog() = default;

  // kAlreadyExists: the path is taken. kInvalidArgument: a bad path.
  virtual absl::StatusOr<BegunSave> Begin(const base::Context& context,
                                          const BeginRequest& request) = 0;
  // Renews the lease. kFailedPrecondition: the lease has ended; nothing of this save can commit.
  virtual absl::Status Heartbeat(const base::Context& context, const base::SaveId& save) = 0;
  // I1: when this returns OK the checkpoint is visible and durable. kUnknown: the reply was lost,
  // ask Outcome. Anything else: certainly not committed.
  virtual absl::StatusOr<CheckpointInfo> Commit(const base::Context& context,
                                                const CommitRequest& request) = 0;
  // After OK the save can never commit. kAlreadyExists: it had committed before.
  virtual absl::Status Abort(const base::Context& context, const base::SaveId& save) = 0;
  virtual absl::StatusOr<SaveOutcome> Outcome(const base::Context& context,
                                              const base::SaveId& save) = 0;

  // Takes a hold on the checkpoint under `lease`, so that it cannot be collected while it is read.
  virtual absl::StatusOr<OpenedCheckpoint> Open(const base::Context& context,
                                                const std::string& path,
                                                const base::LeaseId& lease) = 0;
  virtual absl::Status RenewHold(const base::Context& context, const base::LeaseId& lease) = 0;
  virtual absl::Status Close(const base::Context& context, const base::LeaseId& lease) = 0;

  // Newest first.
  virtual absl::StatusOr<std::vector<CheckpointInfo>> List(const base::Context& context,
                                                           const ListQuery& query) = 0;
  // Hides it at once; its bytes are collected later. kNotFound when there is none.
  virtual absl::Status Delete(const base::Context& context, const std::string& path) = 0;
};

}  // namespace cedana::transfer
