#include "core/format/pack_reader.h"

#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/format/block_opener.h"
#include "core/format/bytes.h"
#include "core/format/sealer.h"

namespace cedana::format {
namespace {

absl::Status Damaged(absl::string_view what) { return absl::DataLossError(what); }

absl::StatusOr<PackTrailer> ParseTrailer(std::span<const uint8_t> plain, uint32_t trailer_offset) {
  ByteReader reader(plain);
  const uint32_t count = reader.U32();
  if (count > kPackBlocksMax) return Damaged("trailer counts too many blocks");
  PackTrailer trailer;
  trailer.blocks.reserve(count);
  uint64_t offset = kPackHeaderBytes;
  uint32_t pages = 0;
  for (uint32_t number = 0; number < count; ++number) {
    TrailerBlock block;
    block.place.number = number;
    block.place.offset = reader.U32();
    block.place.sealed_bytes = reader.U32();
    block.place.plain_bytes = reader.U32();
    const uint8_t codec = reader.U8();
    const uint8_t kind = reader.U8();
    const uint32_t low = reader.U8();
    block.pages = low | static_cast<uint32_t>(reader.U8()) << 8;
    if (!reader.ok()) return Damaged("trailer is cut short");
    block.place.codec = static_cast<codec::Codec>(codec);
    block.kind = static_cast<BlockKind>(kind);
    block.first_page = pages;
    pages += block.pages;

    const size_t plain_pages =
        (size_t{block.place.plain_bytes} + base::kPageBytes - 1) / base::kPageBytes;
    const bool good = block.place.offset == offset && block.place.sealed_bytes > kTagBytes &&
                      block.place.sealed_bytes <= block.place.plain_bytes + kTagBytes &&
                      block.place.plain_bytes <= base::kBlockBytesMax && codec::IsCodec(codec) &&
                      kind <= static_cast<uint8_t>(BlockKind::kPageMap) &&
                      block.pages == (block.kind == BlockKind::kPages ? plain_pages : 0);
    if (!good) return Damaged(absl::StrCat("trailer has a bad entry for block ", number));
    offset += block.place.sealed_bytes;
    trailer.blocks.push_back(block);
  }
  if (offset != trailer_offset) return Damaged("blocks do not end at the trailer");
  if (reader.left() != size_t{pages} * base::PageId::kBytes) {
    return Damaged("trailer has another number of page ids");
  }
  trailer.page_ids.reserve(pages);
  for (uint32_t i = 0; i < pages; ++i) {
    trailer.page_ids.push_back(base::PageId::FromBytes(reader.Bytes(16).data()));
  }
  return trailer;
}

absl::StatusOr<const SealingKey*> FindKey(const OrganisationKeys& keys, uint32_t epoch) {
  const SealingKey* key = keys.Find(epoch);
  if (key != nullptr) return key;
  return absl::FailedPreconditionError(absl::StrCat("key epoch ", epoch, " is not known here"));
}

absl::StatusOr<uint32_t> ParseHeader(std::span<const uint8_t> bytes, const base::PackId& pack) {
  if (bytes.size() < kPackHeaderBytes + kPackFooterBytes) return Damaged("is cut short");
  if (AsText(bytes.first(8)) != kPackMagic) return Damaged("has another magic");
  const uint32_t version = LoadU32(&bytes[8]);
  if (version != kFormatVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("has format version ", version, ", this program reads ", kFormatVersion));
  }
  if (base::PackId::FromBytes(&bytes[16]) != pack) return Damaged("header names another pack");
  return LoadU32(&bytes[12]);
}

absl::StatusOr<PackTrailer> CheckWholePack(const OrganisationKeys& keys, const base::PackId& pack,
                                           std::span<const uint8_t> bytes) {
  CEDANA_ASSIGN_OR_RETURN(const uint32_t epoch, ParseHeader(bytes, pack));
  CEDANA_ASSIGN_OR_RETURN(const TrailerPlace place,
                          ParseFooter(bytes.last(kPackFooterBytes), bytes.size()));
  CEDANA_ASSIGN_OR_RETURN(const SealingKey* key, FindKey(keys, epoch));
  CEDANA_ASSIGN_OR_RETURN(
      PackTrailer trailer,
      OpenTrailer(keys, epoch, pack, place, bytes.subspan(place.offset, place.sealed_bytes)));
  PackSealer sealer(keys.organisation, *key, pack);
  BlockOpener opener;
  std::vector<uint8_t> plain(base::kBlockBytesMax);
  for (const TrailerBlock& block : trailer.blocks) {
    CEDANA_RETURN_IF_ERROR(opener.Open(sealer, block.place,
                                       bytes.subspan(block.place.offset, block.place.sealed_bytes),
                                       std::span(plain).first(block.place.plain_bytes)));
  }
  return trailer;
}

absl::Status NamePack(const absl::Status& status, const base::PackId& pack) {
  return base::Annotate(status, absl::StrCat("pack ", pack.ToHex()));
}

}  // namespace

absl::StatusOr<TrailerPlace> ParseFooter(std::span<const uint8_t> footer, uint64_t pack_bytes) {
  if (footer.size() != kPackFooterBytes || AsText(footer.subspan(8)) != kPackEndMagic) {
    return Damaged("pack has no footer");
  }
  const TrailerPlace place{LoadU32(&footer[0]), LoadU32(&footer[4])};
  if (place.offset < kPackHeaderBytes || place.sealed_bytes < kTagBytes ||
      place.sealed_bytes > kTrailerPlainBytesMax + kTagBytes ||
      uint64_t{place.offset} + place.sealed_bytes + kPackFooterBytes != pack_bytes) {
    return Damaged("pack footer does not fit the pack");
  }
  return place;
}

absl::StatusOr<PackTrailer> OpenTrailer(const OrganisationKeys& keys, uint32_t key_epoch,
                                        const base::PackId& pack, const TrailerPlace& place,
                                        std::span<const uint8_t> sealed) {
  const absl::StatusOr<const SealingKey*> key = FindKey(keys, key_epoch);
  if (!key.ok()) return NamePack(key.status(), pack);
  if (sealed.size() < kTagBytes || sealed.size() > kTrailerPlainBytesMax + kTagBytes) {
    return NamePack(Damaged("trailer has an impossible length"), pack);
  }
  std::vector<uint8_t> plain(sealed.size() - kTagBytes);
  PackSealer sealer(keys.organisation, **key, pack);
  if (!sealer.Open(kTrailerNumber, codec::Codec::kNone, static_cast<uint32_t>(plain.size()), sealed,
                   plain.data())) {
    return NamePack(Damaged("trailer does not authenticate"), pack);
  }
  absl::StatusOr<PackTrailer> trailer = ParseTrailer(plain, place.offset);
  if (!trailer.ok()) return NamePack(trailer.status(), pack);
  return trailer;
}

absl::StatusOr<PackTrailer> CheckPack(const OrganisationKeys& keys, const base::PackId& pack,
                                      std::span<const uint8_t> bytes) {
  absl::StatusOr<PackTrailer> trailer = CheckWholePack(keys, pack, bytes);
  if (!trailer.ok()) return NamePack(trailer.status(), pack);
  return trailer;
}

}  // namespace cedana::format
