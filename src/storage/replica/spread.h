// Writing and deleting at several providers: each by itself, what one cannot do now is remembered
// as its chore (storage/metadata/chores.h) and done when it is back.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/context.h"
#include "storage/replica/vault.h"

namespace cedana::replica {

struct CopiesWanted {
  size_t copies = 1;  // failure domains to write to
  size_t needed = 1;  // fewer are an error
};

// Writes a pack's bytes, create-only, to the best `copies` providers in different failure domains,
// and to the next ones where one refuses. Returns who has it; an error when fewer than `needed`
// domains take it.
absl::StatusOr<std::vector<std::string>> PutCopies(const base::Context& context, const Vault& vault,
                                                   const base::OrgId& organisation,
                                                   const std::string& key, absl::string_view bytes,
                                                   uint32_t crc32c, const CopiesWanted& wanted);

// Writes a manifest to every active provider that answers soon (a restore needs the manifest of
// any shard that is left, and it is small). Returns who has it; an error when fewer than `needed`
// domains do. Once `needed` domains have it, the rest have two seconds from the start: like packs,
// what is short of `copies` then is debt.
absl::StatusOr<std::vector<std::string>> PutManifest(const base::Context& context,
                                                     const Vault& vault, const std::string& key,
                                                     absl::string_view bytes,
                                                     const CopiesWanted& wanted);

// Writes to every active provider, create-only. A status for each that has not got it.
struct Missed {
  std::string provider;
  absl::Status status;
};
std::vector<Missed> PutEverywhere(const base::Context& context, const Vault& vault,
                                  const std::string& key, absl::string_view bytes);

// Deletes at every provider; those that cannot now have it as a chore. An error only when the
// catalog cannot remember that.
absl::Status DeleteEverywhere(const base::Context& context, const Vault& vault,
                              const std::string& key);

// Every organisation's wrapped key, where a provider lacks it (a new or emptied one). The first
// error, after all were tried.
absl::Status SpreadKeys(const base::Context& context, const Vault& vault);

}  // namespace cedana::replica
