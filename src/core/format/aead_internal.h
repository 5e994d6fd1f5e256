// The forms behind aead.h, for its choice among them and for the test that compares them.
#pragma once

#include <memory>

#include "core/format/aead.h"

namespace cedana::format {

std::unique_ptr<Aead> MakeOpenSslAead(const Key256& key);
std::unique_ptr<ZeroNonceGmac> MakeOpenSslGmac(const Key256& key);

// Null where the CPU has no fast code for it.
std::unique_ptr<Aead> MakeIpsecAead(const Key256& key);
std::unique_ptr<ZeroNonceGmac> MakeIpsecGmac(const Key256& key);

// A library that fails where only a bug or lack of memory can make it fail: the program ends, for
// nothing may be written unsealed.
void MustSucceed(bool ok, const char* what);

}  // namespace cedana::format
