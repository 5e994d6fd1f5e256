#include "storage/replica/objects.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/codec/crc32c.h"

namespace cedana::replica {
namespace {

constexpr size_t kListPage = 1000;
// A last copy behind a line of 1 Mbit/s is still worth its repair.
constexpr double kSlowestBytesPerSecond = 64 << 10;

std::span<const uint8_t> Bytes(absl::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

absl::Status Differs(const std::string& key, absl::string_view what) {
  return absl::DataLossError(absl::StrCat(key, ": ", what, " is not what was stored"));
}

// What a Put found in its place. OK: the same bytes; kAlreadyExists: others; kUnavailable: nobody
// knows, or it is gone again.
absl::Status Compare(const base::Context& context, objstore::ObjectStore& store,
                     const objstore::ObjectKey& key, absl::string_view bytes) {
  absl::string_view left = bytes;
  bool differs = false;
  const absl::Status read =
      store.Get(context, key, 0, std::nullopt, [&](std::span<const uint8_t> piece) -> absl::Status {
        differs = differs || piece.size() > left.size() ||
                  std::memcmp(piece.data(), left.data(), piece.size()) != 0;
        if (differs) return absl::CancelledError("differs");
        left.remove_prefix(piece.size());
        return absl::OkStatus();
      });
  if (differs || (read.ok() && !left.empty())) {
    return absl::AlreadyExistsError(absl::StrCat(key.text(), ": something else is there"));
  }
  if (read.ok()) return read;
  return absl::UnavailableError(
      absl::StrCat(key.text(), ": is there, and cannot be compared: ", read.message()));
}

}  // namespace

absl::Duration TransferTime(uint64_t bytes) {
  return absl::Minutes(1) + absl::Seconds(static_cast<double>(bytes) / kSlowestBytesPerSecond);
}

absl::StatusOr<std::string> ReadObject(const base::Context& context, objstore::ObjectStore& store,
                                       const std::string& key, size_t max_bytes) {
  CEDANA_ASSIGN_OR_RETURN(const auto parsed, objstore::ObjectKey::Parse(key));
  std::string bytes;
  CEDANA_RETURN_IF_ERROR(store.Get(
      context, parsed, 0, std::nullopt, [&](std::span<const uint8_t> piece) -> absl::Status {
        if (bytes.size() + piece.size() > max_bytes) {
          return absl::ResourceExhaustedError(absl::StrCat(key, ": larger than ", max_bytes));
        }
        bytes.append(reinterpret_cast<const char*>(piece.data()), piece.size());
        return absl::OkStatus();
      }));
  return bytes;
}

absl::Status PutOnce(const base::Context& context, const Provider& provider, HealthBoard& health,
                     const std::string& key, absl::string_view bytes,
                     std::optional<uint32_t> crc32c) {
  CEDANA_ASSIGN_OR_RETURN(const auto parsed, objstore::ObjectKey::Parse(key));
  absl::Status status = provider.store->Put(context, parsed, Bytes(bytes), {.crc32c = crc32c});
  health.RecordWrite(provider.name, status);
  if (absl::IsAlreadyExists(status)) {
    status = Compare(context, *provider.store, parsed, bytes);
  }
  return base::Annotate(status, absl::StrCat("provider ", provider.name));
}

absl::Status DeleteOnce(const base::Context& context, const Provider& provider, HealthBoard& health,
                        const std::string& key) {
  CEDANA_ASSIGN_OR_RETURN(const auto parsed, objstore::ObjectKey::Parse(key));
  const absl::Status status = provider.store->Delete(context, parsed);
  health.Record(provider.name, status);
  return base::Annotate(status, absl::StrCat("provider ", provider.name));
}

absl::Status ListAll(const base::Context& context, objstore::ObjectStore& store,
                     const std::string& prefix,
                     const std::function<absl::Status(const objstore::ObjectInfo&)>& visit,
                     std::string after) {
  while (true) {
    CEDANA_ASSIGN_OR_RETURN(const std::vector<objstore::ObjectInfo> page,
                            store.List(context, prefix, after, kListPage));
    for (const objstore::ObjectInfo& object : page) CEDANA_RETURN_IF_ERROR(visit(object));
    if (page.size() < kListPage) return absl::OkStatus();
    after = page.back().key;
  }
}

absl::Status CheckObject(const base::Context& context, objstore::ObjectStore& store,
                         const std::string& key, const ExpectedObject& expected) {
  CEDANA_ASSIGN_OR_RETURN(const auto parsed, objstore::ObjectKey::Parse(key));
  CEDANA_ASSIGN_OR_RETURN(const auto info, store.Head(context, parsed));
  if (!info.has_value()) return absl::NotFoundError(absl::StrCat(key, ": is not there"));
  if (info->bytes != expected.bytes) return Differs(key, "size");
  if (!info->crc32c.has_value()) return ReadChecked(context, store, key, expected).status();
  return *info->crc32c == expected.crc32c ? absl::OkStatus() : Differs(key, "checksum");
}

absl::StatusOr<std::string> ReadChecked(const base::Context& context, objstore::ObjectStore& store,
                                        const std::string& key, const ExpectedObject& expected) {
  absl::StatusOr<std::string> bytes = ReadObject(context, store, key, expected.bytes);
  if (absl::IsResourceExhausted(bytes.status())) return Differs(key, "size");
  if (!bytes.ok()) return bytes.status();
  if (bytes->size() != expected.bytes) return Differs(key, "size");
  if (codec::Crc32c(Bytes(*bytes)) != expected.crc32c) return Differs(key, "checksum");
  return bytes;
}

}  // namespace cedana::replica
