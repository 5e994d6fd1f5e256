#include "core/format/manifest.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/base/status.h"
#include "core/format/aead.h"
#include "core/format/bytes.h"
#include "core/format/sealed_object.h"

namespace cedana::format {
namespace {

std::array<uint8_t, 16> ObjectId(const base::CheckpointId& checkpoint) {
  std::array<uint8_t, 16> id;
  std::memcpy(id.data(), checkpoint.data(), id.size());
  return id;
}

absl::Status Damaged(absl::string_view what) {
  return absl::DataLossError(absl::StrCat("manifest: ", what));
}

base::Json PackToJson(const PackRef& pack) {
  return {{"id", pack.id.ToHex()},
          {"epoch", pack.key_epoch},
          {"bytes", pack.bytes},
          {"crc32c", pack.crc32c}};
}

// A member that must be a number of at most 32 bits.
absl::StatusOr<uint32_t> GetU32(const base::Json& object, absl::string_view key) {
  CEDANA_ASSIGN_OR_RETURN(const int64_t value, base::GetInt(object, key));
  if (value < 0 || value > UINT32_MAX) return Damaged(absl::StrCat(key, " is out of range"));
  return static_cast<uint32_t>(value);
}

absl::StatusOr<PackRef> PackFromJson(const base::Json& json) {
  PackRef pack;
  CEDANA_ASSIGN_OR_RETURN(const std::string id, base::GetString(json, "id"));
  CEDANA_ASSIGN_OR_RETURN(pack.id, base::PackId::FromHex(id));
  CEDANA_ASSIGN_OR_RETURN(pack.key_epoch, GetU32(json, "epoch"));
  CEDANA_ASSIGN_OR_RETURN(pack.bytes, GetU32(json, "bytes"));
  CEDANA_ASSIGN_OR_RETURN(pack.crc32c, GetU32(json, "crc32c"));
  if (pack.bytes > base::kPackBytesMax) return Damaged("a tail pack is too large");
  return pack;
}

base::Json SegmentToJson(const MapSegment& segment) {
  const BlockPlace& place = segment.place;
  return base::Json::array({segment.tail_pack, place.number, place.offset, place.sealed_bytes,
                            place.plain_bytes, static_cast<int>(place.codec)});
}

absl::StatusOr<MapSegment> SegmentFromJson(const base::Json& json,
                                           const std::vector<PackRef>& tail_packs) {
  uint64_t values[6];
  if (!json.is_array() || json.size() != std::size(values)) return Damaged("bad segment");
  for (size_t i = 0; i < std::size(values); ++i) {
    if (!json[i].is_number_unsigned()) return Damaged("bad segment");
    values[i] = json[i].get<uint64_t>();
  }
  const auto [tail_pack, number, offset, sealed_bytes, plain_bytes, codec] = values;
  const bool good = tail_pack < tail_packs.size() && number < kPackBlocksMax && plain_bytes >= 1 &&
                    plain_bytes <= base::kBlockBytesMax && sealed_bytes > kTagBytes &&
                    sealed_bytes <= plain_bytes + kTagBytes && codec <= UINT8_MAX &&
                    codec::IsCodec(static_cast<uint8_t>(codec)) && offset >= kPackHeaderBytes &&
                    offset <= tail_packs[tail_pack].bytes &&
                    sealed_bytes <= tail_packs[tail_pack].bytes - offset;
  if (!good) return Damaged("bad segment");
  MapSegment segment;
  segment.tail_pack = static_cast<uint32_t>(tail_pack);
  segment.place = {static_cast<uint32_t>(number), static_cast<uint32_t>(offset),
                   static_cast<uint32_t>(sealed_bytes), static_cast<uint32_t>(plain_bytes),
                   static_cast<codec::Codec>(codec)};
  return segment;
}

base::Json ToJson(const Manifest& manifest) {
  base::Json tail_packs = base::Json::array();
  for (const PackRef& pack : manifest.tail_packs) tail_packs.push_back(PackToJson(pack));
  base::Json page_map = base::Json::array();
  for (const MapSegment& segment : manifest.page_map) page_map.push_back(SegmentToJson(segment));
  return {{"path", manifest.path},
          {"tail_packs", std::move(tail_packs)},
          {"page_map", std::move(page_map)},
          {"image_bytes", manifest.image_bytes},
          {"stored_bytes", manifest.stored_bytes},
          {"new_bytes", manifest.new_bytes},
          {"codec", manifest.codec},
          {"facts", manifest.facts},
          {"created_by", manifest.created_by}};
}

absl::StatusOr<Manifest> FromJson(const base::Json& json) {
  Manifest manifest;
  CEDANA_ASSIGN_OR_RETURN(manifest.path, base::GetString(json, "path"));
  const auto tail_packs = json.find("tail_packs");
  const auto page_map = json.find("page_map");
  if (tail_packs == json.end() || !tail_packs->is_array() || page_map == json.end() ||
      !page_map->is_array()) {
    return Damaged("has no page map");
  }
  for (const base::Json& entry : *tail_packs) {
    CEDANA_ASSIGN_OR_RETURN(PackRef pack, PackFromJson(entry));
    manifest.tail_packs.push_back(pack);
  }
  for (const base::Json& entry : *page_map) {
    CEDANA_ASSIGN_OR_RETURN(MapSegment segment, SegmentFromJson(entry, manifest.tail_packs));
    manifest.page_map.push_back(segment);
  }
  CEDANA_ASSIGN_OR_RETURN(const int64_t image_bytes, base::GetInt(json, "image_bytes"));
  CEDANA_ASSIGN_OR_RETURN(const int64_t stored_bytes, base::GetInt(json, "stored_bytes"));
  CEDANA_ASSIGN_OR_RETURN(const int64_t new_bytes, base::GetInt(json, "new_bytes"));
  if (image_bytes < 0 || stored_bytes < 0 || new_bytes < 0) return Damaged("a size is negative");
  manifest.image_bytes = static_cast<uint64_t>(image_bytes);
  manifest.stored_bytes = static_cast<uint64_t>(stored_bytes);
  manifest.new_bytes = static_cast<uint64_t>(new_bytes);
  manifest.codec = base::StringOr(json, "codec", "none");
  manifest.created_by = base::StringOr(json, "created_by", "");
  if (const auto facts = json.find("facts"); facts != json.end() && facts->is_object()) {
    manifest.facts = *facts;
  }
  return manifest;
}

}  // namespace

absl::StatusOr<std::string> SealManifest(const Manifest& manifest, const OrganisationKeys& keys) {
  std::string sealed = SealObject(kManifestKind, keys, ObjectId(manifest.checkpoint),
                                  base::DumpJson(ToJson(manifest)));
  if (sealed.size() > base::kManifestBytesMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("manifest of ", sealed.size(), " bytes, at most ", base::kManifestBytesMax));
  }
  return sealed;
}

absl::StatusOr<Manifest> OpenManifest(absl::string_view sealed,
                                      const base::CheckpointId& checkpoint,
                                      const OrganisationKeys& keys) {
  if (sealed.size() > base::kManifestBytesMax) return Damaged("is too large");
  CEDANA_ASSIGN_OR_RETURN(const std::string plain,
                          OpenObject(kManifestKind, keys, ObjectId(checkpoint), sealed));
  const absl::StatusOr<base::Json> json = base::ParseJson(plain);
  if (!json.ok() || !json->is_object()) return Damaged("is not JSON");
  absl::StatusOr<Manifest> manifest = FromJson(*json);
  if (!manifest.ok()) return Damaged(manifest.status().message());
  manifest->checkpoint = checkpoint;
  return manifest;
}

std::string ManifestSha256(absl::string_view sealed) {
  const std::array<uint8_t, 32> digest = Sha256(AsBytes(sealed));
  return base::HexEncode(digest.data(), digest.size());
}

}  // namespace cedana::format
