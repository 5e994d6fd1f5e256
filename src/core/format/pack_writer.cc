#include "core/format/pack_writer.h"

#include <cstring>

#include "core/codec/crc32c.h"
#include "core/format/bytes.h"

namespace cedana::format {

PackWriter::PackWriter(std::span<uint8_t> buffer, const base::OrgId& organisation,
                       const SealingKey& key, const base::PackId& id)
    : buffer_(buffer), id_(id), key_epoch_(key.epoch), sealer_(organisation, key, id) {
  ByteWriter header;
  header.Bytes(AsBytes(kPackMagic));
  header.U32(kFormatVersion);
  header.U32(key_epoch_);
  header.Bytes({id.data(), base::PackId::kBytes});
  Append(AsBytes(header.Take()));
}

void PackWriter::Append(std::span<const uint8_t> bytes) {
  std::memcpy(buffer_.data() + used_, bytes.data(), bytes.size());
  crc32c_ = codec::ExtendCrc32c(crc32c_, bytes);
  used_ += bytes.size();
}

size_t PackWriter::TrailerPlainBytes(size_t blocks, size_t pages) const {
  return 4 + blocks * kTrailerEntryBytes + pages * base::PageId::kBytes;
}

bool PackWriter::HasRoomFor(size_t plain_bytes, size_t pages) const {
  const size_t blocks_after = entries_.size() + 1;
  const size_t pages_after = page_ids_.size() + pages;
  if (blocks_after > kPackBlocksMax || pages_after > kPackPagesMax) return false;
  return used_ + plain_bytes + kTagBytes + TrailerPlainBytes(blocks_after, pages_after) +
             kTagBytes + kPackFooterBytes <=
         buffer_.size();
}

BlockPlace PackWriter::Add(BlockKind kind, std::span<const uint8_t> plain, codec::Codec codec,
                           codec::Compressor* compressor, std::span<const base::PageId> ids) {
  uint8_t* const out = buffer_.data() + used_;
  std::span<const uint8_t> text = plain;
  BlockPlace place;
  if (compressor != nullptr && plain.size() > 1) {
    // Room for one byte less than the plain bytes: what does not shrink does not fit.
    const size_t size = compressor->Compress(plain, {out, plain.size() - 1});
    if (size > 0) {
      text = {out, size};
      place.codec = codec;
    }
  }
  place.number = static_cast<uint32_t>(entries_.size());
  place.offset = static_cast<uint32_t>(used_);
  place.plain_bytes = static_cast<uint32_t>(plain.size());
  place.sealed_bytes = static_cast<uint32_t>(text.size() + kTagBytes);
  sealer_.Seal(place.number, place.codec, place.plain_bytes, text, out);
  // While the block is still in the cache.
  crc32c_ = codec::ExtendCrc32c(crc32c_, {out, place.sealed_bytes});
  used_ += place.sealed_bytes;
  entries_.push_back({place, kind, static_cast<uint16_t>(ids.size())});
  page_ids_.insert(page_ids_.end(), ids.begin(), ids.end());
  return place;
}

FinishedPack PackWriter::Finish() {
  ByteWriter trailer;
  trailer.U32(static_cast<uint32_t>(entries_.size()));
  for (const Entry& entry : entries_) {
    trailer.U32(entry.place.offset);
    trailer.U32(entry.place.sealed_bytes);
    trailer.U32(entry.place.plain_bytes);
    trailer.U8(static_cast<uint8_t>(entry.place.codec));
    trailer.U8(static_cast<uint8_t>(entry.kind));
    trailer.U8(static_cast<uint8_t>(entry.pages));
    trailer.U8(static_cast<uint8_t>(entry.pages >> 8));
  }
  for (const base::PageId& id : page_ids_) trailer.Bytes({id.data(), base::PageId::kBytes});

  const std::string plain = trailer.Take();
  const uint32_t offset = static_cast<uint32_t>(used_);
  const uint32_t sealed_bytes = static_cast<uint32_t>(plain.size() + kTagBytes);
  sealer_.Seal(kTrailerNumber, codec::Codec::kNone, static_cast<uint32_t>(plain.size()),
               AsBytes(plain), buffer_.data() + used_);
  crc32c_ = codec::ExtendCrc32c(crc32c_, buffer_.subspan(used_, sealed_bytes));
  used_ += sealed_bytes;

  ByteWriter footer;
  footer.U32(offset);
  footer.U32(sealed_bytes);
  footer.Bytes(AsBytes(kPackEndMagic));
  Append(AsBytes(footer.Take()));
  return {id_, key_epoch_, buffer_.first(used_), crc32c_};
}

}  // namespace cedana::format
