#include "core/transfer/lease_keeper.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace cedana::transfer {
namespace {

constexpr absl::Duration kHeartbeatMin = absl::Milliseconds(10);

}  // namespace

LeaseKeeper::LeaseKeeper(absl::Duration lease, absl::Duration heartbeat, base::Clock& clock,
                         Renew renew, base::Context work)
    : lease_(lease),
      heartbeat_(std::max(heartbeat, kHeartbeatMin)),
      clock_(clock),
      renew_(std::move(renew)),
      work_(std::move(work)),
      renewed_(clock.Monotonic()) {
  work_callback_ = work_.cancel->OnCancel([stop = stop_] { stop->Cancel(absl::OkStatus()); });
}

LeaseKeeper::~LeaseKeeper() { work_.cancel->RemoveCallback(work_callback_); }

void LeaseKeeper::Run() {
  absl::Duration wait = heartbeat_;
  while (!stop_->WaitFor(std::min(wait, work_.Remaining()))) {
    absl::Status status = work_.Check();
    if (status.ok()) status = RenewOnce();
    if (!status.ok()) {
      work_.cancel->Cancel(status);
      return;
    }
    // A renewal that failed for now is tried again sooner.
    const bool behind = clock_.Monotonic() - renewed_ > heartbeat_;
    wait = behind ? std::max(heartbeat_ / 4, kHeartbeatMin) : heartbeat_;
  }
}

void LeaseKeeper::Stop() { stop_->Cancel(absl::OkStatus()); }

absl::Status LeaseKeeper::RenewOnce() {
  const absl::Duration asked = clock_.Monotonic();
  base::Context context{work_.deadline, stop_};
  const absl::Status status = renew_(context.WithTimeout(std::max(heartbeat_, absl::Seconds(1))));
  if (status.ok()) {
    renewed_ = asked;
    return status;
  }
  switch (status.code()) {
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return base::Annotate(status, "lease lost");
    default:
      break;
  }
  if (clock_.Monotonic() - renewed_ < lease_) return absl::OkStatus();
  return absl::DeadlineExceededError(absl::StrCat(
      "lease lost: not renewed for ", absl::FormatDuration(lease_), ": ", status.message()));
}

}  // namespace cedana::transfer
