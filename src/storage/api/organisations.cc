#include "storage/api/organisations.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "storage/replica/object_keys.h"
#include "storage/replica/spread.h"

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
  const std::string key = replica::OrganisationKeyKey(made.id);
  const std::vector<replica::Missed> missed =
      replica::PutEverywhere({}, vault, key, made.wrapped_key);
  size_t wanted = 0;
  for (const replica::ProviderPtr& provider : vault.providers->All()) {
    wanted += provider->active() ? 1 : 0;
  }
  if (missed.size() >= wanted) {
    return missed.empty() ? absl::UnavailableError("providers: none") : missed[0].status;
  }
  const absl::Status added = vault.metadata->identities().AddOrganisation(made);
  if (absl::IsAlreadyExists(added)) replica::DeleteEverywhere({}, vault, key).IgnoreError();
  CEDANA_RETURN_IF_ERROR(added);
  return made;
}

}  // namespace cedana::api
