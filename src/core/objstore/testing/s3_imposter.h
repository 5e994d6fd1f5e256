// S3 on this machine (imposter.h), over any ObjectStore: one bucket, one key, path and virtual-host
// style.
//
//   MemoryStore objects;
//   auto cloud = *Imposter::Start({}, MakeS3Imposter({.bucket = "packs"}, &objects));
//
// What the cloud documents, and this enforces: signature version 4 in headers (15 minutes of skew)
// and in queries (expiry), with the session token, every x-amz- header signed;
// x-amz-content-sha256; x-amz-checksum-crc32c and Content-MD5; a Content-Length, no chunks;
// If-None-Match: *.
#pragma once

#include <memory>
#include <string>

#include "core/objstore/credentials.h"
#include "core/objstore/object_store.h"
#include "core/objstore/testing/imposter.h"

namespace cedana::objstore {

struct S3ImposterOptions {
  std::string bucket = "packs";
  std::string region = "us-east-1";
  S3Credentials credentials = {"AKIAIMPOSTER", "imposter-secret", ""};
  // What some compatible servers leave out: they take the header and do nothing about it.
  bool conditional_writes = true;
  bool checksums = true;
  bool signatures = true;  // with these goes what a grant says of the length
  bool versioning = false;
};

// Borrows `objects`.
std::unique_ptr<ImposterDialect> MakeS3Imposter(S3ImposterOptions options, ObjectStore* objects);

}  // namespace cedana::objstore
