// The project's one error type is absl::Status. This header fixes what its codes mean here, so that
// every layer classifies an error once, at the edge where it is born, and nobody reads texts.
//
//   kOk                 done
//   kNotFound           the thing does not exist (a probe returns it as a value, not a failure)
//   kAlreadyExists      create-only refused: something is there already
//   kUnavailable        transient: a later try may work (throttled, connection lost before sending)
//   kDeadlineExceeded   our own deadline passed
//   kCancelled          our own cancellation
//   kPermissionDenied   token, grant or right missing
//   kUnauthenticated    no or unknown token
//   kInvalidArgument    bad input; nothing was changed
//   kFailedPrecondition the state does not allow it
//   kResourceExhausted  full: disk, quota, memory budget
//   kDataLoss           corrupt: bytes do not authenticate
//   kUnknown            outcome unknown: the reply was lost; ask before repeating
//   kInternal           a bug or an error with no better name
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace cedana::base {

// The same code with "context: " put before the message. OK stays OK.
absl::Status Annotate(const absl::Status& status, absl::string_view context);

// A Status from errno, classified: ENOENT, EEXIST, EACCES/EPERM, ENOSPC/EDQUOT, EINTR/EAGAIN…
absl::Status ErrnoStatus(int error, absl::string_view what);

// May a later try succeed? (Whether a repeat is *safe* is the caller's question.)
bool IsTransient(const absl::Status& status);

// What the other side asked for ("Retry-After"), carried by the error. Zero: nothing.
absl::Status WithRetryAfter(absl::Status status, absl::Duration delay);
absl::Duration RetryAfter(const absl::Status& status);

}  // namespace cedana::base

#define CEDANA_CONCAT_INNER(a, b) a##b
#define CEDANA_CONCAT(a, b) CEDANA_CONCAT_INNER(a, b)

#define CEDANA_RETURN_IF_ERROR(expr)                                                       \
  do {                                                                                     \
    if (absl::Status cedana_status_ = (expr); !cedana_status_.ok()) return cedana_status_; \
  } while (false)

#define CEDANA_ASSIGN_OR_RETURN(lhs, expr) \
  CEDANA_ASSIGN_OR_RETURN_INNER(CEDANA_CONCAT(cedana_statusor_, __LINE__), lhs, expr)
#define CEDANA_ASSIGN_OR_RETURN_INNER(var, lhs, expr) \
  auto var = (expr);                                  \
  if (!var.ok()) return var.status();                 \
  lhs = *std::move(var)
