// Which providers there are: the catalog's rows brought to life. Adds, removes and reopens them
// while the service runs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/base/context.h"
#include "storage/replica/vault.h"

namespace cedana::replica {

inline constexpr size_t kProvidersMax = 32;

struct ProviderSpec {
  std::string name;  // [a-z0-9-], at most 63 bytes
  std::string url;   // "file:///PATH?domain=D", "s3://…"; holds no secret
  // What a file of credentials holds, for those that want one. Empty: none given.
  std::string credentials;
};

// "NAME=URL".
absl::StatusOr<ProviderSpec> ParseProvider(const std::string& text);
// A file of `{"providers": [{"name", "url"}…]}`.
absl::StatusOr<std::vector<ProviderSpec>> ParseProviders(const std::string& json);

// A provider opened by itself, in no set; no cloud is asked. Without `credentials` they come from
// the file that the URL names or from the environment. kInvalidArgument: a bad URL or bad
// credentials; kUnauthenticated: a cloud without any.
absl::StatusOr<Provider> OpenProvider(const ProviderSpec& spec);

// Where its objects lie, in one spelling for all URLs of one place: dialect, endpoint, account,
// bucket, prefix. What lies in a folder of it starts with it and a '/'.
absl::StatusOr<std::string> PlaceOf(const ProviderSpec& spec);

// Thread-safe.
class ProviderRegistry {
 public:
  // `vault` outlives it; credentials are kept in `folder` (mode 0600, NAME.json; one that others
  // can read is not used: its provider cannot be opened).
  ProviderRegistry(const Vault* vault, std::string folder)
      : vault_(*vault), folder_(std::move(folder)) {}

  // At the start of the service: adds what is given and not known yet (an error when one of these
  // cannot be opened, or is somebody else's), then opens whatever the catalog knows. One that
  // cannot be opened now, or is not ours (any more), is in the set all the same, and is tried
  // again. New credentials in NAME.json are taken here.
  absl::Status Load(const std::vector<ProviderSpec>& given);
  // `found`: what of its capabilities was seen to hold (examine.h). kAlreadyExists: the name is
  // taken, or the place (owner.h). kFailedPrecondition: it was declared lost.
  absl::Status Add(const ProviderSpec& spec,
                   const std::optional<objstore::Capabilities>& found = std::nullopt);
  // Declares it lost: its shards are written anew elsewhere, nothing of it is read again. Else it
  // is drained: no more written to, read until everything is elsewhere, then forgotten.
  // kFailedPrecondition: it is the last one, or (drained) an organisation has chosen more `ack`
  // than there are failure domains without it.
  absl::Status Remove(const std::string& name, bool lost);
  // Forgets a drained provider that nothing needs any more.
  absl::Status Forget(const std::string& name);
  // Tries those that could not be opened.
  void Reopen();

 private:
  std::string CredentialsFile(const std::string& name) const;
  absl::Status Keep(const ProviderSpec& spec) const;
  absl::Status Register(const ProviderSpec& spec, bool must_answer);
  ProviderSpec Kept(const metadata::ProviderRow& row) const;
  // kAlreadyExists: another one has the same place, one inside of it, or one around it.
  absl::Status RequireOwnPlace(const ProviderSpec& spec) const;
  void Open(const metadata::ProviderRow& row);
  // Whether dumps go on without it.
  absl::Status CheckDrain(const std::string& name);

  const Vault& vault_;
  const std::string folder_;
  absl::Mutex mutex_;  // one change at a time
};

}  // namespace cedana::replica
