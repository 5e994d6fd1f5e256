#include "core/transfer/authentic_read.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace cedana::transfer {

void AuthenticRead::Reject(const std::string& provider, const absl::Status& what) {
  source_.ReportDamage(pack_, provider, what);
  wrong_.push_back(provider);
  absl::StrAppend(&damage_, damage_.empty() ? "" : "; ", what.message());
}

absl::Status AuthenticRead::Run(const base::Context& context, uint64_t offset,
                                std::span<uint8_t> out, const Judge& judge) {
  while (true) {
    const absl::StatusOr<std::string> provider = source_.Read(context, pack_, offset, out, wrong_);
    if (!provider.ok()) return Failure(provider.status());
    // Also what bounds this loop: every round adds one.
    if (std::find(wrong_.begin(), wrong_.end(), *provider) != wrong_.end()) {
      return absl::InternalError(absl::StrCat("pack ", pack_.ToHex(), ": provider ", *provider,
                                              " was asked again though its bytes are wrong"));
    }
    absl::Status judged = judge(*provider);
    if (!absl::IsDataLoss(judged)) return judged;
    Reject(*provider, judged);
  }
}

absl::Status AuthenticRead::Failure(const absl::Status& read) const {
  // Nobody else has it: the damage is the reason.
  if (!wrong_.empty() && absl::IsNotFound(read)) return absl::DataLossError(damage_);
  absl::Status failure = base::Annotate(read, absl::StrCat("pack ", pack_.ToHex()));
  if (wrong_.empty()) return failure;
  return absl::Status(failure.code(), absl::StrCat(failure.message(), "; ", damage_));
}

}  // namespace cedana::transfer
