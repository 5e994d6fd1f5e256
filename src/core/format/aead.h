// AES-256-GCM and GMAC under one key, in the fastest form that this CPU has; the bytes are the same
// in every form. Also the two functions that derive keys and nonces.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/strings/string_view.h"
#include "core/format/keys.h"

namespace cedana::format {

inline constexpr size_t kTagBytes = 16;
inline constexpr size_t kNonceBytes = 12;
using Nonce = std::array<uint8_t, kNonceBytes>;
using Tag = std::array<uint8_t, kTagBytes>;

// Keeps the expanded key. One thread at a time.
class Aead {
 public:
  virtual ~Aead() = default;
  // Writes plain.size() + kTagBytes bytes to `out`, which may be plain.data().
  virtual void Seal(const Nonce& nonce, std::span<const uint8_t> associated,
                    std::span<const uint8_t> plain, uint8_t* out) = 0;
  // Writes sealed.size() - kTagBytes bytes to `out`. False when the tag does not match; `out` then
  // holds nothing that may be used.
  virtual bool Open(const Nonce& nonce, std::span<const uint8_t> associated,
                    std::span<const uint8_t> sealed, uint8_t* out) = 0;
};

// GMAC under the all-zero nonce. One thread at a time.
class ZeroNonceGmac {
 public:
  virtual ~ZeroNonceGmac() = default;
  virtual Tag Of(std::span<const uint8_t> bytes) = 0;
};

std::unique_ptr<Aead> MakeAead(const Key256& key);
std::unique_ptr<ZeroNonceGmac> MakeZeroNonceGmac(const Key256& key);

// HKDF-SHA256.
void Hkdf(const Key256& key, std::span<const uint8_t> salt, absl::string_view info,
          std::span<uint8_t> out);
Key256 DeriveKey(const Key256& key, std::span<const uint8_t> salt, absl::string_view info);
std::array<uint8_t, 32> HmacSha256(const Key256& key, std::span<const uint8_t> bytes);
std::array<uint8_t, 32> Sha256(std::span<const uint8_t> bytes);

}  // namespace cedana::format
