#include "cedana/direct/object_io.h"

#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cedana/direct/object_names.h"
#include "core/base/ids.h"
#include "core/base/limits.h"
#include "core/base/status.h"
#include "core/codec/crc32c.h"
#include "core/format/bytes.h"

namespace cedana::direct {

absl::Status PutOnce(const base::Context& context, RetryingStore& store,
                     const objstore::ObjectKey& key, absl::string_view bytes) {
  absl::Status put = store.Put(context, key, format::AsBytes(bytes),
                               {.crc32c = codec::Crc32c(format::AsBytes(bytes))});
  if (!absl::IsAlreadyExists(put)) return put;
  const absl::StatusOr<std::string> there = store.ReadAll(context, key, bytes.size());
  if (there.ok() && *there == bytes) return absl::OkStatus();
  if (there.ok() || absl::IsResourceExhausted(there.status())) {
    return absl::AlreadyExistsError(absl::StrCat("object ", key.text(), " exists"));
  }
  // It was there a moment ago. To whoever asks what stands, that is not "there is none".
  if (absl::IsNotFound(there.status())) {
    return absl::UnavailableError(absl::StrCat("object ", key.text(), " is being removed"));
  }
  return there.status();
}

absl::Status CheckCreatesAtomically(const RetryingStore& store) {
  if (store.capabilities().creates_atomically) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(store.place(),
                   ": the store cannot refuse to overwrite (conditional writes), so daemons cannot "
                   "share it: use it through the storage service"));
}

absl::Status ForEachObject(const base::Context& context, RetryingStore& store,
                           const std::string& prefix,
                           const std::function<absl::Status(const objstore::ObjectInfo&)>& visit) {
  std::string after;
  while (true) {
    CEDANA_ASSIGN_OR_RETURN(const std::vector<objstore::ObjectInfo> page,
                            store.List(context, prefix, after, base::kListPageMax));
    for (const objstore::ObjectInfo& object : page) CEDANA_RETURN_IF_ERROR(visit(object));
    if (page.size() < base::kListPageMax) return absl::OkStatus();
    after = page.back().key;
  }
}

absl::StatusOr<absl::Time> StoreTime(const base::Context& context, RetryingStore& store,
                                     base::Random& random) {
  const objstore::ObjectKey key = SaveKey(kLooks, base::DrawId<base::SaveId>(random));
  CEDANA_RETURN_IF_ERROR(PutOnce(context, store, key, "now"));
  const absl::StatusOr<std::optional<objstore::ObjectInfo>> info = store.Head(context, key);
  store.Delete(context, key).IgnoreError();  // else the next collection removes it
  CEDANA_RETURN_IF_ERROR(info.status());
  if (!info->has_value()) {
    return absl::UnavailableError("an object that was just written is not there");
  }
  return (*info)->modified;
}

}  // namespace cedana::direct
