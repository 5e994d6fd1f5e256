#include "core/format/sealer.h"

#include <cstring>

#include "core/format/bytes.h"

namespace cedana::format {

PackSealer::PackSealer(const base::OrgId& organisation, const SealingKey& key,
                       const base::PackId& pack)
    : aead_(MakeAead(DeriveKey(key.key, {pack.data(), base::PackId::kBytes}, "cedana pack v1"))) {
  StoreU32(&associated_[0], kFormatVersion);
  StoreU32(&associated_[4], key.epoch);
  std::memcpy(&associated_[8], organisation.data(), base::OrgId::kBytes);
  std::memcpy(&associated_[24], pack.data(), base::PackId::kBytes);
}

void PackSealer::SetBlock(uint32_t number, codec::Codec codec, uint32_t plain_bytes) {
  StoreU32(&associated_[40], number);
  StoreU32(&associated_[44], static_cast<uint32_t>(codec));
  StoreU32(&associated_[48], plain_bytes);
  StoreU32(nonce_.data(), number);
}

void PackSealer::Seal(uint32_t number, codec::Codec codec, uint32_t plain_bytes,
                      std::span<const uint8_t> text, uint8_t* out) {
  SetBlock(number, codec, plain_bytes);
  aead_->Seal(nonce_, associated_, text, out);
}

bool PackSealer::Open(uint32_t number, codec::Codec codec, uint32_t plain_bytes,
                      std::span<const uint8_t> sealed, uint8_t* out) {
  SetBlock(number, codec, plain_bytes);
  return aead_->Open(nonce_, associated_, sealed, out);
}

}  // namespace cedana::format
