#include "core/objstore/xml_listing.h"

#include <pugixml.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/base/status.h"

namespace cedana::objstore {
namespace {

absl::Status Bad(absl::string_view what) {
  return absl::InternalError(absl::StrCat("listing that cannot be understood: ", what));
}

}  // namespace

absl::StatusOr<ListingPage> ParseListing(absl::string_view xml) {
  pugi::xml_document document;
  if (!document.load_buffer(xml.data(), xml.size())) return Bad("not XML");
  const pugi::xml_node root = document.child("ListBucketResult");
  if (!root) return Bad("no ListBucketResult");
  // Asked for, because names that are not ours may have bytes that XML cannot hold; not every
  // server does it.
  const bool encoded = absl::string_view(root.child("EncodingType").text().get()) == "url";
  ListingPage page;
  for (const pugi::xml_node node : root.children("Contents")) {
    ObjectInfo info;
    info.key = node.child("Key").text().get();
    if (info.key.empty()) return Bad("an object without a name");
    if (encoded) {
      CEDANA_ASSIGN_OR_RETURN(info.key,
                              http::PercentDecode(absl::StrReplaceAll(info.key, {{"+", " "}})));
    }
    if (!absl::SimpleAtoi(node.child("Size").text().get(), &info.bytes)) return Bad("a size");
    if (!absl::ParseTime(absl::RFC3339_full, node.child("LastModified").text().get(),
                         &info.modified, nullptr)) {
      return Bad("a time");
    }
    page.objects.push_back(std::move(info));
  }
  if (absl::string_view(root.child("IsTruncated").text().get()) == "true") {
    page.next = root.child("NextContinuationToken").text().get();
    if (page.next.empty()) return Bad("more to come, but no token to ask for it");
  }
  return page;
}

}  // namespace cedana::objstore
