#include "storage/replica/read_backs.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/codec/crc32c.h"

namespace cedana::replica {
namespace {

constexpr size_t kKeptMax = 65536;  // 2 TiB of packs, some 15 MiB of memory
constexpr absl::Duration kLookAround = absl::Milliseconds(50);  // for a cancellation, while waiting

}  // namespace

absl::StatusOr<ReadBacks::Content> ReadBacks::Read(const base::Context& context,
                                                   const std::string& provider,
                                                   objstore::ObjectStore& store,
                                                   const std::string& key, uint64_t bytes) {
  CEDANA_ASSIGN_OR_RETURN(const auto parsed, objstore::ObjectKey::Parse(key));
  const Name name{provider, key};
  CEDANA_RETURN_IF_ERROR(Occupy(context, name));
  Content got = Of(name);
  absl::Status read;
  if (got.bytes < bytes) {
    read = store.Get(context, parsed, got.bytes, bytes - got.bytes,
                     [&](std::span<const uint8_t> piece) {
                       got.crc32c = codec::ExtendCrc32c(got.crc32c, piece);
                       got.bytes += piece.size();
                       return absl::OkStatus();
                     });
    Note(provider, key, got);
  }
  Release(name);
  CEDANA_RETURN_IF_ERROR(read);
  return got;
}

absl::Status ReadBacks::Check(const base::Context& context, const std::string& provider,
                              objstore::ObjectStore& store, const std::string& key,
                              const Content& expected) {
  CEDANA_ASSIGN_OR_RETURN(const Content got, Read(context, provider, store, key, expected.bytes));
  if (got == expected) return absl::OkStatus();
  Drop({provider, key});
  return absl::DataLossError(absl::StrCat(key, ": its bytes are not those that were granted"));
}

bool ReadBacks::Matches(const std::string& provider, const std::string& key,
                        const Content& expected) const {
  return Of({provider, key}) == expected;
}

bool ReadBacks::Knows(const std::string& provider, const std::string& key, uint64_t bytes) const {
  return Of({provider, key}).bytes >= bytes;
}

absl::Status ReadBacks::Occupy(const base::Context& context, const Name& name) {
  const auto is_free = [&]()
                           ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !busy_.contains(name); };
  while (true) {
    CEDANA_RETURN_IF_ERROR(context.Check());
    const absl::MutexLock lock(&mutex_);
    if (mutex_.AwaitWithTimeout(absl::Condition(&is_free),
                                std::min(kLookAround, context.Remaining()))) {
      busy_.insert(name);
      return absl::OkStatus();
    }
  }
}

void ReadBacks::Release(const Name& name) {
  const absl::MutexLock lock(&mutex_);
  busy_.erase(name);
}

ReadBacks::Content ReadBacks::Of(const Name& name) const {
  absl::MutexLock lock(&mutex_);
  const auto found = known_.find(name);
  return found == known_.end() ? Content{} : found->second;
}

void ReadBacks::Note(const std::string& provider, const std::string& key, const Content& content) {
  absl::MutexLock lock(&mutex_);
  const auto [entry, fresh] = known_.try_emplace({provider, key}, content);
  // Two commits of one save may read side by side.
  if (!fresh && entry->second.bytes < content.bytes) entry->second = content;
  if (fresh) order_.push_back(entry->first);
  while (order_.size() > kKeptMax) {
    known_.erase(order_.front());
    order_.pop_front();
  }
}

void ReadBacks::Drop(const Name& name) {
  absl::MutexLock lock(&mutex_);
  known_.erase(name);
}

void ReadBacks::Forget(const std::string& provider) {
  absl::MutexLock lock(&mutex_);
  std::erase_if(known_, [&](const auto& entry) { return entry.first.first == provider; });
  std::erase_if(order_, [&](const Name& name) { return name.first == provider; });
}

}  // namespace cedana::replica
