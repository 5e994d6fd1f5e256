// Strong types for the 128-bit ids that name things, so that a pack id can never be passed where a
// page id is meant. All are values: copy, compare and hash freely from any thread.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cedana::base {

class Random;

std::string HexEncode(const uint8_t* data, size_t size);
absl::StatusOr<std::string> HexDecode(absl::string_view hex);
std::string Base64Encode(absl::string_view bytes);
absl::StatusOr<std::string> Base64Decode(absl::string_view text);

// Fills 16 bytes from lower-case or upper-case hex; anything else is kInvalidArgument.
absl::Status ParseId(absl::string_view hex, std::array<uint8_t, 16>* out);

template <typename Tag>
class Id {
 public:
  static constexpr size_t kBytes = 16;

  Id() = default;
  explicit Id(const std::array<uint8_t, kBytes>& bytes) : bytes_(bytes) {}

  static absl::StatusOr<Id> FromHex(absl::string_view hex) {
    Id id;
    if (absl::Status status = ParseId(hex, &id.bytes_); !status.ok()) return status;
    return id;
  }
  static Id FromBytes(const uint8_t* bytes) {
    Id id;
    std::memcpy(id.bytes_.data(), bytes, kBytes);
    return id;
  }

  const uint8_t* data() const { return bytes_.data(); }
  std::string ToHex() const { return HexEncode(bytes_.data(), kBytes); }
  bool IsZero() const { return bytes_ == std::array<uint8_t, kBytes>{}; }

  friend auto operator<=>(const Id&, const Id&) = default;

  template <typename H>
  friend H AbslHashValue(H state, const Id& id) {
    return H::combine_contiguous(std::move(state), id.bytes_.data(), kBytes);
  }

 private:
  std::array<uint8_t, kBytes> bytes_{};
};

struct PageTag {};
struct PackTag {};
struct SaveTag {};
struct CheckpointTag {};
struct OrgTag {};
struct LeaseTag {};
struct JobTag {};
struct VaultTag {};

using PageId = Id<PageTag>;              // keyed id of a page's content; never logged (design: 3)
using PackId = Id<PackTag>;              // drawn at the moment of sealing, never reused
using SaveId = Id<SaveTag>;              // one dump's dealings with the service
using CheckpointId = Id<CheckpointTag>;  // also the id of its manifest
using OrgId = Id<OrgTag>;
using LeaseId = Id<LeaseTag>;  // a restore's hold on a checkpoint
using JobId = Id<JobTag>;      // a job's uuid; its name is only for people
using VaultId = Id<VaultTag>;  // one catalog, among all that may come upon our objects

// Draws a fresh random id.
template <typename IdType>
IdType DrawId(Random& random);

}  // namespace cedana::base

#include "core/base/random.h"

namespace cedana::base {

template <typename IdType>
IdType DrawId(Random& random) {
  std::array<uint8_t, IdType::kBytes> bytes;
  random.Fill(bytes.data(), bytes.size());
  return IdType(bytes);
}

}  // namespace cedana::base
