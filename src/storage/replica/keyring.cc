#include "storage/replica/keyring.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/fd.h"
#include "core/base/ids.h"
#include "core/base/status.h"
#include "storage/replica/crypto.h"

namespace cedana::replica {
namespace {

constexpr uint32_t kFirstEpoch = 1;

absl::string_view View(const base::OrgId& id) {
  return {reinterpret_cast<const char*>(id.data()), base::OrgId::kBytes};
}

absl::StatusOr<format::Key256> ToKey(absl::string_view bytes) {
  format::Key256 key;
  if (bytes.size() != key.size()) return absl::DataLossError("key: not 32 bytes");
  std::copy(bytes.begin(), bytes.end(), key.begin());
  return key;
}

}  // namespace

KeyRing KeyRing::FromMaster(const format::Key256& master) {
  KeyRing ring;
  ring.wrap_key_ = DeriveKey(master, "cedana v1 wrap organisation keys");
  ring.grant_key_ = DeriveKey(master, "cedana v1 sign grants");
  return ring;
}

absl::StatusOr<KeyRing> KeyRing::FromHex(absl::string_view hex) {
  absl::StatusOr<std::string> bytes = base::HexDecode(absl::StripAsciiWhitespace(hex));
  if (!bytes.ok() || bytes->size() != format::Key256().size()) {
    return absl::InvalidArgumentError("master key: 64 hex digits are wanted");
  }
  CEDANA_ASSIGN_OR_RETURN(const format::Key256 master, ToKey(*bytes));
  return FromMaster(master);
}

absl::StatusOr<KeyRing> KeyRing::FromFile(const std::string& file, bool create,
                                          base::Random& random) {
  absl::StatusOr<std::string> text = base::ReadFile(file, 4096);
  if (absl::IsNotFound(text.status()) && create) {
    format::Key256 master;
    random.Fill(master.data(), master.size());
    text = absl::StrCat(base::HexEncode(master.data(), master.size()), "\n");
    CEDANA_RETURN_IF_ERROR(base::WriteFileAtomic(file, *text, 0600));
  }
  if (!text.ok()) return base::Annotate(text.status(), "master key");
  absl::StatusOr<KeyRing> ring = FromHex(*text);
  if (!ring.ok()) return base::Annotate(ring.status(), file);
  return ring;
}

std::string KeyRing::DrawOrganisationKey(base::Random& random,
                                         const base::OrgId& organisation) const {
  std::string key(format::Key256().size(), '\0');
  random.Fill(reinterpret_cast<uint8_t*>(key.data()), key.size());
  return SealSmall(random, wrap_key_, key, View(organisation));
}

absl::StatusOr<format::OrganisationKeys> KeyRing::Unwrap(const base::OrgId& organisation,
                                                         absl::string_view wrapped) const {
  absl::StatusOr<std::string> plain = OpenSmall(wrap_key_, wrapped, View(organisation));
  if (!plain.ok()) {
    return base::Annotate(plain.status(),
                          absl::StrCat("key of organisation ", organisation.ToHex()));
  }
  CEDANA_ASSIGN_OR_RETURN(const format::Key256 root, ToKey(*plain));
  format::OrganisationKeys keys{.organisation = organisation};
  keys.page_id_key = DeriveKey(root, "cedana v1 page ids");
  format::SealingKey sealing{.epoch = kFirstEpoch};
  sealing.key = DeriveKey(root, absl::StrCat("cedana v1 sealing epoch ", kFirstEpoch));
  keys.sealing.push_back(sealing);
  return keys;
}

}  // namespace cedana::replica
