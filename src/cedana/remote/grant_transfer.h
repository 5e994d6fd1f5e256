// One upload or one read under a grant, and what the provider's answer means. Tries nothing twice.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "absl/status/status.h"
#include "cedana/remote/wire.h"
#include "core/base/context.h"
#include "core/http/client.h"

namespace cedana::remote {

// Bytes moved so far.
using OnProgress = std::function<void(uint64_t)>;

// Puts `bytes` where the grant says. OK also when they are there already: a directory says so with
// size and checksum; the clouds do not, and need not, for the key holds a pack id that was drawn
// once for bytes that never change, and the service checks size and checksum before the commit.
//   kUnavailable       try later; with base::RetryAfter when the provider asks to slow down
//   kUnknown           the answer was lost: it may be there
//   kPermissionDenied  the grant is refused          kResourceExhausted  full
//   kAlreadyExists     other bytes lie there         kDataLoss           the bytes arrived changed
// and kCancelled, kDeadlineExceeded of the context. No text holds the grant's secret.
absl::Status UploadUnderGrant(const base::Context& context, http::Client& client,
                              const Grant& grant, std::span<const uint8_t> bytes, uint32_t crc32c,
                              const OnProgress& on_progress);

// Fills all of `out` from `offset`. kUnavailable also for an answer that was cut; kDataLoss: the
// object is shorter; kNotFound; kPermissionDenied. `on_first_byte`: of the body.
absl::Status ReadUnderGrant(const base::Context& context, http::Client& client, const Grant& grant,
                            uint64_t offset, std::span<uint8_t> out, const OnProgress& on_progress,
                            const std::function<void()>& on_first_byte);

}  // namespace cedana::remote
