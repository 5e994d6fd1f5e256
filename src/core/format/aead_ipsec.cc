// AES-GCM by Intel's multi-buffer library where the CPU has AES and carry-less multiplication on
// 512-bit vectors: 17 GB/s per core for sealing and for page ids, where OpenSSL 3.0 reaches 5
// and 6.
#include <intel-ipsec-mb.h>
#include <openssl/crypto.h>

#include "core/format/aead_internal.h"

namespace cedana::format {
namespace {

// One manager for the process, for ever: its functions for GCM only read it. Null where this CPU
// has no fast code.
const IMB_MGR* Library() {
  static const IMB_MGR* const kLibrary = []() -> const IMB_MGR* {
    IMB_MGR* manager = alloc_mb_mgr(0);
    if (manager == nullptr) return nullptr;
    init_mb_mgr_auto(manager, nullptr);
    constexpr uint64_t kWanted = IMB_FEATURE_VAES | IMB_FEATURE_VPCLMULQDQ;
    if ((manager->features & kWanted) == kWanted) return manager;
    free_mb_mgr(manager);
    return nullptr;
  }();
  return kLibrary;
}

class IpsecAead : public Aead {
 public:
  IpsecAead(const IMB_MGR& library, const Key256& key) : library_(library) {
    IMB_AES256_GCM_PRE(&library_, key.data(), &key_);
  }
  ~IpsecAead() override { OPENSSL_cleanse(&key_, sizeof(key_)); }

  void Seal(const Nonce& nonce, std::span<const uint8_t> associated, std::span<const uint8_t> plain,
            uint8_t* out) override {
    gcm_context_data context;
    IMB_AES256_GCM_ENC(&library_, &key_, &context, out, plain.data(), plain.size(), nonce.data(),
                       associated.data(), associated.size(), out + plain.size(), kTagBytes);
  }

  bool Open(const Nonce& nonce, std::span<const uint8_t> associated,
            std::span<const uint8_t> sealed, uint8_t* out) override {
    if (sealed.size() < kTagBytes) return false;
    const size_t size = sealed.size() - kTagBytes;
    gcm_context_data context;
    Tag tag;
    IMB_AES256_GCM_DEC(&library_, &key_, &context, out, sealed.data(), size, nonce.data(),
                       associated.data(), associated.size(), tag.data(), kTagBytes);
    return CRYPTO_memcmp(tag.data(), sealed.data() + size, kTagBytes) == 0;
  }

 private:
  const IMB_MGR& library_;
  gcm_key_data key_;
};

class IpsecGmac : public ZeroNonceGmac {
 public:
  IpsecGmac(const IMB_MGR& library, const Key256& key) : library_(library) {
    IMB_AES256_GCM_PRE(&library_, key.data(), &key_);
  }
  ~IpsecGmac() override { OPENSSL_cleanse(&key_, sizeof(key_)); }

  Tag Of(std::span<const uint8_t> bytes) override {
    static constexpr Nonce kZero{};
    gcm_context_data context;
    Tag tag;
    IMB_AES256_GMAC_INIT(&library_, &key_, &context, kZero.data(), kZero.size());
    if (!bytes.empty())
      IMB_AES256_GMAC_UPDATE(&library_, &key_, &context, bytes.data(), bytes.size());
    IMB_AES256_GMAC_FINALIZE(&library_, &key_, &context, tag.data(), tag.size());
    return tag;
  }

 private:
  const IMB_MGR& library_;
  gcm_key_data key_;
};

}  // namespace

std::unique_ptr<Aead> MakeIpsecAead(const Key256& key) {
  const IMB_MGR* library = Library();
  return library == nullptr ? nullptr : std::make_unique<IpsecAead>(*library, key);
}

std::unique_ptr<ZeroNonceGmac> MakeIpsecGmac(const Key256& key) {
  const IMB_MGR* library = Library();
  return library == nullptr ? nullptr : std::make_unique<IpsecGmac>(*library, key);
}

}  // namespace cedana::format
