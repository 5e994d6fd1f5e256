#include "cedana/remote/grant_source.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace cedana::remote {
namespace {

using base::Json;

constexpr size_t kGrantsKeptMax = 4096;  // packs: 128 GiB of checkpoint, some 4 MiB of memory
// A grant is not begun to be used in its last minute: the read may take a while.
constexpr absl::Duration kBeforeExpiry = absl::Minutes(1);
constexpr absl::Duration kGrantTimeout = absl::Seconds(8);

// What several providers' failures mean together: one that may recover outweighs all others, and
// "not there" is true only when all say so.
absl::StatusCode Together(absl::StatusCode a, absl::StatusCode b) {
  if (a == absl::StatusCode::kUnavailable || b == absl::StatusCode::kNotFound) return a;
  return b;
}

}  // namespace

absl::StatusOr<std::string> GrantSource::Read(const base::Context& context,
                                              const base::PackId& pack, uint64_t offset,
                                              std::span<uint8_t> out) {
  Retry retry(policy_, context, services_);
  while (true) {
    absl::StatusOr<std::string> provider = Attempt(retry.AttemptContext(), pack, offset, out);
    if (provider.ok()) return provider;
    const absl::Status final = retry.Wait(provider.status(), /*repeat_is_safe=*/true);
    if (!final.ok()) return final;
  }
}

absl::StatusOr<std::string> GrantSource::Attempt(const base::Context& context,
                                                 const base::PackId& pack, uint64_t offset,
                                                 std::span<uint8_t> out) {
  std::string text;
  absl::StatusCode code = absl::StatusCode::kNotFound;
  absl::Duration retry_after;
  // Twice: refused grants are renewed once.
  for (int round = 0; round < 2; ++round) {
    CEDANA_ASSIGN_OR_RETURN(const std::vector<Grant> grants, Grants(context, pack));
    text = grants.empty() ? "no provider has it" : "";
    code = absl::StatusCode::kNotFound;
    bool refused = false;
    for (const Grant& grant : grants) {
      const absl::Status status = ReadFrom(context, grant, offset, out);
      if (status.ok()) return grant.provider;
      CEDANA_RETURN_IF_ERROR(context.Check());
      absl::StrAppend(&text, text.empty() ? "" : "; ", "provider ", grant.provider, ": ",
                      status.message());
      refused = refused || absl::IsPermissionDenied(status);
      retry_after = std::max(retry_after, RetryAfter(status));
      code = Together(code, MayPass(status) ? absl::StatusCode::kUnavailable : status.code());
    }
    Forget(pack);
    if (!refused) break;
  }
  return WithRetryAfter(absl::Status(code, text), retry_after);
}

absl::StatusOr<std::vector<Grant>> GrantSource::Grants(const base::Context& context,
                                                       const base::PackId& pack) {
  {
    absl::MutexLock lock(&mutex_);
    const auto it = grants_.find(pack);
    if (it != grants_.end()) {
      const absl::Time soon = services_.clock->Now() + kBeforeExpiry;
      const bool good = std::all_of(it->second.begin(), it->second.end(),
                                    [&](const Grant& grant) { return grant.expires > soon; });
      if (good) return it->second;
      grants_.erase(it);
    }
  }
  // Two readers of one pack may both ask: that costs a round trip, a lock across it would cost all.
  const Json body = {{"packs", Json::array({pack.ToHex()})}};
  const absl::StatusOr<Json> answer =
      api_->Call(context.WithTimeout(kGrantTimeout), "POST",
                 absl::StrCat("/v3/leases/", lease_.ToHex(), "/grants"), &body);
  if (absl::IsDeadlineExceeded(answer.status())) {
    return absl::UnavailableError(answer.status().message());  // Retry asks the caller's context
  }
  CEDANA_RETURN_IF_ERROR(answer.status());
  absl::StatusOr<std::vector<Grant>> grants = GrantsFromJson(*answer, api_->origin());
  if (!grants.ok()) return base::Annotate(grants.status(), "the storage service's grants");
  std::erase_if(*grants, [&](const Grant& grant) { return grant.pack != pack; });
  absl::MutexLock lock(&mutex_);
  if (grants_.size() >= kGrantsKeptMax) grants_.clear();
  if (!grants->empty()) grants_[pack] = *grants;
  return grants;
}

void GrantSource::Forget(const base::PackId& pack) {
  absl::MutexLock lock(&mutex_);
  grants_.erase(pack);
}

absl::Status GrantSource::ReadFrom(const base::Context& context, const Grant& grant,
                                   uint64_t offset, std::span<uint8_t> out) {
  if (out.empty()) return absl::OkStatus();
  http::ClientRequest request;
  request.method = grant.method;
  request.url = grant.url;
  request.headers = grant.headers;
  request.headers.emplace_back("Range",
                               absl::StrCat("bytes=", offset, "-", offset + out.size() - 1));
  size_t filled = 0;
  request.on_body = [&](std::span<const uint8_t> bytes) {
    if (bytes.size() > out.size() - filled) {
      return absl::FailedPreconditionError("more bytes came than were asked for");
    }
    std::memcpy(out.data() + filled, bytes.data(), bytes.size());
    filled += bytes.size();
    return absl::OkStatus();
  };
  absl::StatusOr<http::ClientResponse> response = data_client_->Do(context, request);
  if (absl::IsDataLoss(response.status())) {
    return absl::UnavailableError(response.status().message());  // cut short
  }
  CEDANA_RETURN_IF_ERROR(response.status());
  // 200 means that Range was ignored: right only where the range is the whole object.
  const int status = response->status;
  if (status != 206 && !(status == 200 && offset == 0)) {
    if (status / 100 == 2) return absl::FailedPreconditionError("the provider ignores ranges");
    if (status == 404) return absl::NotFoundError("not there");
    return ErrorOf("read", *response);
  }
  if (filled == out.size()) return absl::OkStatus();
  // A whole answer that is too short, not one that was cut: the object itself is shorter.
  return absl::DataLossError(
      absl::StrCat("only ", filled, " of ", out.size(), " bytes at offset ", offset, " came"));
}

}  // namespace cedana::remote
