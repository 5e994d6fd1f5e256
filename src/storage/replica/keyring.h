// The service's keys. The master key stays in DIR/keys (or comes from a file or the environment)
// and is never in the catalog; an organisation's key is random and kept wrapped by it.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/random.h"
#include "core/format/keys.h"

namespace cedana::replica {

// A value; thread-safe.
class KeyRing {
 public:
  // 64 hex digits, white space around them ignored.
  static absl::StatusOr<KeyRing> FromHex(absl::string_view hex);
  // Reads `file`; where it is missing and `create`, draws a key and writes it with mode 0600.
  static absl::StatusOr<KeyRing> FromFile(const std::string& file, bool create,
                                          base::Random& random);

  // A new organisation's key, wrapped.
  std::string DrawOrganisationKey(base::Random& random, const base::OrgId& organisation) const;
  // What clients of the organisation receive, and what seals its commit records. kDataLoss when
  // `wrapped` was made under another master key.
  absl::StatusOr<format::OrganisationKeys> Unwrap(const base::OrgId& organisation,
                                                  absl::string_view wrapped) const;
  const format::Key256& grant_key() const { return grant_key_; }

 private:
  KeyRing() = default;
  static KeyRing FromMaster(const format::Key256& master);

  format::Key256 wrap_key_{};
  format::Key256 grant_key_{};
};

}  // namespace cedana::replica
