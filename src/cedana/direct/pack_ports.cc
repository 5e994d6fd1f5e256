#include "cedana/direct/pack_ports.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "cedana/direct/object_names.h"
#include "core/base/limits.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "core/codec/crc32c.h"

namespace cedana::direct {
namespace {

// Whether the object that is there is the pack that we wanted to put. Where the store keeps no
// checksum it is read back: that happens after a lost answer only.
absl::StatusOr<bool> IsSame(const base::Context& context, RetryingStore& store,
                            const objstore::ObjectKey& key, uint64_t bytes, uint32_t crc32c) {
  CEDANA_ASSIGN_OR_RETURN(const auto there, store.Head(context, key));
  if (!there.has_value() || there->bytes != bytes) return false;
  if (there->crc32c.has_value()) return *there->crc32c == crc32c;
  std::vector<uint8_t> content(bytes);
  CEDANA_RETURN_IF_ERROR(store.Read(context, key, 0, content));
  return codec::Crc32c(content) == crc32c;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> DirectSink::Put(const base::Context& context,
                                                         const base::PackId& pack,
                                                         std::span<const uint8_t> bytes,
                                                         uint32_t crc32c) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  if (bytes.size() > base::kPackBytesMax) return absl::InvalidArgumentError("pack too large");
  const objstore::ObjectKey key = PackKey(pack);
  uint64_t counted = 0;  // of the present attempt
  const auto on_progress = [&](uint64_t moved) {
    moved_bytes_ += moved > counted ? moved - counted : 0;
    counted = moved;
  };
  const absl::Status put =
      store_.Put(context, key, bytes, {.crc32c = crc32c, .on_progress = on_progress});
  if (absl::IsAlreadyExists(put)) {
    CEDANA_ASSIGN_OR_RETURN(const bool same, IsSame(context, store_, key, bytes.size(), crc32c));
    if (!same) return put;
  } else if (!put.ok()) {
    return put;
  }
  return std::vector<std::string>{provider_};
}

absl::StatusOr<std::string> DirectSource::Read(const base::Context& context,
                                               const base::PackId& pack, uint64_t offset,
                                               std::span<uint8_t> out,
                                               std::span<const std::string> avoid) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  if (std::find(avoid.begin(), avoid.end(), provider_) != avoid.end()) {
    return absl::NotFoundError("there is no other copy");
  }
  if (out.empty()) return provider_;
  const absl::Status read = store_.Read(context, PackKey(pack), offset, out);
  if (absl::IsInvalidArgument(read)) {
    return absl::DataLossError(absl::StrCat("shorter than it was written: ", read.message()));
  }
  CEDANA_RETURN_IF_ERROR(read);
  return provider_;
}

void DirectSource::ReportDamage(const base::PackId& pack, const std::string& provider,
                                const absl::Status& what) {
  base::LogWarn("stored bytes are damaged",
                {{"pack", pack.ToHex()}, {"provider", provider}, {"error", what.message()}});
}

}  // namespace cedana::direct
