// Keyed ids of pages (docs/format/page-id.md).
#pragma once

#include <memory>
#include <span>

#include "core/base/ids.h"
#include "core/format/aead.h"

namespace cedana::format {

// Keeps the expanded keys. One thread at a time.
class PageIdHasher {
 public:
  explicit PageIdHasher(const Key256& page_id_key);
  ~PageIdHasher();

  // The ids of the pages of `bytes`, of which the last may be short, to `out`.
  // Requires: as many places in `out` as pages.
  void IdsOf(std::span<const uint8_t> bytes, std::span<base::PageId> out);
  base::PageId IdOf(std::span<const uint8_t> page);

 private:
  struct Cipher;
  std::unique_ptr<ZeroNonceGmac> hash_;
  std::unique_ptr<Cipher> cipher_;
};

// Every byte is zero. Looks at most pages for one word only.
bool IsZero(std::span<const uint8_t> bytes);

}  // namespace cedana::format
