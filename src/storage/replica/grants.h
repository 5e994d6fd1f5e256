// Grants: an HMAC that allows one thing until a time. They write nothing anywhere; who holds the
// grant key can judge them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/format/keys.h"

namespace cedana::replica {

// What an object grant binds. For reads `crc32c` is 0 and `bytes` the object's size.
struct ObjectGrant {
  std::string method;  // "PUT", "GET"
  std::string provider;
  std::string key;
  uint64_t bytes = 0;
  uint32_t crc32c = 0;
  int64_t expires_ms = 0;
};

// A value; thread-safe.
class GrantSigner {
 public:
  explicit GrantSigner(const format::Key256& key) : key_(key) {}

  // Hex of the HMAC over the parts, each with its length, so that no two lists sign alike.
  std::string Sign(const std::vector<std::string>& parts) const;
  // kPermissionDenied when expired at `now_ms` or not what was signed; constant time.
  absl::Status Verify(const std::vector<std::string>& parts, absl::string_view signature,
                      int64_t expires_ms, int64_t now_ms) const;

  std::string Sign(const ObjectGrant& grant) const;
  absl::Status Verify(const ObjectGrant& grant, absl::string_view signature, int64_t now_ms) const;

 private:
  format::Key256 key_;
};

}  // namespace cedana::replica
