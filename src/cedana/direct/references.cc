#include "cedana/direct/references.h"

#include "absl/strings/str_cat.h"
#include "cedana/direct/object_names.h"
#include "core/base/status.h"
#include "core/format/manifest.h"
#include "core/format/page_map.h"
#include "core/transfer/range_fetcher.h"

namespace cedana::direct {
namespace {

absl::StatusOr<std::vector<uint8_t>> ReadPageMap(const base::Context& context, const Site& site,
                                                 const format::Manifest& manifest) {
  size_t total = 0;
  for (const format::MapSegment& segment : manifest.page_map) total += segment.place.plain_bytes;
  if (total > format::kPageMapBytesMax) return absl::DataLossError("the page map is too large");
  std::vector<uint8_t> map(total);
  transfer::PackOpener opener(site.repository->keys);
  size_t filled = 0;
  for (const format::MapSegment& segment : manifest.page_map) {
    const format::PackRef& pack = manifest.tail_packs[segment.tail_pack];
    std::vector<uint8_t> sealed(segment.place.sealed_bytes);
    CEDANA_RETURN_IF_ERROR(
        site.store->Read(context, PackKey(pack.id), segment.place.offset, sealed));
    CEDANA_RETURN_IF_ERROR(opener.Open(pack, segment.place, sealed, segment.place.offset,
                                       "it lies at",
                                       std::span(map).subspan(filled, segment.place.plain_bytes)));
    filled += segment.place.plain_bytes;
  }
  return map;
}

absl::StatusOr<std::vector<base::PackId>> ReadPacks(const base::Context& context, const Site& site,
                                                    const Decision& commit) {
  CEDANA_ASSIGN_OR_RETURN(
      const format::Manifest manifest,
      format::OpenManifest(commit.manifest, commit.checkpoint, site.repository->keys));
  std::vector<base::PackId> packs;
  for (const format::PackRef& pack : manifest.tail_packs) packs.push_back(pack.id);
  if (manifest.page_map.empty()) return packs;
  CEDANA_ASSIGN_OR_RETURN(const std::vector<uint8_t> bytes, ReadPageMap(context, site, manifest));
  CEDANA_ASSIGN_OR_RETURN(const format::PageMap map,
                          format::DecodePageMap(bytes, manifest.tail_packs));
  for (const format::PackRef& pack : map.packs) packs.push_back(pack.id);
  return packs;
}

}  // namespace

absl::StatusOr<std::vector<base::PackId>> PacksOf(const base::Context& context, const Site& site,
                                                  const Decision& commit) {
  absl::StatusOr<std::vector<base::PackId>> packs = ReadPacks(context, site, commit);
  if (packs.ok()) return packs;
  const bool gone = absl::IsNotFound(packs.status());
  return absl::Status(gone ? absl::StatusCode::kDataLoss : packs.status().code(),
                      absl::StrCat("checkpoint ", commit.name, ": ", packs.status().message(),
                                   ": delete it if it is lost, then collect again"));
}

}  // namespace cedana::direct
