#include "storage/metadata/tokens.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/format/aead.h"

namespace cedana::metadata {
namespace {

constexpr absl::string_view kPrefix = "cdn_";
constexpr size_t kIdDigits = 32;
constexpr size_t kSecretDigits = 64;

std::string Sha256(const std::string& text) {
  const auto hash = format::Sha256({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  return std::string(hash.begin(), hash.end());
}

bool IsToken(const std::string& text) {
  return text.size() == kPrefix.size() + kIdDigits + kSecretDigits &&
         absl::StartsWith(text, kPrefix);
}

// Takes as long whatever differs.
bool SameHash(const std::string& a, const std::string& b) {
  if (a.size() != b.size()) return false;
  volatile uint8_t difference = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference = static_cast<uint8_t>(difference | (a[i] ^ b[i]));
  }
  return difference == 0;
}

}  // namespace

DrawnToken DrawToken(base::Random& random, const std::optional<base::OrgId>& organisation) {
  uint8_t bytes[(kIdDigits + kSecretDigits) / 2];
  random.Fill(bytes, sizeof(bytes));
  const std::string digits = base::HexEncode(bytes, sizeof(bytes));
  DrawnToken drawn;
  drawn.text = absl::StrCat(kPrefix, digits);
  drawn.row.id = digits.substr(0, kIdDigits);
  drawn.row.organisation = organisation;
  drawn.row.hash = Sha256(drawn.text);
  return drawn;
}

std::string TokenId(const std::string& text) {
  return IsToken(text) ? text.substr(kPrefix.size(), kIdDigits) : text;
}

absl::StatusOr<Token> Authenticate(Identities& identities, const std::string& text) {
  const absl::Status refused = absl::UnauthenticatedError("token: missing, unknown or revoked");
  if (!IsToken(text)) return refused;
  CEDANA_ASSIGN_OR_RETURN(std::optional<Token> token, identities.FindToken(TokenId(text)));
  const std::string hash = Sha256(text);
  if (!token.has_value() || !SameHash(token->hash, hash) || token->revoked) return refused;
  return *std::move(token);
}

}  // namespace cedana::metadata
