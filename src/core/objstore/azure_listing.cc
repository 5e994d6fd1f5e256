#include "core/objstore/azure_listing.h"

#include <pugixml.hpp>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/objstore/azure_auth.h"

namespace cedana::objstore {
namespace {

absl::Status Unreadable(absl::string_view why) {
  return absl::InternalError(absl::StrCat("azure: listing ", why));
}

}  // namespace

std::optional<uint32_t> ParseCrcMetadata(absl::string_view text) {
  uint32_t crc = 0;
  if (text.size() != 8 || !absl::SimpleHexAtoi(text, &crc)) return std::nullopt;
  return crc;
}

std::optional<std::string> ParseMd5(absl::string_view base64) {
  std::string md5;
  if (!absl::Base64Unescape(base64, &md5) || md5.size() != 16) return std::nullopt;
  return md5;
}

absl::StatusOr<AzureListing> ParseAzureListing(absl::string_view xml, absl::string_view prefix) {
  pugi::xml_document document;
  if (!document.load_buffer(xml.data(), xml.size())) return Unreadable("is not XML");
  const pugi::xml_node root = document.child("EnumerationResults");
  if (!root.child("Blobs")) return Unreadable("without blobs");
  AzureListing listing;
  for (const pugi::xml_node blob : root.child("Blobs").children("Blob")) {
    const absl::string_view name = blob.child("Name").text().get();
    if (!absl::StartsWith(name, prefix)) return Unreadable("of another prefix");
    const absl::StatusOr<ObjectKey> key = ObjectKey::Parse(name.substr(prefix.size()));
    if (!key.ok()) continue;
    const pugi::xml_node properties = blob.child("Properties");
    ObjectInfo info{.key = key->text()};
    if (!absl::SimpleAtoi(properties.child("Content-Length").text().get(), &info.bytes)) {
      return Unreadable(absl::StrCat("without the length of ", info.key));
    }
    CEDANA_ASSIGN_OR_RETURN(info.modified,
                            ParseAzureDate(properties.child("Last-Modified").text().get()));
    info.md5 = ParseMd5(properties.child("Content-MD5").text().get());
    info.crc32c = ParseCrcMetadata(blob.child("Metadata").child("crc32c").text().get());
    listing.last_key = info.key;
    listing.objects.push_back(std::move(info));
  }
  listing.next_marker = root.child("NextMarker").text().get();
  return listing;
}

}  // namespace cedana::objstore
