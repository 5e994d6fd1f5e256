// A decorator that fails on demand: what providers do wrong, scripted.
//
//   FaultStore store(&inner);
//   store.Add({.operation = Operation::kPut, .skip = 2, .fail = absl::UnavailableError("third")});
#pragma once

#include <list>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/objstore/object_store.h"

namespace cedana::objstore {

enum class Operation { kPut, kGet, kHead, kList, kDelete };

// One thing that goes wrong. All effects that are set happen.
struct Fault {
  std::optional<Operation> operation;  // absent: any
  std::string prefix;                  // of the key, or of a listing's prefix
  int skip = 0;                        // so many matching operations pass first
  int times = 1;                       // then so many are hit; -1: all

  absl::Duration latency;             // waited for first, within the operation's context
  absl::Status fail;                  // answered instead of doing it (full: kResourceExhausted)
  bool lose_reply = false;            // done, but answered kUnknown
  std::optional<uint64_t> flip_bit;   // of what a Get delivers, counted from its first byte
  std::optional<uint64_t> cut_after;  // a Get delivers at most so many bytes …
  absl::Status cut_status = absl::UnavailableError("cut short");  // … and answers this; OK: it lies
};

// Thread-safe. The first fault that matches an operation, and is not used up, is applied to it.
class FaultStore final : public ObjectStore {
 public:
  // Borrows `inner`.
  explicit FaultStore(ObjectStore* inner) : inner_(inner) {}

  void Add(Fault fault);
  void Clear();
  // Operations seen, hit or not.
  int operations() const;
  // Operations hit.
  int hits() const;

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
  Capabilities capabilities() const override { return inner_->capabilities(); }

 private:
  // The fault for this operation, after its latency; an error when it fails.
  absl::StatusOr<Fault> Meet(const base::Context& context, Operation operation,
                             const std::string& key);

  ObjectStore* const inner_;
  mutable absl::Mutex mutex_;
  std::list<Fault> faults_ ABSL_GUARDED_BY(mutex_);
  int operations_ ABSL_GUARDED_BY(mutex_) = 0;
  int hits_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace cedana::objstore
