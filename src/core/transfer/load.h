// One restore's flow of data: manifest, page map, reads ahead, blocks authenticated and expanded,
// image files out. The stages in order are in load.cc.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/context.h"
#include "core/base/random.h"
#include "core/transfer/catalog.h"
#include "core/transfer/pack_source.h"

namespace cedana::transfer {

// Where an image file's bytes go. Called in order from one thread.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual absl::Status Write(std::span<const uint8_t> bytes) = 0;
};

struct LoadOptions {
  std::string path;
  base::LeaseId lease;
  size_t memory_limit_bytes = 0;  // everything in flight (I5); 0 = the default of limits.h
  bool one_file = false;          // one Serve at a time, from a source that does not hedge
  int connections = 2;            // parallel reads
  base::Random* random = nullptr;
};

struct LoadProgress {
  std::atomic<uint64_t> read_bytes{0};    // sealed bytes received
  std::atomic<uint64_t> served_bytes{0};  // plain bytes handed to sinks, all authenticated
};

struct ImageFile {
  std::string name;
  uint64_t bytes = 0;
};

// Lifecycle: Open, Serve for each image file (in parallel), destroy (closes the hold). Thread-safe.
class Load {
 public:
  // `context` is that of the whole restore: its end cancels it. Borrowed pointers outlive the Load.
  using OpenSource = std::function<std::unique_ptr<PackSource>(const base::LeaseId&)>;
  static absl::StatusOr<std::unique_ptr<Load>> Open(const base::Context& context,
                                                    LoadOptions options, Catalog* catalog,
                                                    const OpenSource& open_source);
  virtual ~Load() = default;

  virtual const CheckpointInfo& info() const = 0;
  // Sorted by name.
  virtual const std::vector<ImageFile>& files() const = 0;
  virtual const ImageFile* Find(const std::string& name) const = 0;

  // Writes the whole image file to `sink`, every block authenticated before a byte of it leaves
  // (I4). kDataLoss names pack and provider. `offset`/`length`: a range of it.
  virtual absl::Status Serve(const std::string& name, ByteSink& sink, uint64_t offset = 0,
                             uint64_t length = UINT64_MAX) = 0;

  // Stops every Serve with `reason`. Safe at any time from any thread.
  virtual void Cancel(absl::Status reason) = 0;

  virtual const LoadProgress& progress() const = 0;
};

// The whole of a small image file in memory; kNotFound, kResourceExhausted over `max_bytes`.
absl::StatusOr<std::string> ReadImageFile(Load& load, const std::string& name, size_t max_bytes);

}  // namespace cedana::transfer
