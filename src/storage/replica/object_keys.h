// Where the service keeps what in a provider. Keys hold only random ids and numbers (I12).
//
//   s/<save>/p-<pack>          packs            s/<save>/m-<checkpoint>   manifest
//   c/<organisation>/<20 digits of the sequence>                          commit records
//   k/<organisation>          its key, wrapped
//   x/probe-<random>           what `provider test` writes, and deletes again
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/ids.h"

namespace cedana::replica {

std::string SavePrefix(const base::SaveId& save);
std::string PackKey(const base::SaveId& save, const base::PackId& pack);
std::string ManifestKey(const base::SaveId& save, const base::CheckpointId& checkpoint);
std::string RecordKey(const base::OrgId& organisation, uint64_t sequence);
// The prefix of one organisation's commit records.
std::string RecordPrefix(const base::OrgId& organisation);
std::string OrganisationKeyKey(const base::OrgId& organisation);

}  // namespace cedana::replica
