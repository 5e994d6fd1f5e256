#include "core/format/block_opener.h"

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace cedana::format {

absl::Status BlockOpener::Open(PackSealer& sealer, const BlockPlace& place,
                               std::span<const uint8_t> sealed, std::span<uint8_t> plain) {
  const auto damaged = [&place](absl::string_view what) {
    return absl::DataLossError(absl::StrCat("block ", place.number, " ", what));
  };
  if (sealed.size() < kTagBytes || sealed.size() > kSealedBlockBytesMax) {
    return damaged("has an impossible length");
  }
  const size_t text_bytes = sealed.size() - kTagBytes;
  if (place.codec == codec::Codec::kNone) {
    if (text_bytes != plain.size()) return damaged("has another length");
    if (!sealer.Open(place.number, place.codec, place.plain_bytes, sealed, plain.data())) {
      return damaged("does not authenticate");
    }
    return absl::OkStatus();
  }
  if (text_.size() < text_bytes) text_.resize(base::kBlockBytesMax);
  if (!sealer.Open(place.number, place.codec, place.plain_bytes, sealed, text_.data())) {
    return damaged("does not authenticate");
  }
  return base::Annotate(expander_.Expand(place.codec, {text_.data(), text_bytes}, plain),
                        absl::StrCat("block ", place.number));
}

}  // namespace cedana::format
