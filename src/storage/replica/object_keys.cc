#include "storage/replica/object_keys.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace cedana::replica {

std::string SavePrefix(const base::SaveId& save) { return absl::StrCat("s/", save.ToHex(), "/"); }

std::string PackKey(const base::SaveId& save, const base::PackId& pack) {
  return absl::StrCat(SavePrefix(save), "p-", pack.ToHex());
}

std::string ManifestKey(const base::SaveId& save, const base::CheckpointId& checkpoint) {
  return absl::StrCat(SavePrefix(save), "m-", checkpoint.ToHex());
}

std::string RecordKey(const base::OrgId& organisation, uint64_t sequence) {
  return absl::StrFormat("%s%020u", RecordPrefix(organisation), sequence);
}

std::string RecordPrefix(const base::OrgId& organisation) {
  return absl::StrCat("c/", organisation.ToHex(), "/");
}

std::string OrganisationKeyKey(const base::OrgId& organisation) {
  return absl::StrCat("k/", organisation.ToHex());
}

}  // namespace cedana::replica
