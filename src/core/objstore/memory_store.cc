#include "core/objstore/memory_store.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/codec/crc32c.h"

namespace cedana::objstore {
namespace {

constexpr size_t kStepBytes = 1u << 20;

}  // namespace

ObjectInfo MemoryStore::Describe(const std::string& key, const Object& object) {
  return ObjectInfo{.key = key,
                    .bytes = object.bytes->size(),
                    .crc32c = object.crc32c,
                    .modified = object.modified};
}

absl::Status MemoryStore::Put(const base::Context& context, const ObjectKey& key,
                              std::span<const uint8_t> bytes, const PutOptions& options) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  Object object{.bytes = std::make_shared<std::vector<uint8_t>>(bytes.begin(), bytes.end()),
                .crc32c = codec::Crc32c(bytes),
                .modified = clock_->Now()};
  if (options.crc32c && *options.crc32c != object.crc32c) {
    return absl::DataLossError(absl::StrCat(key.text(), ": crc32c differs"));
  }
  absl::MutexLock lock(&mutex_);
  if (options.create_only && objects_.contains(key.text())) {
    return absl::AlreadyExistsError(key.text());
  }
  objects_[key.text()] = std::move(object);
  return absl::OkStatus();
}

absl::Status MemoryStore::Get(const base::Context& context, const ObjectKey& key, uint64_t offset,
                              std::optional<uint64_t> length,
                              const std::function<absl::Status(std::span<const uint8_t>)>& sink) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  std::shared_ptr<const std::vector<uint8_t>> bytes;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = objects_.find(key.text());
    if (found == objects_.end()) return absl::NotFoundError(key.text());
    bytes = found->second.bytes;
  }
  if (offset > bytes->size() || length.value_or(0) > bytes->size() - offset) {
    return absl::InvalidArgumentError(
        absl::StrCat(key.text(), ": range ends past its ", bytes->size(), " bytes"));
  }
  std::span<const uint8_t> rest = std::span(*bytes).subspan(offset);
  if (length) rest = rest.first(*length);
  while (!rest.empty()) {
    CEDANA_RETURN_IF_ERROR(context.Check());
    const size_t step = std::min(rest.size(), kStepBytes);
    CEDANA_RETURN_IF_ERROR(sink(rest.first(step)));
    rest = rest.subspan(step);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<ObjectInfo>> MemoryStore::Head(const base::Context& context,
                                                            const ObjectKey& key) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  absl::MutexLock lock(&mutex_);
  const auto found = objects_.find(key.text());
  if (found == objects_.end()) return std::optional<ObjectInfo>();
  return Describe(found->first, found->second);
}

absl::StatusOr<std::vector<ObjectInfo>> MemoryStore::List(const base::Context& context,
                                                          const std::string& prefix,
                                                          const std::string& after, size_t limit) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  std::vector<ObjectInfo> result;
  absl::MutexLock lock(&mutex_);
  auto next = after < prefix ? objects_.lower_bound(prefix) : objects_.upper_bound(after);
  for (; next != objects_.end() && result.size() < limit; ++next) {
    if (!absl::StartsWith(next->first, prefix)) break;
    result.push_back(Describe(next->first, next->second));
  }
  return result;
}

absl::Status MemoryStore::Delete(const base::Context& context, const ObjectKey& key) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  absl::MutexLock lock(&mutex_);
  objects_.erase(key.text());
  return absl::OkStatus();
}

}  // namespace cedana::objstore
