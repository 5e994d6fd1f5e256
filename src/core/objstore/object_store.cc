#include "core/objstore/object_store.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/limits.h"

namespace cedana::objstore {
namespace {

constexpr size_t kKeyBytesMax = 256;

bool IsKeyByte(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; }

}  // namespace

absl::StatusOr<ObjectKey> ObjectKey::Parse(absl::string_view text) {
  // The text is not repeated in the error: it may be anything.
  if (text.empty() || text.size() > kKeyBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("object key of ", text.size(), " bytes"));
  }
  for (const absl::string_view segment : absl::StrSplit(text, '/')) {
    if (segment.empty() || segment.size() > base::kPathSegmentBytesMax) {
      return absl::InvalidArgumentError("object key with an empty or over-long segment");
    }
    for (const char c : segment) {
      if (!IsKeyByte(c)) return absl::InvalidArgumentError("object key with a forbidden byte");
    }
  }
  return ObjectKey(std::string(text));
}

absl::StatusOr<SignedRequest> ObjectStore::SignPut(const ObjectKey&, uint64_t, uint32_t,
                                                   absl::Time) const {
  return absl::UnimplementedError("this store signs no requests");
}

absl::StatusOr<SignedRequest> ObjectStore::SignGet(const ObjectKey&, absl::Time) const {
  return absl::UnimplementedError("this store signs no requests");
}

}  // namespace cedana::objstore
