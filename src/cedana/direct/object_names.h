// Which object lies where in a repository (docs/format/direct.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "core/base/ids.h"
#include "core/objstore/object_store.h"

namespace cedana::direct {

// Prefixes of keys, for listings.
inline constexpr char kIntents[] = "cedana/o/";
inline constexpr char kBeats[] = "cedana/b/";
inline constexpr char kClaims[] = "cedana/n/";
inline constexpr char kPacks[] = "cedana/p/";
inline constexpr char kIndex[] = "cedana/x/";
inline constexpr char kDecisions[] = "cedana/s/";
inline constexpr char kDeletions[] = "cedana/d/";
inline constexpr char kLooks[] = "cedana/t/";

objstore::ObjectKey RepositoryKey();
// `prefix` is one of those above whose keys end in a save's id.
objstore::ObjectKey SaveKey(absl::string_view prefix, const base::SaveId& save);
objstore::ObjectKey PackKey(const base::PackId& pack);
// All claims on a name: "cedana/n/<tag>/".
std::string ClaimPrefix(absl::string_view name_tag);
objstore::ObjectKey ClaimKey(absl::string_view name_tag, uint32_t turn);

// Nothing where the key is not of that kind.
std::optional<base::SaveId> SaveOfKey(absl::string_view prefix, absl::string_view key);
std::optional<base::PackId> PackOfKey(absl::string_view key);
struct ClaimPlace {
  std::string name_tag;
  uint32_t turn = 0;
};
std::optional<ClaimPlace> ClaimOfKey(absl::string_view key);

inline constexpr uint64_t kOrderMax = (uint64_t{1} << 39) - 1;  // so that sequences fit 63 bits
inline constexpr char kNoJob[] = "0000000000000000";

// An entry of the index. Keys sort as entries do: the newest first.
struct IndexEntry {
  uint64_t order = 0;  // n, from 1
  base::SaveId save;
  std::string job_name_tag = kNoJob;
  std::string job_id_tag = kNoJob;

  uint64_t sequence() const;
  objstore::ObjectKey key() const;
};
std::optional<IndexEntry> EntryOfKey(absl::string_view key);

}  // namespace cedana::direct
