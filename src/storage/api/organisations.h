// Making an organisation: its key is drawn, wrapped, and kept by the catalog and every provider.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "core/base/context.h"
#include "storage/metadata/identities.h"
#include "storage/replica/vault.h"

namespace cedana::api {

// Names: 1 to 64 of [a-zA-Z0-9._-]. kAlreadyExists when it is taken.
absl::StatusOr<metadata::Organisation> MakeOrganisation(const replica::Vault& vault,
                                                        const std::string& name);

// Puts every organisation's wrapped key where a provider lacks it (a new or emptied one).
absl::Status SpreadKeys(const base::Context& context, const replica::Vault& vault);

}  // namespace cedana::api
