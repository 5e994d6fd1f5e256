// Where the checkpoints of a job may lie. A place is one storage to ask: all of cedana://, or one
// folder of a bucket. What this daemon has written down names places; other daemons use them too,
// so only the storage there knows what it holds.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cedana/daemon/job_table.h"
#include "cedana/daemon/services.h"
#include "cedana/plugin/storage_backend.h"
#include "cedana/plugin/storage_url.h"
#include "core/base/context.h"
#include "core/transfer/catalog.h"

namespace cedana::daemon {

// Opens the back end for checkpoints in a folder. Thread-safe.
using OpenPlace = std::function<absl::StatusOr<std::unique_ptr<plugin::StorageBackend>>(
    const plugin::StorageUrl& folder)>;
// Services::OpenStorage; `services` is borrowed.
OpenPlace OpenerOf(const Services& services, std::string operation = "");

// The place of a folder, and of the checkpoint at `url`.
plugin::StorageUrl PlaceOfFolder(const plugin::StorageUrl& folder);
plugin::StorageUrl PlaceOf(const plugin::StorageUrl& url);

// The folder to look in when nothing else says where: `command_dir` (checkpoint.dir as the command
// has it), else `daemon_dir`, where they are storage URLs; else all of cedana://.
absl::StatusOr<plugin::StorageUrl> DefaultFolder(const std::string& command_dir,
                                                 const std::string& daemon_dir);

// Whose checkpoints are looked for, and where.
struct JobSearch {
  std::string name;
  std::string id;  // uuid; empty: this daemon does not know the job, so it goes by the name
  // What this daemon knows of, newest first. One without an id is no record: it is the checkpoint
  // of another daemon that the job was last restored from.
  std::vector<CheckpointRecord> known;
  plugin::StorageUrl default_folder;

  // By id where it is known, else by name.
  transfer::ListQuery Query() const;
  // Is one of `known` in this place?
  bool Knows(const plugin::StorageUrl& place) const;
  // The places of `known`, newest first, then that of the default folder; each once.
  std::vector<plugin::StorageUrl> Places() const;
};
absl::StatusOr<JobSearch> SearchFor(const Services& services, const std::string& job_name,
                                    const std::string& command_dir);

// Everywhere that this daemon knows of: of every job, then the default folder's.
absl::StatusOr<std::vector<plugin::StorageUrl>> AllPlaces(const Services& services,
                                                          const std::string& command_dir);

struct PlaceAnswer {
  plugin::StorageUrl place;
  std::unique_ptr<plugin::StorageBackend> storage;  // null: it could not be opened
  absl::StatusOr<std::vector<transfer::CheckpointInfo>> found;
};
using Question = std::function<absl::StatusOr<std::vector<transfer::CheckpointInfo>>(
    const base::Context& context, transfer::Catalog& catalog)>;

// Puts `question` to all places, a few at once; the answers are in their order. Waits for the first
// place until `context` ends and for each other one at most for `patience`. `question` is called
// from several threads.
std::vector<PlaceAnswer> AskPlaces(const base::Context& context, const OpenPlace& open,
                                   const std::vector<plugin::StorageUrl>& places,
                                   absl::Duration patience, const Question& question);
std::vector<PlaceAnswer> AskPlaces(const base::Context& context, const OpenPlace& open,
                                   const std::vector<plugin::StorageUrl>& places,
                                   absl::Duration patience, const transfer::ListQuery& query);

}  // namespace cedana::daemon
