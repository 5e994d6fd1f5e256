// Tokens: `cdn_` + 32 hex digits of an id + 64 of a secret. The catalog keeps the SHA-256 of the
// whole text; the id finds the row, the hash is compared in constant time.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/ids.h"
#include "core/base/random.h"
#include "storage/metadata/identities.h"

namespace cedana::metadata {

struct DrawnToken {
  std::string text;  // shown once
  Token row;
};

// `organisation` absent: an operator's token.
DrawnToken DrawToken(base::Random& random, const std::optional<base::OrgId>& organisation);

// The id in a token's text, which is what people have at hand; anything else as it is.
std::string TokenId(const std::string& text);

// The row of a good token; kUnauthenticated for anything else, in the same words.
absl::StatusOr<Token> Authenticate(Identities& identities, const std::string& text);

}  // namespace cedana::metadata
