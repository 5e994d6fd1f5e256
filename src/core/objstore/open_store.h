// From a URL and its credentials to a store.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "core/base/clock.h"
#include "core/http/client.h"
#include "core/objstore/credentials.h"
#include "core/objstore/object_store.h"
#include "core/objstore/store_url.h"

namespace cedana::objstore {

// `client` and `clock` are borrowed, and not used for a directory. Nothing is asked of a cloud: a
// wrong bucket or key shows with the first request. kUnauthenticated when the credentials that the
// dialect needs are absent.
absl::StatusOr<std::unique_ptr<ObjectStore>> OpenStore(const StoreUrl& url,
                                                       const Credentials& credentials,
                                                       http::Client* client,
                                                       base::Clock* clock = &base::SystemClock());

}  // namespace cedana::objstore
