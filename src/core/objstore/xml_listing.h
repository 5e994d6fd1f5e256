// One page of a bucket's listing, as Amazon's ListObjectsV2 and Google's XML interface answer it.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/objstore/object_store.h"

namespace cedana::objstore {

struct ListingPage {
  std::vector<ObjectInfo> objects;  // keys are the objects' whole names
  std::string next;                 // continuation token; empty: this was the last page
};

// kInternal, without the answer's text, when it is no such page.
absl::StatusOr<ListingPage> ParseListing(absl::string_view xml);

}  // namespace cedana::objstore
