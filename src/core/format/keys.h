// The keys that a client of an organisation receives with begin and open, and what they are for.
// Derivations are in docs/format/sealing.md.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/base/ids.h"

namespace cedana::format {

using Key256 = std::array<uint8_t, 32>;

struct SealingKey {
  uint32_t epoch = 0;
  Key256 key{};
};

struct OrganisationKeys {
  base::OrgId organisation;
  Key256 page_id_key{};             // source of K1 and K2 of the page ids; serves nothing else
  std::vector<SealingKey> sealing;  // every epoch that may be read; the last one seals
  // The key of an epoch, or null.
  const SealingKey* Find(uint32_t epoch) const {
    for (const SealingKey& key : sealing) {
      if (key.epoch == epoch) return &key;
    }
    return nullptr;
  }
};

}  // namespace cedana::format
