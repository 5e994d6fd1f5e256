#include "core/objstore/dialect.h"

#include "absl/strings/str_cat.h"
#include "core/objstore/azure_error.h"
#include "core/objstore/gcs_error.h"
#include "core/objstore/s3_error.h"

namespace cedana::objstore {

absl::string_view DialectName(Dialect dialect) {
  switch (dialect) {
    case Dialect::kDirectory:
      return "directory";
    case Dialect::kS3:
      return "s3";
    case Dialect::kGcs:
      return "gcs";
    case Dialect::kAzure:
      return "azure";
  }
  return "unknown";
}

absl::StatusOr<Dialect> ParseDialect(absl::string_view name) {
  for (const Dialect dialect :
       {Dialect::kDirectory, Dialect::kS3, Dialect::kGcs, Dialect::kAzure}) {
    if (name == DialectName(dialect)) return dialect;
  }
  return absl::InvalidArgumentError("unknown storage dialect");
}

absl::Status ErrorOfAnswer(Dialect dialect, absl::string_view what,
                           const http::ClientResponse& response) {
  switch (dialect) {
    case Dialect::kS3:
      return S3ErrorOf(what, response);
    case Dialect::kGcs:
      return GcsErrorOf(what, response);
    case Dialect::kAzure:
      return AzureErrorOf(what, response);
    case Dialect::kDirectory:
      break;
  }
  return absl::InternalError(absl::StrCat(what, ": a directory's answers are not read here"));
}

}  // namespace cedana::objstore
