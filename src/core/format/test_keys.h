// Keys and ids of the tests and of the golden files (docs/format).
#pragma once

#include <array>
#include <string>
#include <vector>

#include "core/format/keys.h"

namespace cedana::format {

template <typename IdType>
IdType FilledId(uint8_t byte) {
  std::array<uint8_t, 16> bytes;
  bytes.fill(byte);
  return IdType(bytes);
}

inline Key256 CountingKey() {
  Key256 key;
  for (uint8_t i = 0; i < 32; ++i) key[i] = i;
  return key;
}

inline OrganisationKeys CountingKeys() {
  OrganisationKeys keys;
  keys.organisation = FilledId<base::OrgId>(0xaa);
  keys.page_id_key = CountingKey();
  keys.sealing.push_back({1, CountingKey()});
  return keys;
}

}  // namespace cedana::format
