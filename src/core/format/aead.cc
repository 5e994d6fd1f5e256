#include "core/format/aead.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>

#include <utility>

#include "core/format/aead_internal.h"

namespace cedana::format {

std::unique_ptr<Aead> MakeAead(const Key256& key) {
  std::unique_ptr<Aead> fast = MakeIpsecAead(key);
  return fast != nullptr ? std::move(fast) : MakeOpenSslAead(key);
}

std::unique_ptr<ZeroNonceGmac> MakeZeroNonceGmac(const Key256& key) {
  std::unique_ptr<ZeroNonceGmac> fast = MakeIpsecGmac(key);
  return fast != nullptr ? std::move(fast) : MakeOpenSslGmac(key);
}

void Hkdf(const Key256& key, std::span<const uint8_t> salt, absl::string_view info,
          std::span<uint8_t> out) {
  EVP_PKEY_CTX* context = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, nullptr);
  size_t size = out.size();
  const auto* label = reinterpret_cast<const uint8_t*>(info.data());
  bool ok = context != nullptr && EVP_PKEY_derive_init(context) == 1;
  ok = ok && EVP_PKEY_CTX_set_hkdf_md(context, EVP_sha256()) == 1;
  ok = ok && EVP_PKEY_CTX_set1_hkdf_key(context, key.data(), static_cast<int>(key.size())) == 1;
  ok = ok && (salt.empty() || EVP_PKEY_CTX_set1_hkdf_salt(context, salt.data(),
                                                          static_cast<int>(salt.size())) == 1);
  ok = ok && EVP_PKEY_CTX_add1_hkdf_info(context, label, static_cast<int>(info.size())) == 1;
  ok = ok && EVP_PKEY_derive(context, out.data(), &size) == 1 && size == out.size();
  EVP_PKEY_CTX_free(context);
  MustSucceed(ok, "HKDF");
}

Key256 DeriveKey(const Key256& key, std::span<const uint8_t> salt, absl::string_view info) {
  Key256 derived;
  Hkdf(key, salt, info, derived);
  return derived;
}

std::array<uint8_t, 32> HmacSha256(const Key256& key, std::span<const uint8_t> bytes) {
  std::array<uint8_t, 32> mac;
  unsigned int size = 0;
  MustSucceed(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes.data(),
                   bytes.size(), mac.data(), &size) != nullptr,
              "HMAC-SHA256");
  return mac;
}

std::array<uint8_t, 32> Sha256(std::span<const uint8_t> bytes) {
  std::array<uint8_t, 32> digest;
  MustSucceed(
      EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, EVP_sha256(), nullptr) == 1,
      "SHA-256");
  return digest;
}

}  // namespace cedana::format
