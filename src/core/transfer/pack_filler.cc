#include "core/transfer/pack_filler.h"

#include <utility>

#include "core/base/status.h"

namespace cedana::transfer {

absl::StatusOr<format::MapBlock> PackFiller::Add(format::BlockKind kind,
                                                 std::span<const uint8_t> plain,
                                                 std::span<const base::PageId> ids) {
  if (writer_.has_value() && !writer_->HasRoomFor(plain.size(), ids.size())) {
    CEDANA_RETURN_IF_ERROR(Flush());
  }
  if (!writer_.has_value()) CEDANA_RETURN_IF_ERROR(BeginPack());
  format::MapBlock block;
  block.pack = number_;
  const codec::Codec codec = kind == format::BlockKind::kPageMap ? codec::Codec::kZstd : codec_;
  block.place = writer_->Add(kind, plain, codec, compressors_.For(codec), ids);
  supply_.progress.sealed_bytes += block.place.sealed_bytes;
  return block;
}

absl::Status PackFiller::BeginPack() {
  CEDANA_ASSIGN_OR_RETURN(buffer_, supply_.buffers.Acquire());
  const format::SealingKey& key = supply_.keys.sealing.back();
  writer_.emplace(buffer_.bytes(), supply_.keys.organisation, key,
                  base::DrawId<base::PackId>(supply_.random));
  number_ = supply_.ledger.Begin(writer_->id(), writer_->key_epoch());
  return absl::OkStatus();
}

absl::Status PackFiller::Flush() {
  if (!writer_.has_value()) return absl::OkStatus();
  SealedPack sealed{number_, writer_->Finish(), std::move(buffer_)};
  writer_.reset();
  supply_.ledger.Finish(sealed.number, sealed.pack.bytes.size(), sealed.pack.crc32c);
  return supply_.sink(std::move(sealed));
}

}  // namespace cedana::transfer
