// What List Blobs answers, and how the checksums that a blob carries are written.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/objstore/object_store.h"

namespace cedana::objstore {

struct AzureListing {
  std::vector<ObjectInfo> objects;  // in the service's order
  std::string last_key;             // of `objects`
  std::string next_marker;          // empty: this was the last page
};

// `prefix` is taken off every name; blobs whose names are then no keys of ours are left out: a
// container may be shared. kInternal when this is no listing.
absl::StatusOr<AzureListing> ParseAzureListing(absl::string_view xml, absl::string_view prefix);

// Eight hexadecimal digits, as Put writes them; nothing for anything else.
std::optional<uint32_t> ParseCrcMetadata(absl::string_view text);
// 16 bytes from Content-MD5; nothing for anything else.
std::optional<std::string> ParseMd5(absl::string_view base64);

}  // namespace cedana::objstore
