#include "cedana/remote/http_catalog.h"

#include "absl/strings/str_cat.h"
#include "cedana/remote/wire.h"
#include "core/base/status.h"
#include "core/http/client.h"

namespace cedana::remote {
namespace {

using base::Annotate;
using base::Json;

std::string SaveTarget(const base::SaveId& save, absl::string_view action = "") {
  return absl::StrCat("/v3/saves/", save.ToHex(), action);
}

std::string LeaseTarget(const base::LeaseId& lease, absl::string_view action = "") {
  return absl::StrCat("/v3/leases/", lease.ToHex(), action);
}

// An answer in a form that we do not know is the other side's mistake, not the caller's.
absl::Status Misunderstood(const absl::Status& status, absl::string_view what) {
  return absl::InternalError(
      absl::StrCat(what, ": the storage service's answer: ", status.message()));
}

}  // namespace

absl::StatusOr<Json> HttpCatalog::Call(const base::Context& context, absl::string_view what,
                                       absl::string_view method, const std::string& target,
                                       const Json* body) {
  Retry retry(policy_, context, services_);
  while (true) {
    absl::StatusOr<Json> answer = api_->Call(retry.AttemptContext(), method, target, body);
    if (answer.ok()) return answer;
    const absl::Status final = retry.Wait(answer.status(), /*repeat_is_safe=*/true);
    if (!final.ok()) return Annotate(final, what);
  }
}

absl::Status HttpCatalog::DeleteCall(const base::Context& context, absl::string_view what,
                                     const std::string& target) {
  Retry retry(policy_, context, services_);
  bool answer_lost = false;
  while (true) {
    const absl::Status status = api_->Call(retry.AttemptContext(), "DELETE", target).status();
    if (status.ok() || (absl::IsNotFound(status) && answer_lost)) return absl::OkStatus();
    answer_lost = answer_lost || status.code() == absl::StatusCode::kUnknown;
    const absl::Status final = retry.Wait(status, /*repeat_is_safe=*/true);
    if (!final.ok()) return Annotate(final, what);
  }
}

absl::StatusOr<transfer::BegunSave> HttpCatalog::Begin(const base::Context& context,
                                                       const transfer::BeginRequest& request) {
  const std::string what = absl::StrCat("begin the save of ", request.path);
  const Json body = ToJson(request);
  CEDANA_ASSIGN_OR_RETURN(const Json answer,
                          Call(context, what, "PUT", SaveTarget(request.save), &body));
  absl::StatusOr<transfer::BegunSave> begun = BegunSaveFromJson(answer);
  if (!begun.ok()) return Misunderstood(begun.status(), what);
  return begun;
}

absl::Status HttpCatalog::Heartbeat(const base::Context& context, const base::SaveId& save) {
  return Call(context, "renew the save's lease", "POST", SaveTarget(save, "/heartbeat")).status();
}

absl::StatusOr<transfer::CheckpointInfo> HttpCatalog::Commit(
    const base::Context& context, const transfer::CommitRequest& request) {
  const std::string what = absl::StrCat("commit ", request.path);
  const Json body = ToJson(request);
  const absl::StatusOr<Json> answer =
      api_->Call(context, "POST", SaveTarget(request.save, "/commit"), &body);
  if (!answer.ok()) {
    switch (answer.status().code()) {
      // Certain only where the service itself said so, or nothing was sent (kUnavailable).
      case absl::StatusCode::kDeadlineExceeded:
      case absl::StatusCode::kCancelled:
      case absl::StatusCode::kInternal:
        return absl::UnknownError(absl::StrCat(what, ": ", answer.status().message()));
      default:
        return Annotate(answer.status(), what);
    }
  }
  absl::StatusOr<transfer::CheckpointInfo> info = CheckpointFromJson(*answer);
  if (!info.ok()) return absl::UnknownError(Misunderstood(info.status(), what).message());
  return info;
}

absl::Status HttpCatalog::Abort(const base::Context& context, const base::SaveId& save) {
  return Call(context, "abort the save", "POST", SaveTarget(save, "/abort")).status();
}

absl::StatusOr<transfer::SaveOutcome> HttpCatalog::Outcome(const base::Context& context,
                                                           const base::SaveId& save) {
  constexpr absl::string_view kWhat = "ask for the save's outcome";
  CEDANA_ASSIGN_OR_RETURN(const Json answer, Call(context, kWhat, "GET", SaveTarget(save)));
  absl::StatusOr<transfer::SaveOutcome> outcome = OutcomeFromJson(answer);
  if (!outcome.ok()) return Misunderstood(outcome.status(), kWhat);
  return outcome;
}

absl::StatusOr<transfer::OpenedCheckpoint> HttpCatalog::Open(const base::Context& context,
                                                             const std::string& path,
                                                             const base::LeaseId& lease) {
  const std::string what = absl::StrCat("open ", path);
  const Json body = {{"path", path}, {"lease", lease.ToHex()}};
  CEDANA_ASSIGN_OR_RETURN(const Json answer,
                          Call(context, what, "POST", "/v3/checkpoints/open", &body));
  absl::StatusOr<transfer::OpenedCheckpoint> opened = OpenedFromJson(answer);
  if (!opened.ok()) return Misunderstood(opened.status(), what);
  return opened;
}

absl::Status HttpCatalog::RenewHold(const base::Context& context, const base::LeaseId& lease) {
  return Call(context, "renew the hold", "POST", LeaseTarget(lease, "/heartbeat")).status();
}

absl::Status HttpCatalog::Close(const base::Context& context, const base::LeaseId& lease) {
  return DeleteCall(context, "end the hold", LeaseTarget(lease));
}

absl::StatusOr<std::vector<transfer::CheckpointInfo>> HttpCatalog::List(
    const base::Context& context, const transfer::ListQuery& query) {
  constexpr absl::string_view kWhat = "list checkpoints";
  CEDANA_ASSIGN_OR_RETURN(const Json answer, Call(context, kWhat, "GET",
                                                  absl::StrCat("/v3/checkpoints", ToQuery(query))));
  absl::StatusOr<std::vector<transfer::CheckpointInfo>> list = CheckpointsFromJson(answer);
  if (!list.ok()) return Misunderstood(list.status(), kWhat);
  return list;
}

absl::Status HttpCatalog::Delete(const base::Context& context, const std::string& path) {
  return DeleteCall(context, absl::StrCat("delete ", path),
                    absl::StrCat("/v3/checkpoints?path=", http::PercentEncode(path)));
}

}  // namespace cedana::remote
