#include "core/transfer/committer.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/status.h"
#include "core/transfer/lost_reply.h"

namespace cedana::transfer {
namespace {

constexpr absl::Duration kBackoffMin = absl::Milliseconds(100);
constexpr absl::Duration kBackoffMax = absl::Seconds(2);
constexpr absl::Duration kResolveMax = absl::Seconds(5);

bool MayPass(const absl::Status& status) {
  return status.code() == absl::StatusCode::kUnknown || base::IsTransient(status);
}

absl::Status NotCommitted(const absl::Status& cause) {
  const absl::StatusCode code = cause.code() == absl::StatusCode::kUnknown
                                    ? absl::StatusCode::kDeadlineExceeded
                                    : cause.code();
  return absl::Status(code, absl::StrCat("not committed: ", cause.message()));
}

class Resolver {
 public:
  Resolver(const base::Context& context, Catalog& catalog, const CommitRequest& request)
      : context_(context), catalog_(catalog), request_(request) {}

  absl::StatusOr<CheckpointInfo> Resolve(const absl::Status& cause) {
    for (absl::Duration backoff = kBackoffMin;; backoff = std::min(2 * backoff, kBackoffMax)) {
      const absl::StatusOr<SaveOutcome> outcome = catalog_.Outcome(context_, request_.save);
      if (outcome.ok()) {
        if (*outcome == SaveOutcome::kCommitted) return Committed();
        if (*outcome == SaveOutcome::kAborted) return NotCommitted(cause);
        if (*outcome == SaveOutcome::kOpen) {
          const absl::Status aborted = catalog_.Abort(context_, request_.save);
          if (aborted.ok()) return NotCommitted(cause);
          if (aborted.code() == absl::StatusCode::kAlreadyExists) return Committed();
        }
      }
      if (!context_.Sleep(backoff).ok()) {
        return absl::UnknownError(absl::StrCat("outcome unknown: ", cause.message()));
      }
    }
  }

 private:
  // The commit repeated gives the answer of the first one.
  absl::StatusOr<CheckpointInfo> Committed() {
    absl::StatusOr<CheckpointInfo> info = catalog_.Commit(context_, request_);
    if (info.ok()) return info;
    // It is committed all the same; what only the catalog knows stays empty.
    CheckpointInfo known;
    known.id = request_.checkpoint;
    known.path = request_.path;
    known.created = absl::Now();
    known.image_bytes = request_.image_bytes;
    known.stored_bytes = request_.stored_bytes;
    known.new_bytes = request_.new_bytes;
    known.codec = request_.codec;
    known.durability = "durable";
    known.facts = request_.facts;
    return known;
  }

  const base::Context context_;
  Catalog& catalog_;
  const CommitRequest& request_;
};

}  // namespace

absl::StatusOr<CheckpointInfo> CommitSave(const base::Context& context, Catalog& catalog,
                                          const CommitRequest& request, absl::Duration timeout) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  const absl::Duration resolve_time = std::min(timeout / 4, kResolveMax);
  const base::Context attempts = context.WithTimeout(timeout - resolve_time);
  bool unsure = false;
  absl::Status failure;
  for (absl::Duration backoff = kBackoffMin;; backoff = std::min(2 * backoff, kBackoffMax)) {
    absl::StatusOr<CheckpointInfo> info = catalog.Commit(attempts, request);
    if (info.ok()) return info;
    failure = info.status();
    unsure = unsure || MayHaveHappened(failure);
    if (!MayPass(failure) || !attempts.Sleep(backoff).ok()) break;
  }
  if (!unsure) return NotCommitted(failure);
  const base::Context resolve = base::Context{}.WithTimeout(resolve_time);
  return Resolver(resolve, catalog, request).Resolve(failure);
}

}  // namespace cedana::transfer
