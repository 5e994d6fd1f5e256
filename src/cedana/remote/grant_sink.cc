#include "cedana/remote/grant_sink.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace cedana::remote {
namespace {

using base::Json;

// A service that takes the request and says nothing must not use up the upload's whole time.
constexpr absl::Duration kGrantTimeout = absl::Seconds(8);

// What the client sends by itself; given twice it would contradict itself.
bool IsOwnHeader(absl::string_view name) {
  const std::string lower = absl::AsciiStrToLower(name);
  return lower == "content-length" || lower == "expect" || lower == "host";
}

// Whether the object that is there already is the one that we wanted to put.
bool IsSame(const http::ClientResponse& response, uint64_t bytes, uint32_t crc32c) {
  const std::string* their_bytes = response.Header("x-object-bytes");
  const std::string* their_crc = response.Header("x-object-crc32c");
  uint64_t bytes_value = 0;
  uint32_t crc_value = 0;
  return their_bytes != nullptr && their_crc != nullptr &&
         absl::SimpleAtoi(*their_bytes, &bytes_value) && absl::SimpleAtoi(*their_crc, &crc_value) &&
         bytes_value == bytes && crc_value == crc32c;
}

}  // namespace

struct GrantSink::Upload {
  base::PackId pack;
  std::span<const uint8_t> bytes;
  uint32_t crc32c = 0;
  std::vector<Grant> grants;
  std::vector<std::string> acknowledged;
  int refusals = 0;  // grants refused one after the other

  bool Has(const std::string& provider) const {
    return std::find(acknowledged.begin(), acknowledged.end(), provider) != acknowledged.end();
  }
};

GrantSink::GrantSink(const base::SaveId& save, const HttpApi* api, http::Client* data_client,
                     RetryPolicy policy, Services services)
    : save_(save),
      api_(api),
      data_client_(data_client),
      policy_(policy),
      services_(services),
      last_success_ns_(absl::ToInt64Nanoseconds(services.clock->Monotonic())) {}

absl::StatusOr<std::vector<std::string>> GrantSink::Put(const base::Context& context,
                                                        const base::PackId& pack,
                                                        std::span<const uint8_t> bytes,
                                                        uint32_t crc32c) {
  Upload upload{pack, bytes, crc32c, {}, {}, 0};
  Retry retry(policy_, context, services_, [this] {
    return absl::Nanoseconds(last_success_ns_.load(std::memory_order_relaxed));
  });
  while (true) {
    const absl::Status status = Attempt(retry.AttemptContext(), upload);
    if (status.ok()) {
      last_success_ns_.store(absl::ToInt64Nanoseconds(services_.clock->Monotonic()),
                             std::memory_order_relaxed);
      return upload.acknowledged;
    }
    // Grants are create-only and bound to the pack's bytes, so a repeat is safe.
    const absl::Status final = retry.Wait(status, /*repeat_is_safe=*/true);
    if (!final.ok()) return final;
  }
}

absl::Status GrantSink::Attempt(const base::Context& context, Upload& upload) {
  if (upload.grants.empty()) {
    CEDANA_ASSIGN_OR_RETURN(upload.grants, AskForGrants(context, upload));
  }
  for (const Grant& grant : upload.grants) {
    if (upload.Has(grant.provider)) continue;
    const absl::Status status = PutTo(context, grant, upload);
    if (status.ok()) {
      upload.refusals = 0;
      upload.acknowledged.push_back(grant.provider);
      continue;
    }
    absl::Status told = base::Annotate(status, absl::StrCat("provider ", grant.provider));
    // The next attempt asks anew: the service may name another place, and grants expire.
    upload.grants.clear();
    if (!absl::IsPermissionDenied(status) || ++upload.refusals > 1) return told;
    return absl::UnavailableError(told.message());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Grant>> GrantSink::AskForGrants(const base::Context& context,
                                                           const Upload& upload) {
  const Json body = {{"packs", Json::array({{{"pack", upload.pack.ToHex()},
                                             {"bytes", upload.bytes.size()},
                                             {"crc32c", upload.crc32c}}})}};
  const absl::StatusOr<Json> answer =
      api_->Call(context.WithTimeout(kGrantTimeout), "POST",
                 absl::StrCat("/v3/saves/", save_.ToHex(), "/grants"), &body);
  if (absl::IsDeadlineExceeded(answer.status())) {
    return absl::UnavailableError(answer.status().message());  // Retry asks the caller's context
  }
  CEDANA_RETURN_IF_ERROR(answer.status());
  absl::StatusOr<std::vector<Grant>> grants = GrantsFromJson(*answer, api_->origin());
  if (!grants.ok()) return base::Annotate(grants.status(), "the storage service's grants");
  std::erase_if(*grants, [&](const Grant& grant) { return grant.pack != upload.pack; });
  if (grants->empty()) return absl::UnavailableError("no provider takes it now");
  return grants;
}

absl::Status GrantSink::PutTo(const base::Context& context, const Grant& grant,
                              const Upload& upload) {
  http::ClientRequest request;
  request.method = grant.method;
  request.url = grant.url;
  std::copy_if(grant.headers.begin(), grant.headers.end(), std::back_inserter(request.headers),
               [](const auto& header) { return !IsOwnHeader(header.first); });
  request.body = upload.bytes;
  request.has_body = true;
  request.expect_continue = true;
  absl::StatusOr<http::ClientResponse> response = data_client_->Do(context, request);
  if (absl::IsDataLoss(response.status())) {
    return absl::UnknownError(response.status().message());  // the answer was cut
  }
  CEDANA_RETURN_IF_ERROR(response.status());
  if (response->status / 100 == 2) return absl::OkStatus();
  if (response->status == 409 && IsSame(*response, upload.bytes.size(), upload.crc32c)) {
    return absl::OkStatus();
  }
  return ErrorOf("upload", *response);
}

}  // namespace cedana::remote
