#include "core/objstore/fault_store.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "core/base/status.h"

namespace cedana::objstore {
namespace {

absl::Status LostReply() { return absl::UnknownError("reply lost"); }

// Bends what a Get delivers.
class BentSink {
 public:
  BentSink(const Fault& fault, const std::function<absl::Status(std::span<const uint8_t>)>& sink)
      : fault_(fault), sink_(sink) {}

  absl::Status Take(std::span<const uint8_t> bytes) {
    const uint64_t from = delivered_;
    if (fault_.cut_after) {
      const uint64_t room = *fault_.cut_after - from;
      cut_ = cut_ || bytes.size() > room;
      bytes = bytes.first(std::min<uint64_t>(bytes.size(), room));
    }
    delivered_ += bytes.size();
    if (fault_.flip_bit && *fault_.flip_bit / 8 >= from && *fault_.flip_bit / 8 < delivered_) {
      std::vector<uint8_t> bent(bytes.begin(), bytes.end());
      bent[*fault_.flip_bit / 8 - from] ^= static_cast<uint8_t>(1u << (*fault_.flip_bit % 8));
      return sink_(bent);
    }
    return bytes.empty() ? absl::OkStatus() : sink_(bytes);
  }
  bool cut() const { return cut_; }

 private:
  const Fault& fault_;
  const std::function<absl::Status(std::span<const uint8_t>)>& sink_;
  uint64_t delivered_ = 0;
  bool cut_ = false;
};

}  // namespace

void FaultStore::Add(Fault fault) {
  absl::MutexLock lock(&mutex_);
  faults_.push_back(std::move(fault));
}

void FaultStore::Clear() {
  absl::MutexLock lock(&mutex_);
  faults_.clear();
}

int FaultStore::operations() const {
  absl::MutexLock lock(&mutex_);
  return operations_;
}

int FaultStore::hits() const {
  absl::MutexLock lock(&mutex_);
  return hits_;
}

absl::StatusOr<Fault> FaultStore::Meet(const base::Context& context, Operation operation,
                                       const std::string& key) {
  Fault met;
  {
    absl::MutexLock lock(&mutex_);
    ++operations_;
    for (auto fault = faults_.begin(); fault != faults_.end(); ++fault) {
      if (fault->operation.value_or(operation) != operation) continue;
      if (!absl::StartsWith(key, fault->prefix)) continue;
      if (fault->skip > 0) {
        --fault->skip;
        continue;
      }
      met = *fault;
      ++hits_;
      if (fault->times > 0 && --fault->times == 0) faults_.erase(fault);
      break;
    }
  }
  if (met.latency > absl::ZeroDuration()) CEDANA_RETURN_IF_ERROR(context.Sleep(met.latency));
  CEDANA_RETURN_IF_ERROR(met.fail);
  return met;
}

absl::Status FaultStore::Put(const base::Context& context, const ObjectKey& key,
                             std::span<const uint8_t> bytes, const PutOptions& options) {
  CEDANA_ASSIGN_OR_RETURN(const Fault fault, Meet(context, Operation::kPut, key.text()));
  absl::Status status = inner_->Put(context, key, bytes, options);
  return fault.lose_reply ? LostReply() : status;
}

absl::Status FaultStore::Get(const base::Context& context, const ObjectKey& key, uint64_t offset,
                             std::optional<uint64_t> length,
                             const std::function<absl::Status(std::span<const uint8_t>)>& sink) {
  CEDANA_ASSIGN_OR_RETURN(const Fault fault, Meet(context, Operation::kGet, key.text()));
  if (!fault.flip_bit && !fault.cut_after) {
    absl::Status status = inner_->Get(context, key, offset, length, sink);
    return fault.lose_reply ? LostReply() : status;
  }
  BentSink bent(fault, sink);
  CEDANA_RETURN_IF_ERROR(
      inner_->Get(context, key, offset, length,
                  [&](std::span<const uint8_t> bytes) { return bent.Take(bytes); }));
  return bent.cut() ? fault.cut_status : absl::OkStatus();
}

absl::StatusOr<std::optional<ObjectInfo>> FaultStore::Head(const base::Context& context,
                                                           const ObjectKey& key) {
  CEDANA_ASSIGN_OR_RETURN(const Fault fault, Meet(context, Operation::kHead, key.text()));
  if (fault.lose_reply) return LostReply();
  return inner_->Head(context, key);
}

absl::StatusOr<std::vector<ObjectInfo>> FaultStore::List(const base::Context& context,
                                                         const std::string& prefix,
                                                         const std::string& after, size_t limit) {
  CEDANA_ASSIGN_OR_RETURN(const Fault fault, Meet(context, Operation::kList, prefix));
  if (fault.lose_reply) return LostReply();
  return inner_->List(context, prefix, after, limit);
}

absl::Status FaultStore::Delete(const base::Context& context, const ObjectKey& key) {
  CEDANA_ASSIGN_OR_RETURN(const Fault fault, Meet(context, Operation::kDelete, key.text()));
  absl::Status status = inner_->Delete(context, key);
  return fault.lose_reply ? LostReply() : status;
}

}  // namespace cedana::objstore
