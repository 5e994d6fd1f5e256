#include "core/format/page_id.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstring>

#include "core/base/limits.h"
#include "core/format/aead_internal.h"

namespace cedana::format {

struct PageIdHasher::Cipher {
  explicit Cipher(const Key256& key) : context(EVP_CIPHER_CTX_new()) {
    MustSucceed(context != nullptr && EVP_EncryptInit_ex(context, EVP_aes_256_ecb(), nullptr,
                                                         key.data(), nullptr) == 1,
                "AES-256 key");
    EVP_CIPHER_CTX_set_padding(context, 0);
  }
  ~Cipher() { EVP_CIPHER_CTX_free(context); }

  EVP_CIPHER_CTX* context;
};

PageIdHasher::PageIdHasher(const Key256& page_id_key)
    : hash_(MakeZeroNonceGmac(DeriveKey(page_id_key, {}, "cedana page id hash v1"))),
      cipher_(std::make_unique<Cipher>(DeriveKey(page_id_key, {}, "cedana page id cipher v1"))) {}

PageIdHasher::~PageIdHasher() = default;

void PageIdHasher::IdsOf(std::span<const uint8_t> bytes, std::span<base::PageId> out) {
  static_assert(sizeof(Tag) == base::PageId::kBytes);
  std::array<Tag, base::kBlockPagesMax> tags;
  while (!bytes.empty()) {
    size_t pages = 0;
    for (; pages < tags.size() && !bytes.empty(); ++pages) {
      const size_t size = std::min(bytes.size(), base::kPageBytes);
      tags[pages] = hash_->Of(bytes.first(size));
      bytes = bytes.subspan(size);
    }
    // One call for all tags: the call costs more than the cipher.
    std::array<Tag, base::kBlockPagesMax> ids;
    int size = 0;
    const int wanted = static_cast<int>(pages * sizeof(Tag));
    MustSucceed(
        EVP_EncryptUpdate(cipher_->context, ids[0].data(), &size, tags[0].data(), wanted) == 1 &&
            size == wanted,
        "AES-256");
    for (size_t i = 0; i < pages; ++i) out[i] = base::PageId(ids[i]);
    out = out.subspan(pages);
  }
}

base::PageId PageIdHasher::IdOf(std::span<const uint8_t> page) {
  base::PageId id;
  IdsOf(page, {&id, 1});
  return id;
}

bool IsZero(std::span<const uint8_t> bytes) {
  constexpr size_t kWord = sizeof(uint64_t);
  if (bytes.size() < kWord) {
    return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
  }
  uint64_t first;
  std::memcpy(&first, bytes.data(), kWord);
  // Then each byte equals the one a word before it.
  return first == 0 && std::memcmp(bytes.data(), bytes.data() + kWord, bytes.size() - kWord) == 0;
}

}  // namespace cedana::format
