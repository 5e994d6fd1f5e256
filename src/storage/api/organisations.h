// Making an organisation: its key is drawn, wrapped, and kept by the catalog and every provider.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "storage/metadata/identities.h"
#include "storage/replica/vault.h"

namespace cedana::api {

// kUnavailable when no provider takes the key now; those that lack it get it later (SpreadKeys).
// Names: 1 to 64 of [a-zA-Z0-9._-]. kAlreadyExists when it is taken.
absl::StatusOr<metadata::Organisation> MakeOrganisation(const replica::Vault& vault,
                                                        const std::string& name);

}  // namespace cedana::api
