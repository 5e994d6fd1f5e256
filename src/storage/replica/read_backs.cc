#include "storage/replica/read_backs.h"

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/codec/crc32c.h"

namespace cedana::replica {
namespace {

constexpr size_t kKeptMax = 65536;  // 2 TiB of packs, some 15 MiB of memory

}  // namespace

absl::Status ReadBacks::Check(const base::Context& context, const std::string& provider,
                              objstore::ObjectStore& store, const std::string& key,
                              const Content& expected) {
  CEDANA_ASSIGN_OR_RETURN(const auto parsed, objstore::ObjectKey::Parse(key));
  const Name name{provider, key};
  Content got = Of(name);
  if (got.bytes < expected.bytes) {
    const absl::Status read = store.Get(context, parsed, got.bytes, expected.bytes - got.bytes,
                                        [&](std::span<const uint8_t> piece) {
                                          got.crc32c = codec::ExtendCrc32c(got.crc32c, piece);
                                          got.bytes += piece.size();
                                          return absl::OkStatus();
                                        });
    Note(provider, key, got);
    CEDANA_RETURN_IF_ERROR(read);
  }
  if (got.bytes == expected.bytes && got.crc32c == expected.crc32c) {
    return absl::OkStatus();
  }
  Drop(name);
  return absl::DataLossError(absl::StrCat(key, ": its bytes are not those that were granted"));
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
