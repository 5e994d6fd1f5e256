// Packs in memory: PackSink and PackSource over one map.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/transfer/pack_sink.h"
#include "core/transfer/pack_source.h"

namespace cedana::transfer {

// Thread-safe; outlives the sinks and sources that it makes.
class MemoryStore {
 public:
  std::unique_ptr<PackSink> OpenSink();
  std::unique_ptr<PackSource> OpenSource();

  // For tests.
  std::vector<base::PackId> packs() const;
  std::vector<uint8_t> Bytes(const base::PackId& pack) const;
  void FlipBit(const base::PackId& pack, size_t byte, int bit);
  void Remove(const base::PackId& pack);
  uint64_t bytes_read() const;  // by all sources
  std::vector<base::PackId> damage_reports() const;

  static constexpr char kProvider[] = "memory";

 private:
  class Sink;
  class Source;

  mutable absl::Mutex mutex_;
  std::map<base::PackId, std::vector<uint8_t>> packs_ ABSL_GUARDED_BY(mutex_);
  uint64_t bytes_read_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<base::PackId> damaged_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cedana::transfer
