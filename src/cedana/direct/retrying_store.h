// A store that tries again: the one place on this path that does (I6). Every operation of an object
// store may be repeated: a create-only Put that finds its object there after a lost answer says
// kAlreadyExists, and whoever put it compares (PutOnce).
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "core/base/retry.h"
#include "core/objstore/object_store.h"

namespace cedana::direct {

// Thread-safe. Errors have the place's name put before them.
class RetryingStore final : public objstore::ObjectStore {
 public:
  // Borrows `inner`. An operation gives up when for `policy.give_up_after` neither it nor a
  // neighbour has succeeded.
  RetryingStore(objstore::ObjectStore* inner, std::string place, base::RetryPolicy policy,
                base::Services services);

  absl::Status Put(const base::Context& context, const objstore::ObjectKey& key,
                   std::span<const uint8_t> bytes, const objstore::PutOptions& options) override;
  // Tried again only while the sink has had nothing: prefer Read and ReadAll.
  absl::Status Get(const base::Context& context, const objstore::ObjectKey& key, uint64_t offset,
                   std::optional<uint64_t> length,
                   const std::function<absl::Status(std::span<const uint8_t>)>& sink) override;
  absl::StatusOr<std::optional<objstore::ObjectInfo>> Head(const base::Context& context,
                                                           const objstore::ObjectKey& key) override;
  absl::StatusOr<std::vector<objstore::ObjectInfo>> List(const base::Context& context,
                                                         const std::string& prefix,
                                                         const std::string& after,
                                                         size_t limit) override;
  absl::Status Delete(const base::Context& context, const objstore::ObjectKey& key) override;

  // Fills all of `out` from `offset`, however often the answer breaks off. kDataLoss: the object is
  // shorter.
  absl::Status Read(const base::Context& context, const objstore::ObjectKey& key, uint64_t offset,
                    std::span<uint8_t> out);
  // The whole of a small object. kNotFound: absent. kResourceExhausted: over `bytes_max`.
  absl::StatusOr<std::string> ReadAll(const base::Context& context, const objstore::ObjectKey& key,
                                      size_t bytes_max);

  // For an operation that is tried again by somebody else: the one that commits.
  objstore::ObjectStore& inner() const { return inner_; }
  const std::string& place() const { return place_; }
  objstore::Capabilities capabilities() const override { return inner_.capabilities(); }

 private:
  // `attempt` is called until it succeeds, or has no hope; `repeat_is_safe` is asked after each.
  // An answer of the wrong length (kDataLoss) is asked for again a few times.
  absl::Status Repeat(const base::Context& context,
                      const std::function<absl::Status(const base::Context&)>& attempt,
                      const std::function<bool()>& repeat_is_safe);

  objstore::ObjectStore& inner_;
  const std::string place_;
  const base::RetryPolicy policy_;
  const base::Services services_;
  std::atomic<int64_t> last_success_ns_;  // Monotonic
};

}  // namespace cedana::direct
