// Who a repository is, and its keys (docs/format/direct.md).
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cedana/direct/retrying_store.h"
#include "core/base/context.h"
#include "core/base/random.h"
#include "core/format/keys.h"

namespace cedana::direct {

// A value; thread-safe.
struct Repository {
  bool key_kept_here = false;     // in the bucket: integrity only, not secret
  format::OrganisationKeys keys;  // keys.organisation is the repository's id
  format::Key256 tag_key{};

  std::string NameTag(absl::string_view name) const;
  // Of an empty text: the tag of no job.
  std::string JobNameTag(absl::string_view job_name) const;
  std::string JobIdTag(absl::string_view job_id) const;
};

// The key in `path` (64 hex digits, white space around them is ignored); empty path: none. Errors
// name the file and the setting, never what is in it.
absl::StatusOr<std::optional<format::Key256>> ReadKeyFile(const std::string& path);

// Reads the repository; where there is none and `random` is given, creates it (whoever comes first
// wins, and all get the same).
//   kNotFound            there is none
//   kFailedPrecondition  it is none of ours, or not for this key
absl::StatusOr<Repository> OpenRepository(const base::Context& context, RetryingStore& store,
                                          const std::optional<format::Key256>& key,
                                          base::Random* random);

}  // namespace cedana::direct
