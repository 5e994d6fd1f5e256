// Organisations and tokens of the catalog.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/ids.h"

namespace cedana::metadata {

struct Organisation {
  base::OrgId id;
  std::string name;
  std::string wrapped_key;  // its key, sealed by the master key
};

struct Token {
  std::string id;                           // 32 hex digits; not secret
  std::optional<base::OrgId> organisation;  // absent: an operator's token
  std::string organisation_name;            // filled in by List
  std::string hash;                         // SHA-256 of the token's text
  int64_t created_ms = 0;
  bool revoked = false;
};

// Thread-safe. Every call is one transaction.
class Identities {
 public:
  virtual ~Identities() = default;
  // kAlreadyExists when the name is taken.
  virtual absl::Status AddOrganisation(const Organisation& organisation) = 0;
  // Sorted by name.
  virtual absl::StatusOr<std::vector<Organisation>> Organisations() = 0;
  virtual absl::StatusOr<Organisation> FindOrganisation(const base::OrgId& id) = 0;
  virtual absl::StatusOr<Organisation> FindOrganisation(const std::string& name) = 0;

  virtual absl::Status AddToken(const Token& token) = 0;
  // Absent is a value.
  virtual absl::StatusOr<std::optional<Token>> FindToken(const std::string& id) = 0;
  // Of one organisation, or all (operator's included) when `organisation` is empty; oldest first.
  virtual absl::StatusOr<std::vector<Token>> Tokens(const std::string& organisation) = 0;
  // kNotFound when there is none; revoking twice is success.
  virtual absl::Status RevokeToken(const std::string& id) = 0;
};

}  // namespace cedana::metadata
