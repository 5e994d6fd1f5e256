#include "storage/api/organisations.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "storage/replica/object_keys.h"

namespace cedana::api {
namespace {

constexpr size_t kNameBytesMax = 64;

bool GoodName(const std::string& name) {
  return !name.empty() && name.size() <= kNameBytesMax &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
         });
}

}  // namespace

absl::StatusOr<metadata::Organisation> MakeOrganisation(const replica::Vault& vault,
                                                        const std::string& name) {
  if (!GoodName(name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("organisation: a name has 1 to ", kNameBytesMax, " of a-z A-Z 0-9 . _ -"));
  }
  metadata::Organisation made{base::DrawId<base::OrgId>(*vault.random), name, ""};
  made.wrapped_key = vault.keys->DrawOrganisationKey(*vault.random, made.id);
  // The providers first: a key that only a lost catalog held would be lost with it.
  CEDANA_RETURN_IF_ERROR(
      vault.providers->PutEverywhere({}, replica::OrganisationKeyKey(made.id), made.wrapped_key));
  const absl::Status added = vault.metadata->identities().AddOrganisation(made);
  if (absl::IsAlreadyExists(added)) {
    vault.providers->DeleteEverywhere({}, replica::OrganisationKeyKey(made.id)).IgnoreError();
  }
  CEDANA_RETURN_IF_ERROR(added);
  return made;
}

absl::Status SpreadKeys(const base::Context& context, const replica::Vault& vault) {
  CEDANA_ASSIGN_OR_RETURN(const auto organisations, vault.metadata->identities().Organisations());
  absl::Status first;
  for (const metadata::Organisation& organisation : organisations) {
    first.Update(vault.providers->PutEverywhere(
        context, replica::OrganisationKeyKey(organisation.id), organisation.wrapped_key));
  }
  return first;
}

}  // namespace cedana::api
