// What a URL of /v2 allows: `/v2/data/USE.ORGANISATION.CHECKPOINT.EXPIRES.SIGNATURE.NAME`, where
// NAME is in hex and the signature binds all the rest. Who has the URL needs no token.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/ids.h"
#include "storage/replica/vault.h"

namespace cedana::api {

struct FileGrant {
  enum class Use {
    kView,    // read a checkpoint as an archive: this checkpoint, or nothing
    kRead,    // read the uploaded file of that name, whichever has it then
    kUpload,  // write it
  };
  Use use = Use::kView;
  base::OrgId organisation;
  base::CheckpointId checkpoint;  // views only
  std::string name;               // as the client said it: the suffix of a view says which archive
  int64_t expires_ms = 0;
};

// The last segment of the URL. The grant ends when the service's grants do from now on.
std::string SignFileGrant(FileGrant grant, const replica::Vault& vault);
// kPermissionDenied: malformed, altered, or expired.
absl::StatusOr<FileGrant> JudgeFileGrant(const std::string& segment, const replica::Vault& vault);

}  // namespace cedana::api
