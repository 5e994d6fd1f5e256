// Azure Blob Storage on this machine (imposter.h), over any ObjectStore: one account, one
// container.
//
//   MemoryStore objects;
//   auto cloud = *Imposter::Start({}, MakeAzureImposter({.account = "acme", .key_base64 = …,
//                                                        .container = "packs"}, &objects));
//   AzureOptions options{.endpoint = cloud->url() + "/acme", …};
//
// What the service documents, and this enforces: Shared Key over every header and parameter, dates
// within 15 minutes; SAS by signature, time, protocol, resource and right, "create" overwriting
// nothing; the blob's type, a length, Content-MD5; If-None-Match: *. It computes the MD5 of every
// blob and lists it. As no real account does, it serves under the account's name as first segment.
#pragma once

#include <memory>
#include <string>

#include "core/objstore/object_store.h"
#include "core/objstore/testing/imposter.h"

namespace cedana::objstore {

struct AzureImposterOptions {
  std::string account = "acme";
  std::string key_base64 = "dGhlIGtleSBvZiBhbiBpbXBvc3Rlcg==";
  std::string container = "packs";
};

// Borrows `objects`. What it knows beside their bytes (MD5, metadata) lives as long as the dialect;
// of objects that are older it says neither.
std::unique_ptr<ImposterDialect> MakeAzureImposter(AzureImposterOptions options,
                                                   ObjectStore* objects);

}  // namespace cedana::objstore
