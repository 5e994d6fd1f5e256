#include "core/transfer/range_fetcher.h"

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/transfer/authentic_read.h"

namespace cedana::transfer {

absl::Status PackOpener::Open(const format::PackRef& pack, const format::BlockPlace& place,
                              std::span<const uint8_t> bytes, uint64_t offset,
                              const std::string& provider, std::span<uint8_t> plain) {
  if (!sealer_.has_value() || pack_ != pack.id) {
    const format::SealingKey* key = keys_.Find(pack.key_epoch);
    if (key == nullptr) {
      return absl::FailedPreconditionError(absl::StrCat("pack ", pack.id.ToHex(), ": key epoch ",
                                                        pack.key_epoch, " is not known here"));
    }
    sealer_.emplace(keys_.organisation, *key, pack.id);
    pack_ = pack.id;
  }
  const absl::Status status = opener_.Open(
      *sealer_, place, bytes.subspan(place.offset - offset, place.sealed_bytes), plain);
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat("pack ", pack.id.ToHex(), " ", status.message(),
                                                  ", read from provider ", provider));
}

RangeFetcher::RangeFetcher(const format::PageMap& map, const format::OrganisationKeys& keys,
                           PackSource& source, LoadProgress& progress, size_t range_bytes)
    : map_(map), source_(source), progress_(progress), opener_(keys), sealed_(range_bytes) {}

absl::Status RangeFetcher::Fetch(const base::Context& context, const RangeRead& read,
                                 std::span<uint8_t> buffer) {
  const format::PackRef& pack = map_.packs[read.pack];
  const std::span<uint8_t> sealed = std::span(sealed_).first(read.bytes);
  const auto open = [&](const std::string& provider) {
    progress_.read_bytes += sealed.size();
    for (const RangeRead::Block& entry : read.blocks) {
      const format::BlockPlace& place = map_.blocks[entry.block].place;
      CEDANA_RETURN_IF_ERROR(opener_.Open(pack, place, sealed, read.offset, provider,
                                          buffer.subspan(entry.slot, place.plain_bytes)));
    }
    return absl::OkStatus();
  };
  return AuthenticRead(source_, pack.id).Run(context, read.offset, sealed, open);
}

}  // namespace cedana::transfer
