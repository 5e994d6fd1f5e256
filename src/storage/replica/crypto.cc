#include "storage/replica/crypto.h"

#include <algorithm>
#include <cstdint>
#include <span>

#include "core/format/aead.h"

namespace cedana::replica {
namespace {

constexpr char kVersion = 1;

std::span<const uint8_t> Bytes(absl::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

template <size_t kSize>
std::string Text(const std::array<uint8_t, kSize>& bytes) {
  return std::string(bytes.begin(), bytes.end());
}

}  // namespace

format::Key256 DeriveKey(const format::Key256& from, absl::string_view label) {
  return format::DeriveKey(from, {}, label);
}

std::string HmacSha256(const format::Key256& key, absl::string_view text) {
  return Text(format::HmacSha256(key, Bytes(text)));
}

std::string Sha256(absl::string_view bytes) { return Text(format::Sha256(Bytes(bytes))); }

bool EqualSecrets(absl::string_view a, absl::string_view b) {
  if (a.size() != b.size()) return false;
  volatile uint8_t difference = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference = static_cast<uint8_t>(difference | (a[i] ^ b[i]));
  }
  return difference == 0;
}

std::string SealSmall(base::Random& random, const format::Key256& key, absl::string_view plain,
                      absl::string_view bound) {
  format::Nonce nonce;
  random.Fill(nonce.data(), nonce.size());
  std::string out(1, kVersion);
  out.append(nonce.begin(), nonce.end());
  const size_t header = out.size();
  out.resize(header + plain.size() + format::kTagBytes);
  format::MakeAead(key)->Seal(nonce, Bytes(bound), Bytes(plain),
                              reinterpret_cast<uint8_t*>(out.data()) + header);
  return out;
}

absl::StatusOr<std::string> OpenSmall(const format::Key256& key, absl::string_view sealed,
                                      absl::string_view bound) {
  const size_t header = 1 + format::kNonceBytes;
  if (sealed.size() < header + format::kTagBytes || sealed[0] != kVersion) {
    return absl::DataLossError("sealed bytes: malformed");
  }
  format::Nonce nonce;
  std::copy_n(sealed.begin() + 1, nonce.size(), nonce.begin());
  std::string plain(sealed.size() - header - format::kTagBytes, '\0');
  if (!format::MakeAead(key)->Open(nonce, Bytes(bound), Bytes(sealed.substr(header)),
                                   reinterpret_cast<uint8_t*>(plain.data()))) {
    return absl::DataLossError("sealed bytes: do not authenticate");
  }
  return plain;
}

}  // namespace cedana::replica
