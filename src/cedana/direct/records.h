// The sealed objects of a save in a repository (docs/format/direct.md).
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/ids.h"
#include "core/base/limits.h"
#include "core/format/keys.h"
#include "core/transfer/catalog.h"

namespace cedana::direct {

inline constexpr size_t kRecordBytesMax = 64 << 10;  // intent, claim, mark
inline constexpr size_t kHeadBytesMax = 1u << 20;    // a command line may be long
inline constexpr size_t kDecisionBytesMax = 4 + kHeadBytesMax + base::kManifestBytesMax;

// How a save ended. kFenced: others ended it, because it gave no sign of life.
enum class DecisionState { kCommitted, kAborted, kFenced };

struct Decision {
  DecisionState state = DecisionState::kAborted;
  base::SaveId save;
  // Of a commit only:
  base::CheckpointId checkpoint;
  std::string name;
  uint32_t turn = 0;
  uint64_t order = 0;
  uint64_t image_bytes = 0;
  uint64_t stored_bytes = 0;
  uint64_t new_bytes = 0;
  std::string codec;
  transfer::JobFacts facts;
  std::string manifest;  // sealed
};

struct Claim {
  base::SaveId save;
  std::string name;
  uint32_t turn = 0;
};

// The same record gives the same bytes.
std::string SealIntent(const base::SaveId& save, const base::CheckpointId& checkpoint,
                       const format::OrganisationKeys& keys);
std::string SealClaim(const Claim& claim, const format::OrganisationKeys& keys);
std::string SealDeletion(const base::SaveId& save, const format::OrganisationKeys& keys);
// kResourceExhausted: the facts are larger than a head may be.
absl::StatusOr<std::string> SealDecision(const Decision& decision,
                                         const format::OrganisationKeys& keys);

// Errors as format::OpenObject.
absl::StatusOr<Claim> OpenClaim(absl::string_view sealed, const format::OrganisationKeys& keys);
absl::StatusOr<Decision> OpenDecision(absl::string_view bytes, const base::SaveId& save,
                                      const format::OrganisationKeys& keys);

// What a catalog tells of a commit. `path` and time are the caller's to fill in.
transfer::CheckpointInfo InfoOf(const Decision& decision);

}  // namespace cedana::direct
