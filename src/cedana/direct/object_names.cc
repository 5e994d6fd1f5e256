#include "cedana/direct/object_names.h"

#include <algorithm>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace cedana::direct {
namespace {

constexpr size_t kTurnDigits = 8;
constexpr size_t kOrderDigits = 16;
constexpr size_t kNameTagDigits = 32;
constexpr size_t kJobTagDigits = 16;
constexpr int kTieBits = 24;

// Only a mistake in this file can make a key that is none.
objstore::ObjectKey Key(absl::string_view text) { return objstore::ObjectKey::Parse(text).value(); }

bool IsHex(absl::string_view text, size_t digits) {
  return text.size() == digits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

template <typename IdType>
std::optional<IdType> IdOf(absl::string_view text) {
  if (!IsHex(text, 2 * IdType::kBytes)) return std::nullopt;
  return *IdType::FromHex(text);
}

}  // namespace

objstore::ObjectKey RepositoryKey() { return Key("cedana/repository"); }

objstore::ObjectKey SaveKey(absl::string_view prefix, const base::SaveId& save) {
  return Key(absl::StrCat(prefix, save.ToHex()));
}

objstore::ObjectKey PackKey(const base::PackId& pack) {
  const std::string hex = pack.ToHex();
  return Key(absl::StrCat(kPacks, hex.substr(0, 2), "/", hex));
}

std::string ClaimPrefix(absl::string_view name_tag) { return absl::StrCat(kClaims, name_tag, "/"); }

objstore::ObjectKey ClaimKey(absl::string_view name_tag, uint32_t turn) {
  return Key(absl::StrFormat("%s%08x", ClaimPrefix(name_tag), turn));
}

std::optional<base::SaveId> SaveOfKey(absl::string_view prefix, absl::string_view key) {
  if (!absl::ConsumePrefix(&key, prefix)) return std::nullopt;
  return IdOf<base::SaveId>(key);
}

std::optional<base::PackId> PackOfKey(absl::string_view key) {
  if (!absl::ConsumePrefix(&key, kPacks)) return std::nullopt;
  const std::vector<absl::string_view> parts = absl::StrSplit(key, '/');
  if (parts.size() != 2 || parts[0] != parts[1].substr(0, 2)) return std::nullopt;
  return IdOf<base::PackId>(parts[1]);
}

std::optional<ClaimPlace> ClaimOfKey(absl::string_view key) {
  if (!absl::ConsumePrefix(&key, kClaims)) return std::nullopt;
  const std::vector<absl::string_view> parts = absl::StrSplit(key, '/');
  ClaimPlace claim;
  if (parts.size() != 2 || !IsHex(parts[0], kNameTagDigits) || !IsHex(parts[1], kTurnDigits) ||
      !absl::SimpleHexAtoi(parts[1], &claim.turn)) {
    return std::nullopt;
  }
  claim.name_tag = std::string(parts[0]);
  return claim;
}

uint64_t IndexEntry::sequence() const {
  const uint8_t* id = save.data();
  const uint64_t first = uint64_t{id[0]} << 16 | uint64_t{id[1]} << 8 | id[2];
  return order << kTieBits | (((uint64_t{1} << kTieBits) - 1) - first);
}

objstore::ObjectKey IndexEntry::key() const {
  return Key(absl::StrFormat("%s%016x-%s-%s-%s", kIndex, UINT64_MAX - order, save.ToHex(),
                             job_name_tag, job_id_tag));
}

std::optional<IndexEntry> EntryOfKey(absl::string_view key) {
  if (!absl::ConsumePrefix(&key, kIndex)) return std::nullopt;
  const std::vector<absl::string_view> parts = absl::StrSplit(key, '-');
  uint64_t inverted = 0;
  if (parts.size() != 4 || !IsHex(parts[0], kOrderDigits) ||
      !absl::SimpleHexAtoi(parts[0], &inverted) || !IsHex(parts[2], kJobTagDigits) ||
      !IsHex(parts[3], kJobTagDigits)) {
    return std::nullopt;
  }
  const std::optional<base::SaveId> save = IdOf<base::SaveId>(parts[1]);
  IndexEntry entry;
  entry.order = UINT64_MAX - inverted;
  if (!save.has_value() || entry.order == 0 || entry.order > kOrderMax) return std::nullopt;
  entry.save = *save;
  entry.job_name_tag = std::string(parts[2]);
  entry.job_id_tag = std::string(parts[3]);
  return entry;
}

}  // namespace cedana::direct
