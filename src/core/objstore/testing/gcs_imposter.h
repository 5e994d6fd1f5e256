// Google Cloud Storage's XML interface on this machine (imposter.h), over any ObjectStore: one
// bucket, one service account.
//
// What the cloud documents, and this enforces: signed URLs of version 4 (RSA, expiry, every x-goog-
// header signed); x-goog-hash; x-goog-if-generation-match: 0; x-goog-content-length-range.
#pragma once

#include <memory>
#include <string>

#include "core/objstore/object_store.h"
#include "core/objstore/testing/imposter.h"

namespace cedana::objstore {

struct GcsImposterOptions {
  std::string bucket = "packs";
  std::string client_email;
  std::string public_key;  // PEM
  bool versioning = false;
};

// Borrows `objects`.
std::unique_ptr<ImposterDialect> MakeGcsImposter(const GcsImposterOptions& options,
                                                 ObjectStore* objects);

}  // namespace cedana::objstore
