// The peer of a bulk transfer for as long as the transfer has its slot: every byte that moves, and
// every wait for one, counts for the slot's group.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "absl/status/statusor.h"
#include "core/base/status.h"
#include "storage/api/bulk_slots.h"
#include "storage/api/call.h"

namespace cedana::api {

// Used by one thread. Both outlive it.
class PacedPeer {
 public:
  PacedPeer(Call& call, BulkSlots::Slot& slot, const BulkLimits& limits)
      : call_(call), slot_(slot) {
    call_.JudgeStalls(limits.ask_every, [this] { return slot_.Judge(); });
  }
  ~PacedPeer() { call_.JudgeStalls({}, nullptr); }
  PacedPeer(const PacedPeer&) = delete;

  // As Call::ReadBody; kDeadlineExceeded when the transfer is to give way.
  absl::StatusOr<size_t> Read(std::span<uint8_t> out) {
    slot_.BeginWait();
    const absl::StatusOr<size_t> got = call_.ReadBody(out);
    const absl::Status verdict = slot_.EndWait(got.value_or(0));
    CEDANA_RETURN_IF_ERROR(got.status());
    // The end of a body is not held against it.
    if (*got > 0) CEDANA_RETURN_IF_ERROR(verdict);
    return got;
  }

  absl::Status Write(std::span<const uint8_t> bytes) {
    // In steps, so that a slow reader of a large piece is not taken for one that reads nothing.
    while (!bytes.empty()) {
      const auto step = bytes.first(std::min(kStepBytes, bytes.size()));
      slot_.BeginWait();
      const absl::Status wrote = call_.Write(step);
      const absl::Status verdict = slot_.EndWait(wrote.ok() ? step.size() : 0);
      CEDANA_RETURN_IF_ERROR(wrote);
      CEDANA_RETURN_IF_ERROR(verdict);
      bytes = bytes.subspan(step.size());
    }
    return absl::OkStatus();
  }

 private:
  static constexpr size_t kStepBytes = 64u << 10;

  Call& call_;
  BulkSlots::Slot& slot_;
};

}  // namespace cedana::api
