// The few things that are done with small objects everywhere in this folder.
#pragma once

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cedana/direct/retrying_store.h"
#include "core/base/context.h"
#include "core/base/random.h"
#include "core/objstore/object_store.h"

namespace cedana::direct {

// Create-only; an object of the same bytes is success, for it is what an earlier attempt left.
// kAlreadyExists: it holds other bytes. kUnavailable: so it was, but it went before it was read.
absl::Status PutOnce(const base::Context& context, RetryingStore& store,
                     const objstore::ObjectKey& key, absl::string_view bytes);

// kFailedPrecondition, in one line, where create-only is a look before the write: of two daemons
// that want the same key both would believe to have it, so nothing may be written there.
absl::Status CheckCreatesAtomically(const RetryingStore& store);

// Calls `visit` for every object under `prefix`, in order. An error of it ends the listing.
absl::Status ForEachObject(const base::Context& context, RetryingStore& store,
                           const std::string& prefix,
                           const std::function<absl::Status(const objstore::ObjectInfo&)>& visit);

// What the store's clock says, by an object that is written, looked at and removed.
absl::StatusOr<absl::Time> StoreTime(const base::Context& context, RetryingStore& store,
                                     base::Random& random);

}  // namespace cedana::direct
