// A store in memory, for tests and for a service that keeps nothing.
#pragma once

#include <map>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/base/clock.h"
#include "core/objstore/object_store.h"

namespace cedana::objstore {

// Thread-safe.
class MemoryStore final : public ObjectStore {
 public:
  // `clock` (borrowed) stamps the objects.
  explicit MemoryStore(base::Clock* clock = &base::SystemClock()) : clock_(clock) {}

  absl::Status Put(const base::Context& context, const ObjectKey& key,
                   std::span<const uint8_t> bytes, const PutOptions& options) override;
  absl::Status Get(const base::Context& context, const ObjectKey& key, uint64_t offset,
                   std::optional<uint64_t> length,
                   const std::function<absl::Status(std::span<const uint8_t>)>& sink) override;
  absl::StatusOr<std::optional<ObjectInfo>> Head(const base::Context& context,
                                                 const ObjectKey& key) override;
  absl::StatusOr<std::vector<ObjectInfo>> List(const base::Context& context,
                                               const std::string& prefix, const std::string& after,
                                               size_t limit) override;
  absl::Status Delete(const base::Context& context, const ObjectKey& key) override;
  Capabilities capabilities() const override { return {.keeps_checksum = true}; }

 private:
  struct Object {
    std::shared_ptr<const std::vector<uint8_t>> bytes;
    uint32_t crc32c = 0;
    absl::Time modified;
  };
  static ObjectInfo Describe(const std::string& key, const Object& object);

  base::Clock* const clock_;
  absl::Mutex mutex_;
  std::map<std::string, Object> objects_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cedana::objstore
