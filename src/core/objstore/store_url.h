// Where a store is, as an operator writes it: one URL that holds no secret.
//
//   s3://bucket/prefix?region=eu-central-1&endpoint=https://minio:9000&style=path
//   gcs://bucket/prefix   gs://bucket/prefix   azure://container/prefix?account=NAME
//   file:///var/lib/objects?domain=rack-7
//
// docs/providers.md has the parameters of each.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/objstore/dialect.h"

namespace cedana::objstore {

struct StoreUrl {
  // Unknown parameters, parameters of another dialect and anything that looks like a secret are
  // kInvalidArgument, with one line that does not repeat the secret.
  static absl::StatusOr<StoreUrl> Parse(absl::string_view text);

  // The same URL in one spelling, all parameters that are set included.
  std::string ToString() const;
  // What fails together: `domain` where it was given, else dialect and endpoint ("s3:host:port"),
  // for a directory "file:" and its path.
  std::string FailureDomain() const;
  // Where requests go: the endpoint given, else the cloud's own. Not for a directory.
  std::string EndpointUrl() const;
  // `key` with the prefix in front, as the provider names the object.
  std::string ObjectName(absl::string_view key) const;

  Dialect dialect = Dialect::kDirectory;
  std::string path;                  // of a directory: absolute
  std::string bucket;                // or container
  std::string prefix;                // no '/' at either end; may be empty
  std::string region = "us-east-1";  // S3
  std::string account;               // Azure
  std::string endpoint;              // "https://host:port"; empty: the cloud's own
  std::string domain;
  std::string credentials_file;
  // S3: the bucket is a part of the host name (the clouds' way) or of the path (most other
  // servers').
  bool virtual_host = false;
  // For S3 servers that lack them; Capabilities then say so.
  bool conditional_writes = true;  // If-None-Match
  bool checksums = true;           // x-amz-checksum-crc32c
};

}  // namespace cedana::objstore
