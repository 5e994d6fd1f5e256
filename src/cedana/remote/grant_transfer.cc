#include "cedana/remote/grant_transfer.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "cedana/remote/http_api.h"
#include "core/base/status.h"

namespace cedana::remote {
namespace {

using objstore::Dialect;

// Of an answer that asks to slow down and does not say for how long.
constexpr absl::Duration kThrottleDefault = absl::Milliseconds(100);
// A process may be frozen meanwhile: who asks for longer is asked again after this.
constexpr absl::Duration kThrottleMax = absl::Seconds(10);
constexpr int kTooManyRequests = 429;
constexpr int kServiceUnavailable = 503;

// What the client sends by itself; given twice it would contradict itself.
bool IsOwnHeader(absl::string_view name) {
  const std::string lower = absl::AsciiStrToLower(name);
  return lower == "content-length" || lower == "expect" || lower == "host";
}

http::ClientRequest RequestOf(const Grant& grant) {
  http::ClientRequest request;
  request.method = grant.method;
  request.url = grant.url;
  std::copy_if(grant.headers.begin(), grant.headers.end(), std::back_inserter(request.headers),
               [](const auto& header) { return !IsOwnHeader(header.first); });
  return request;
}

// Whether the object that a directory has already is the one that we wanted to put.
bool IsSame(const http::ClientResponse& response, uint64_t bytes, uint32_t crc32c) {
  const std::string* their_bytes = response.Header("x-object-bytes");
  const std::string* their_crc = response.Header("x-object-crc32c");
  uint64_t bytes_value = 0;
  uint32_t crc_value = 0;
  return their_bytes != nullptr && their_crc != nullptr &&
         absl::SimpleAtoi(*their_bytes, &bytes_value) && absl::SimpleAtoi(*their_crc, &crc_value) &&
         bytes_value == bytes && crc_value == crc32c;
}

absl::Status Refusal(const Grant& grant, absl::string_view what,
                     const http::ClientResponse& response) {
  absl::Status status = grant.dialect == Dialect::kDirectory
                            ? ErrorOf(what, response)
                            : objstore::ErrorOfAnswer(grant.dialect, what, response);
  const absl::Duration asked = base::RetryAfter(status);
  if (asked > kThrottleMax) return base::WithRetryAfter(std::move(status), kThrottleMax);
  const bool slow_down =
      response.status == kTooManyRequests || response.status == kServiceUnavailable;
  if (slow_down && asked == absl::ZeroDuration()) {
    return base::WithRetryAfter(std::move(status), kThrottleDefault);
  }
  return status;
}

}  // namespace

absl::Status UploadUnderGrant(const base::Context& context, http::Client& client,
                              const Grant& grant, std::span<const uint8_t> bytes, uint32_t crc32c,
                              const OnProgress& on_progress) {
  http::ClientRequest request = RequestOf(grant);
  request.body = bytes;
  request.has_body = true;
  request.expect_continue = true;
  request.on_progress = on_progress;
  absl::StatusOr<http::ClientResponse> response = client.Do(context, request);
  if (absl::IsDataLoss(response.status())) {
    return absl::UnknownError(response.status().message());  // the answer was cut
  }
  CEDANA_RETURN_IF_ERROR(response.status());
  if (response->status / 100 == 2) {
    if (on_progress) on_progress(bytes.size());
    return absl::OkStatus();
  }
  const absl::Status refusal = Refusal(grant, "upload", *response);
  if (!absl::IsAlreadyExists(refusal)) return refusal;
  const bool same = grant.dialect != Dialect::kDirectory || IsSame(*response, bytes.size(), crc32c);
  return same ? absl::OkStatus() : refusal;
}

absl::Status ReadUnderGrant(const base::Context& context, http::Client& client, const Grant& grant,
                            uint64_t offset, std::span<uint8_t> out, const OnProgress& on_progress,
                            const std::function<void()>& on_first_byte) {
  if (out.empty()) return absl::OkStatus();
  http::ClientRequest request = RequestOf(grant);
  request.headers.emplace_back("Range",
                               absl::StrCat("bytes=", offset, "-", offset + out.size() - 1));
  size_t filled = 0;
  request.on_body = [&](std::span<const uint8_t> bytes) {
    if (bytes.size() > out.size() - filled) {
      return absl::FailedPreconditionError("more bytes came than were asked for");
    }
    if (filled == 0 && on_first_byte) on_first_byte();
    std::memcpy(out.data() + filled, bytes.data(), bytes.size());
    filled += bytes.size();
    if (on_progress) on_progress(filled);
    return absl::OkStatus();
  };
  absl::StatusOr<http::ClientResponse> response = client.Do(context, request);
  if (absl::IsDataLoss(response.status())) {
    return absl::UnavailableError(response.status().message());  // cut short
  }
  CEDANA_RETURN_IF_ERROR(response.status());
  // 200 means that Range was ignored: right only where the range is the whole object.
  const int status = response->status;
  if (status != 206 && !(status == 200 && offset == 0)) {
    if (status / 100 == 2) return absl::FailedPreconditionError("the provider ignores ranges");
    return Refusal(grant, "read", *response);
  }
  if (filled == out.size()) return absl::OkStatus();
  // A whole answer that is too short, not one that was cut: the object itself is shorter.
  return absl::DataLossError(
      absl::StrCat("only ", filled, " of ", out.size(), " bytes at offset ", offset, " came"));
}

}  // namespace cedana::remote
