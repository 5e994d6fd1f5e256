#include "core/transfer/testing/memory_store.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/base/status.h"
#include "core/codec/crc32c.h"

namespace cedana::transfer {

class MemoryStore::Sink : public PackSink {
 public:
  explicit Sink(MemoryStore* store) : store_(store) {}

  absl::StatusOr<std::vector<std::string>> Put(const base::Context& context,
                                               const base::PackId& pack,
                                               std::span<const uint8_t> bytes,
                                               uint32_t crc32c) override {
    CEDANA_RETURN_IF_ERROR(context.Check());
    if (bytes.size() > base::kPackBytesMax) return absl::InvalidArgumentError("pack too large");
    if (codec::Crc32c(bytes) != crc32c) return absl::DataLossError("checksum does not match");
    std::vector<uint8_t> copy(bytes.begin(), bytes.end());
    absl::MutexLock lock(&store_->mutex_);
    const auto [entry, added] = store_->packs_.try_emplace(pack, std::move(copy));
    // A repeated put of the same bytes is the answer to a lost reply.
    if (!added &&
        !std::equal(bytes.begin(), bytes.end(), entry->second.begin(), entry->second.end())) {
      return absl::AlreadyExistsError(absl::StrCat("pack ", pack.ToHex(), " exists"));
    }
    return std::vector<std::string>{kProvider};
  }

 private:
  MemoryStore* const store_;
};

class MemoryStore::Source : public PackSource {
 public:
  explicit Source(MemoryStore* store) : store_(store) {}

  absl::StatusOr<std::string> Read(const base::Context& context, const base::PackId& pack,
                                   uint64_t offset, std::span<uint8_t> out,
                                   std::span<const std::string> avoid) override {
    CEDANA_RETURN_IF_ERROR(context.Check());
    absl::MutexLock lock(&store_->mutex_);
    const auto entry = store_->packs_.find(pack);
    const bool avoided = std::find(avoid.begin(), avoid.end(), kProvider) != avoid.end();
    if (entry == store_->packs_.end() || avoided) {
      return absl::NotFoundError(absl::StrCat("no pack ", pack.ToHex()));
    }
    const std::vector<uint8_t>& bytes = entry->second;
    if (offset > bytes.size() || out.size() > bytes.size() - offset) {
      return absl::DataLossError("pack is shorter than the range");
    }
    std::memcpy(out.data(), bytes.data() + offset, out.size());
    store_->bytes_read_ += out.size();
    return std::string(kProvider);
  }
  void ReportDamage(const base::PackId& pack, const std::string&, const absl::Status&) override {
    absl::MutexLock lock(&store_->mutex_);
    store_->damaged_.push_back(pack);
  }

 private:
  MemoryStore* const store_;
};

std::unique_ptr<PackSink> MemoryStore::OpenSink() { return std::make_unique<Sink>(this); }
std::unique_ptr<PackSource> MemoryStore::OpenSource() { return std::make_unique<Source>(this); }

std::vector<base::PackId> MemoryStore::packs() const {
  absl::MutexLock lock(&mutex_);
  std::vector<base::PackId> ids;
  for (const auto& [id, bytes] : packs_) ids.push_back(id);
  return ids;
}

std::vector<uint8_t> MemoryStore::Bytes(const base::PackId& pack) const {
  absl::MutexLock lock(&mutex_);
  const auto entry = packs_.find(pack);
  return entry == packs_.end() ? std::vector<uint8_t>() : entry->second;
}

void MemoryStore::FlipBit(const base::PackId& pack, size_t byte, int bit) {
  absl::MutexLock lock(&mutex_);
  packs_.at(pack).at(byte) ^= static_cast<uint8_t>(1u << bit);
}

void MemoryStore::Remove(const base::PackId& pack) {
  absl::MutexLock lock(&mutex_);
  packs_.erase(pack);
}

std::vector<base::PackId> MemoryStore::damage_reports() const {
  absl::MutexLock lock(&mutex_);
  return damaged_;
}

uint64_t MemoryStore::bytes_read() const {
  absl::MutexLock lock(&mutex_);
  return bytes_read_;
}

}  // namespace cedana::transfer
