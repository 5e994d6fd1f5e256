#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cedana/cli/format.h"
#include "cedana/cli/watch_internal.h"
#include "core/base/clock.h"
#include "core/base/ids.h"
#include "core/base/random.h"

namespace cedana::cli {
namespace {

// After the operation's answer; its last notes are on their way by then.
constexpr absl::Duration kLastNotes = absl::Milliseconds(500);

std::string Rate(const daemon_api::OperationSummary& summary) {
  return RateText(summary.imagebytes(), absl::Microseconds(summary.wallmicros()));
}

std::string Wall(const daemon_api::OperationSummary& summary) {
  return DurationText(absl::Microseconds(summary.wallmicros()));
}

std::string Join(const std::string& label, std::vector<std::string> parts) {
  parts.erase(std::remove(parts.begin(), parts.end(), ""), parts.end());
  return absl::StrCat(label, ": ", absl::StrJoin(parts, ", "));
}

}  // namespace

std::string DrawOperationId() {
  uint8_t bytes[16];
  base::SystemRandom().Fill(bytes, sizeof(bytes));
  return base::HexEncode(bytes, sizeof(bytes));
}

Watcher::Watcher(Client* client, const Terminal& terminal, std::string operation_id,
                 std::string label)
    : client_(client),
      context_(client, kNoTimeout),
      progress_(terminal, base::SystemClock(), std::move(label)) {
  thread_ = base::Thread("watch", [this, id = std::move(operation_id)] { Run(id); });
}

void Watcher::Run(const std::string& operation_id) {
  daemon_api::WatchReq request;
  request.set_operationid(operation_id);
  const auto stream = client_->stub().Watch(context_.get(), request);
  daemon_api::WatchResp response;
  while (stream->Read(&response)) {
    if (!response.note().empty()) progress_.Note(response.note());
    if (response.stage().empty()) continue;
    progress_.Update(
        {response.stage(), response.bytes(), response.totalbytes(), response.storedbytes()});
  }
  // That progress could not be shown is no failure of the operation.
  (void)stream->Finish();
  absl::MutexLock lock(&mutex_);
  ended_ = true;
}

void Watcher::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(&ended_), kLastNotes);
  }
  context_.get()->TryCancel();
  thread_.Join();
  progress_.Clear();
}

std::string DumpSummary(const std::string& label, const daemon_api::OperationSummary& summary) {
  std::vector<std::string> parts{SizeText(summary.imagebytes()),
                                 absl::StrCat("stored ", SizeText(summary.storedbytes()), " (new ",
                                              SizeText(summary.newbytes()), ")"),
                                 Rate(summary)};
  if (!summary.leftrunning()) {
    parts.push_back(absl::StrCat("process ended after ", Wall(summary)));
  } else if (summary.frozenmicros() > 0) {
    parts.push_back(
        absl::StrCat("frozen ", DurationText(absl::Microseconds(summary.frozenmicros()))));
  }
  if (!IsDurable(summary.durability())) parts.push_back(summary.durability());
  return Join(label, std::move(parts));
}

std::string RestoreSummary(const std::string& label, const daemon_api::OperationSummary& summary) {
  return Join(label, {SizeText(summary.imagebytes()), Rate(summary),
                      absl::StrCat("restored in ", Wall(summary))});
}

}  // namespace cedana::cli
