// Seals and opens the blocks of one pack (docs/format/sealing.md).
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "core/base/ids.h"
#include "core/format/aead.h"
#include "core/format/pack_layout.h"

namespace cedana::format {

// One thread at a time.
class PackSealer {
 public:
  PackSealer(const base::OrgId& organisation, const SealingKey& key, const base::PackId& pack);

  // Writes text.size() + kTagBytes bytes to `out`, which may be text.data(). `text` is what the
  // codec left of `plain_bytes` bytes. A number is sealed once.
  void Seal(uint32_t number, codec::Codec codec, uint32_t plain_bytes,
            std::span<const uint8_t> text, uint8_t* out);
  // Writes sealed.size() - kTagBytes bytes to `out`. False: these are not the bytes that were
  // sealed under exactly this name, and `out` holds nothing that may be used.
  bool Open(uint32_t number, codec::Codec codec, uint32_t plain_bytes,
            std::span<const uint8_t> sealed, uint8_t* out);

 private:
  static constexpr size_t kAssociatedBytes = 52;
  void SetBlock(uint32_t number, codec::Codec codec, uint32_t plain_bytes);

  std::unique_ptr<Aead> aead_;
  std::array<uint8_t, kAssociatedBytes> associated_{};
  Nonce nonce_{};
};

}  // namespace cedana::format
