// The few shapes of sealing and signing that the service's own keys need, on core/format's
// primitives.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/random.h"
#include "core/format/keys.h"

namespace cedana::replica {

// HKDF-SHA256 without salt; one label per purpose.
format::Key256 DeriveKey(const format::Key256& from, absl::string_view label);
std::string HmacSha256(const format::Key256& key, absl::string_view text);
std::string Sha256(absl::string_view bytes);
// In constant time; false when the lengths differ.
bool EqualSecrets(absl::string_view a, absl::string_view b);

// AES-256-GCM: version byte, 12 random bytes of nonce, sealed bytes, 16 of tag. `bound` is
// authenticated, too. Opening anything but such bytes is kDataLoss.
std::string SealSmall(base::Random& random, const format::Key256& key, absl::string_view plain,
                      absl::string_view bound);
absl::StatusOr<std::string> OpenSmall(const format::Key256& key, absl::string_view sealed,
                                      absl::string_view bound);

}  // namespace cedana::replica
