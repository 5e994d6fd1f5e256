#include "core/format/sealed_object.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "core/format/aead.h"
#include "core/format/bytes.h"
#include "core/format/pack_layout.h"

namespace cedana::format {
namespace {

constexpr size_t kHeaderBytes = 48;
constexpr size_t kOverheadBytes = kHeaderBytes + kNonceBytes + kTagBytes;

struct ObjectKeys {
  Key256 seal;
  Key256 nonce;
};

ObjectKeys DeriveObjectKeys(const ObjectKind& kind, const SealingKey& key,
                            const std::array<uint8_t, 16>& object_id) {
  std::array<uint8_t, 64> bytes;
  Hkdf(key.key, object_id, kind.label, bytes);
  ObjectKeys keys;
  std::memcpy(keys.seal.data(), bytes.data(), 32);
  std::memcpy(keys.nonce.data(), bytes.data() + 32, 32);
  return keys;
}

absl::Status Damaged(const ObjectKind& kind, absl::string_view what) {
  return absl::DataLossError(absl::StrCat(kind.name, " ", what));
}

}  // namespace

std::string SealObject(const ObjectKind& kind, const OrganisationKeys& keys,
                       const std::array<uint8_t, 16>& object_id, absl::string_view plain) {
  const SealingKey& key = keys.sealing.back();
  ByteWriter header;
  header.Bytes(AsBytes(kind.magic));
  header.U32(kFormatVersion);
  header.U32(key.epoch);
  header.Bytes({keys.organisation.data(), base::OrgId::kBytes});
  header.Bytes(object_id);
  std::string sealed = header.Take();

  const ObjectKeys object_keys = DeriveObjectKeys(kind, key, object_id);
  const std::array<uint8_t, 32> mac = HmacSha256(object_keys.nonce, AsBytes(plain));
  Nonce nonce;
  std::copy_n(mac.begin(), kNonceBytes, nonce.begin());
  sealed.append(reinterpret_cast<const char*>(nonce.data()), kNonceBytes);
  sealed.resize(kOverheadBytes + plain.size());
  auto* out = reinterpret_cast<uint8_t*>(sealed.data());
  MakeAead(object_keys.seal)
      ->Seal(nonce, {out, kHeaderBytes}, AsBytes(plain), out + kHeaderBytes + kNonceBytes);
  return sealed;
}

absl::StatusOr<std::array<uint8_t, 16>> PeekObjectId(const ObjectKind& kind,
                                                     absl::string_view sealed) {
  if (sealed.size() < kOverheadBytes) return Damaged(kind, "is cut short");
  if (sealed.substr(0, 8) != kind.magic) return Damaged(kind, "has another magic");
  const uint32_t version = LoadU32(AsBytes(sealed).data() + 8);
  if (version != kFormatVersion) {
    return absl::FailedPreconditionError(absl::StrCat(kind.name, " has format version ", version,
                                                      ", this program reads ", kFormatVersion,
                                                      ": damaged, or written by a newer version"));
  }
  std::array<uint8_t, 16> id;
  std::memcpy(id.data(), sealed.data() + 32, id.size());
  return id;
}

absl::StatusOr<std::string> OpenObject(const ObjectKind& kind, const OrganisationKeys& keys,
                                       const std::array<uint8_t, 16>& object_id,
                                       absl::string_view sealed) {
  const absl::StatusOr<std::array<uint8_t, 16>> id = PeekObjectId(kind, sealed);
  if (!id.ok()) return id.status();
  if (*id != object_id) return Damaged(kind, "has another id");
  const std::span<const uint8_t> bytes = AsBytes(sealed);
  if (std::memcmp(bytes.data() + 16, keys.organisation.data(), base::OrgId::kBytes) != 0) {
    return Damaged(kind, "belongs to another organisation");
  }
  const uint32_t epoch = LoadU32(bytes.data() + 12);
  const SealingKey* key = keys.Find(epoch);
  if (key == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat(kind.name, " is sealed with key epoch ", epoch, ", which is not known here"));
  }
  Nonce nonce;
  std::memcpy(nonce.data(), bytes.data() + kHeaderBytes, kNonceBytes);
  std::string plain(sealed.size() - kOverheadBytes, '\0');
  if (!MakeAead(DeriveObjectKeys(kind, *key, object_id).seal)
           ->Open(nonce, bytes.first(kHeaderBytes), bytes.subspan(kHeaderBytes + kNonceBytes),
                  reinterpret_cast<uint8_t*>(plain.data()))) {
    return Damaged(kind, "does not authenticate");
  }
  return plain;
}

}  // namespace cedana::format
