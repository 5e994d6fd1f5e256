// The providers that the service knows, and how many copies each organisation wants on them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/ids.h"

namespace cedana::metadata {

// kDraining: is read, not written, and given up once everything is elsewhere. kLost: its shards
// are gone for good; the row stays so that its name is not used again by mistake.
enum class ProviderState { kActive = 0, kDraining = 1, kLost = 2 };

struct ProviderRow {
  std::string name;
  std::string url;     // without any secret
  std::string domain;  // failure domain: what fails together
  ProviderState state = ProviderState::kActive;
  int64_t added_ms = 0;
  int64_t since_ms = 0;  // when the state was entered
};

// Of one organisation: each pack and each manifest has `copies` shards in different failure
// domains, and `ack` of them are seen before a commit. Requires: 1 <= ack <= copies.
struct Policy {
  uint32_t copies = 1;
  uint32_t ack = 1;
  bool chosen = false;  // false: the default, min(2, active domains) for both
  friend bool operator==(const Policy&, const Policy&) = default;
};

struct ProviderUsage {
  std::string provider;
  uint64_t packs = 0;
  uint64_t bytes = 0;
  uint64_t manifests = 0;
};

// Thread-safe. Every change of providers or policies judges all packs and manifests anew, in the
// same transaction (some 100 ms per TB of checkpoints): what is missing is debt at once.
class Providers {
 public:
  virtual ~Providers() = default;

  // Adds it as active. Known already with this domain: takes the new url (and a draining one stays
  // draining). kAlreadyExists: known with another domain. kFailedPrecondition: it was declared
  // lost.
  virtual absl::Status Add(const std::string& name, const std::string& url,
                           const std::string& domain) = 0;
  // In order of addition, lost ones included.
  virtual absl::StatusOr<std::vector<ProviderRow>> All() = 0;
  // kNotFound when there is none. Lost: its shards' rows go.
  virtual absl::Status SetState(const std::string& name, ProviderState state) = 0;
  // Forgets a drained one. kFailedPrecondition while shards' rows name it.
  virtual absl::Status Forget(const std::string& name) = 0;
  // What each holds.
  virtual absl::StatusOr<std::vector<ProviderUsage>> Usage() = 0;

  virtual absl::StatusOr<Policy> PolicyOf(const base::OrgId& organisation) = 0;
  // Empty: back to the default.
  virtual absl::Status SetPolicy(const base::OrgId& organisation,
                                 const std::optional<Policy>& policy) = 0;
};

}  // namespace cedana::metadata
