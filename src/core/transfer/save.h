// One dump's flow of data: image files in, pages, blocks, packs, commit. The stages in order are
// in save.cc, readable from top to bottom.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/context.h"
#include "core/base/random.h"
#include "core/transfer/catalog.h"
#include "core/transfer/pack_sink.h"

namespace cedana::transfer {

// An image file being produced. Read fills up to `out.size()` bytes and returns their number, 0 at
// the end. Called from one thread.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual absl::StatusOr<size_t> Read(std::span<uint8_t> out) = 0;
};

struct SaveOptions {
  base::SaveId save;
  base::CheckpointId checkpoint;
  std::string path;
  bool generated_name = false;
  std::string codec = "none";     // a name of codec/registry.h
  int pipelines = 0;              // parallel compress-and-seal workers; 0 = one per core
  size_t memory_limit_bytes = 0;  // everything in flight (I5); 0 = the default of limits.h
  bool one_file = false;          // Store is called once: less memory suffices
  base::Clock* clock = nullptr;   // null: the system's
  base::Random* random = nullptr;
};

// Counters that a watcher may read at any time from any thread.
struct SaveProgress {
  std::atomic<uint64_t> image_bytes{0};   // read from the image files so far
  std::atomic<uint64_t> zero_bytes{0};    // of these, all-zero pages
  std::atomic<uint64_t> sealed_bytes{0};  // put into packs
  std::atomic<uint64_t> stored_bytes{0};  // acknowledged by a provider
};

// Lifecycle: Begin, Store for each image file (in parallel), Finish or Abort. Thread-safe where
// said; destroying it without Finish aborts.
class Save {
 public:
  // Makes the save known to the catalog (lease, keys) and starts the pipeline. The sink is made
  // after Begin, by `open_sink`, because it belongs to the save. Borrowed pointers outlive the
  // Save. `context` is that of the whole save: its end aborts it.
  using OpenSink = std::function<std::unique_ptr<PackSink>(const base::SaveId&)>;
  static absl::StatusOr<std::unique_ptr<Save>> Begin(const base::Context& context,
                                                     SaveOptions options, Catalog* catalog,
                                                     const OpenSink& open_sink);
  virtual ~Save() = default;

  // Reads `source` to its end and stores it as image file `name`. Thread-safe; blocks while the
  // memory budget is used up. After an error the save can only be aborted.
  virtual absl::Status Store(const std::string& name, ByteSource& source) = 0;

  // All image files are in: drains the pipeline, waits until every pack is durable, writes page
  // map and manifest, commits. `commit_timeout` bounds the wait for the commit's answer, retries
  // included. kUnknown: committed or not is not known; ask Catalog::Outcome.
  virtual absl::StatusOr<CheckpointInfo> Finish(const JobFacts& facts,
                                                absl::Duration commit_timeout) = 0;

  // Stops everything and tells the catalog. Safe at any time, also after a failed Finish, from
  // any thread; wakes blocked Store calls, which then return `reason`.
  virtual void Abort(absl::Status reason) = 0;

  // From now on nobody is frozen meanwhile: storage that is away may be waited for so long, and
  // until the lease ends.
  virtual void SetPatience(absl::Duration patience) = 0;

  virtual const SaveProgress& progress() const = 0;
  // Grows while anything moves, into the pipeline or out to the storage: deadlines follow it (I8).
  virtual uint64_t moved_bytes() const = 0;
  virtual const std::string& path() const = 0;  // the final one
};

}  // namespace cedana::transfer
