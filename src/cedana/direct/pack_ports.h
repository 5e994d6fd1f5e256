// The two ports for packs, straight over one object store.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "cedana/direct/retrying_store.h"
#include "core/transfer/pack_sink.h"
#include "core/transfer/pack_source.h"

namespace cedana::direct {

// Thread-safe; for any number of saves. Borrows the store. `provider` is its name in answers.
class DirectSink : public transfer::PackSink {
 public:
  DirectSink(RetryingStore* store, std::string provider)
      : store_(*store), provider_(std::move(provider)) {}

  absl::StatusOr<std::vector<std::string>> Put(const base::Context& context,
                                               const base::PackId& pack,
                                               std::span<const uint8_t> bytes,
                                               uint32_t crc32c) override;
  uint64_t moved_bytes() const override { return moved_bytes_; }

 private:
  RetryingStore& store_;
  const std::string provider_;
  std::atomic<uint64_t> moved_bytes_{0};
};

// Thread-safe. Borrows the store.
class DirectSource : public transfer::PackSource {
 public:
  DirectSource(RetryingStore* store, std::string provider)
      : store_(*store), provider_(std::move(provider)) {}

  absl::StatusOr<std::string> Read(const base::Context& context, const base::PackId& pack,
                                   uint64_t offset, std::span<uint8_t> out,
                                   std::span<const std::string> avoid) override;
  // Nobody can mend the only copy: it is in the log, and in the error of who needed it.
  void ReportDamage(const base::PackId& pack, const std::string& provider,
                    const absl::Status& what) override;

 private:
  RetryingStore& store_;
  const std::string provider_;
};

}  // namespace cedana::direct
