// Every pack of one save: begun, finished, acknowledged.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/format/page_map.h"
#include "core/transfer/catalog.h"

namespace cedana::transfer {

// Thread-safe. Packs have numbers in the order in which they were begun.
class PackLedger {
 public:
  uint32_t Begin(const base::PackId& id, uint32_t key_epoch) {
    absl::MutexLock lock(&mutex_);
    StoredPack pack;
    pack.id = id;
    pack.key_epoch = key_epoch;
    packs_.push_back(std::move(pack));
    return static_cast<uint32_t>(packs_.size() - 1);
  }
  void Finish(uint32_t number, uint64_t bytes, uint32_t crc32c) {
    absl::MutexLock lock(&mutex_);
    packs_[number].bytes = bytes;
    packs_[number].crc32c = crc32c;
  }
  void Acknowledge(uint32_t number, std::vector<std::string> providers) {
    absl::MutexLock lock(&mutex_);
    packs_[number].providers = std::move(providers);
  }

  size_t size() const {
    absl::MutexLock lock(&mutex_);
    return packs_.size();
  }
  std::vector<StoredPack> packs() const {
    absl::MutexLock lock(&mutex_);
    return packs_;
  }
  // The packs from number `first` on, as page map and manifest name them.
  std::vector<format::PackRef> References(size_t first) const {
    absl::MutexLock lock(&mutex_);
    std::vector<format::PackRef> references;
    for (size_t i = first; i < packs_.size(); ++i) {
      references.push_back({packs_[i].id, packs_[i].key_epoch,
                            static_cast<uint32_t>(packs_[i].bytes), packs_[i].crc32c});
    }
    return references;
  }
  uint64_t TotalBytes() const {
    absl::MutexLock lock(&mutex_);
    uint64_t total = 0;
    for (const StoredPack& pack : packs_) total += pack.bytes;
    return total;
  }

 private:
  mutable absl::Mutex mutex_;
  std::vector<StoredPack> packs_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cedana::transfer
