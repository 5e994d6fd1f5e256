#include <openssl/evp.h>

#include <cstdlib>

#include "core/base/log.h"
#include "core/format/aead_internal.h"

namespace cedana::format {
namespace {

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

CipherContext NewContext(const Key256& key, bool seal) {
  CipherContext context(EVP_CIPHER_CTX_new());
  MustSucceed(context != nullptr && EVP_CipherInit_ex(context.get(), EVP_aes_256_gcm(), nullptr,
                                                      key.data(), nullptr, seal ? 1 : 0) == 1,
              "AES-256-GCM key");
  return context;
}

class OpenSslAead : public Aead {
 public:
  explicit OpenSslAead(const Key256& key) : key_(key) {}

  void Seal(const Nonce& nonce, std::span<const uint8_t> associated, std::span<const uint8_t> plain,
            uint8_t* out) override {
    if (seal_ == nullptr) seal_ = NewContext(key_, /*seal=*/true);
    EVP_CIPHER_CTX* context = seal_.get();
    int size = 0;
    bool ok = EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, nonce.data()) == 1;
    ok = ok && EVP_EncryptUpdate(context, nullptr, &size, associated.data(),
                                 static_cast<int>(associated.size())) == 1;
    ok = ok && (plain.empty() || EVP_EncryptUpdate(context, out, &size, plain.data(),
                                                   static_cast<int>(plain.size())) == 1);
    uint8_t none[16];
    ok = ok && EVP_EncryptFinal_ex(context, none, &size) == 1;
    ok = ok &&
         EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagBytes, out + plain.size()) == 1;
    MustSucceed(ok, "AES-256-GCM seal");
  }

  bool Open(const Nonce& nonce, std::span<const uint8_t> associated,
            std::span<const uint8_t> sealed, uint8_t* out) override {
    if (sealed.size() < kTagBytes) return false;
    if (open_ == nullptr) open_ = NewContext(key_, /*seal=*/false);
    EVP_CIPHER_CTX* context = open_.get();
    const std::span<const uint8_t> text = sealed.first(sealed.size() - kTagBytes);
    int size = 0;
    bool ok = EVP_DecryptInit_ex(context, nullptr, nullptr, nullptr, nonce.data()) == 1;
    ok = ok && EVP_DecryptUpdate(context, nullptr, &size, associated.data(),
                                 static_cast<int>(associated.size())) == 1;
    ok = ok && (text.empty() || EVP_DecryptUpdate(context, out, &size, text.data(),
                                                  static_cast<int>(text.size())) == 1);
    ok = ok && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTagBytes,
                                   const_cast<uint8_t*>(sealed.data() + text.size())) == 1;
    uint8_t none[16];
    return ok && EVP_DecryptFinal_ex(context, none, &size) == 1;
  }

 private:
  const Key256 key_;
  CipherContext seal_;
  CipherContext open_;
};

class OpenSslGmac : public ZeroNonceGmac {
 public:
  explicit OpenSslGmac(const Key256& key) : context_(NewContext(key, /*seal=*/true)) {}

  Tag Of(std::span<const uint8_t> bytes) override {
    static constexpr Nonce kZero{};
    EVP_CIPHER_CTX* context = context_.get();
    int size = 0;
    uint8_t none[16];
    Tag tag;
    bool ok = EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, kZero.data()) == 1;
    ok = ok && EVP_EncryptUpdate(context, nullptr, &size, bytes.data(),
                                 static_cast<int>(bytes.size())) == 1;
    ok = ok && EVP_EncryptFinal_ex(context, none, &size) == 1;
    ok = ok && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagBytes, tag.data()) == 1;
    MustSucceed(ok, "GMAC");
    return tag;
  }

 private:
  CipherContext context_;
};

}  // namespace

std::unique_ptr<Aead> MakeOpenSslAead(const Key256& key) {
  return std::make_unique<OpenSslAead>(key);
}

std::unique_ptr<ZeroNonceGmac> MakeOpenSslGmac(const Key256& key) {
  return std::make_unique<OpenSslGmac>(key);
}

void MustSucceed(bool ok, const char* what) {
  if (ok) return;
  base::LogError("cryptographic library failed", {{"call", what}});
  std::abort();
}

}  // namespace cedana::format
