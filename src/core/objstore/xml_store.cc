#include "core/objstore/xml_store.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/objstore/xml_listing.h"

namespace cedana::objstore {
namespace {

constexpr size_t kPageKeysMax = 1000;  // the clouds' own limit
constexpr size_t kPageBytesMax = 8u << 20;
// No cloud has larger objects (5 TiB); below this no sum of offset and length overflows.
constexpr uint64_t kObjectBytesMax = uint64_t{1} << 62;
// From here on a refusal before the body is worth the round trip.
constexpr size_t kExpectContinueBytes = 1u << 20;

// Of "bytes 0-9/100" and "bytes */100".
std::optional<uint64_t> TotalOf(const http::ClientResponse& response) {
  const std::string* range = response.Header("content-range");
  if (range == nullptr) return std::nullopt;
  const size_t slash = range->rfind('/');
  uint64_t total = 0;
  if (slash == std::string::npos || !absl::SimpleAtoi(range->substr(slash + 1), &total)) {
    return std::nullopt;
  }
  return total;
}

absl::Status PastTheEnd(const ObjectKey& key, std::optional<uint64_t> size) {
  return absl::InvalidArgumentError(
      absl::StrCat(key.text(), ": range ends past ",
                   size ? absl::StrCat("its ", *size, " bytes") : std::string("its end")));
}

}  // namespace

XmlStore::XmlStore(StoreUrl url, http::Client* client, base::Clock* clock)
    : url_(std::move(url)), client_(client), clock_(clock) {
  const std::string endpoint = url_.EndpointUrl();
  const size_t scheme_end = endpoint.find("://");
  scheme_ = endpoint.substr(0, scheme_end);
  const std::string rest = endpoint.substr(scheme_end + 3);
  const size_t slash = rest.find('/');
  host_ = rest.substr(0, slash);
  // What the client sends as Host has no port that is the scheme's own.
  const absl::string_view own_port = encrypted() ? ":443" : ":80";
  if (absl::EndsWith(host_, own_port)) host_.resize(host_.size() - own_port.size());
  if (slash != std::string::npos) base_path_ = rest.substr(slash);
  if (url_.virtual_host) {
    host_ = absl::StrCat(url_.bucket, ".", host_);
  } else {
    absl::StrAppend(&base_path_, "/", url_.bucket);
  }
}

std::string XmlStore::PathOf(absl::string_view name) const {
  if (name.empty()) return base_path_.empty() ? "/" : base_path_;
  return absl::StrCat(base_path_, "/", name);
}

std::string XmlStore::What(const Ask& ask) const {
  return absl::StrCat(ask.method, " ", origin(), PathOf(ask.name));
}

V4Request XmlStore::ToSign(const Ask& ask) const {
  return {ask.method, host_, PathOf(ask.name), ask.query, ask.headers};
}

absl::StatusOr<absl::Duration> XmlStore::LifetimeUntil(absl::Time expires, absl::Time now) const {
  // The signature's date has whole seconds, so counted from there the grant ends in time.
  const absl::Duration lifetime =
      absl::Floor(expires - absl::FromUnixSeconds(absl::ToUnixSeconds(now)), absl::Seconds(1));
  if (lifetime < absl::Seconds(1))
    return absl::InvalidArgumentError("grant that has ended already");
  return lifetime;
}

absl::StatusOr<http::ClientResponse> XmlStore::Exchange(const base::Context& context,
                                                        const Ask& ask) const {
  http::ClientRequest request;
  request.method = ask.method;
  request.body = ask.body;
  request.has_body = ask.has_body;
  request.on_progress = ask.on_progress;
  request.expect_continue = ask.body.size() >= kExpectContinueBytes;
  request.on_body = ask.on_body;
  request.body_bytes_max = kPageBytesMax;
  Authorise(ask, request);
  request.headers.insert(request.headers.end(), ask.more_headers.begin(), ask.more_headers.end());
  return client_->Do(context, request);
}

absl::StatusOr<http::ClientResponse> XmlStore::Send(const base::Context& context,
                                                    const Ask& ask) const {
  absl::StatusOr<http::ClientResponse> response = Exchange(context, ask);
  const bool changes = ask.method == "PUT" || ask.method == "DELETE";
  absl::Status status = response.status();
  if (response.ok()) {
    if (response->status / 100 == 2) return response;
    status = ErrorOf(What(ask), *response);
  } else if (absl::IsDataLoss(status) && !ask.on_body) {
    // An answer that was cut says nothing about data.
    status = absl::UnknownError(status.message());
  }
  if (absl::IsUnknown(status) && !changes) {
    const absl::Duration after = base::RetryAfter(status);
    status = absl::UnavailableError(status.message());
    if (after > absl::ZeroDuration()) status = base::WithRetryAfter(std::move(status), after);
  }
  return status;
}

// For what cannot be asked as a range, and for a range that was refused without a size.
absl::Status XmlStore::CheckRange(const base::Context& context, const ObjectKey& key,
                                  uint64_t offset, std::optional<uint64_t> length) {
  CEDANA_ASSIGN_OR_RETURN(const std::optional<ObjectInfo> info, Head(context, key));
  if (!info) return absl::NotFoundError(key.text());
  if (offset > info->bytes || length.value_or(0) > info->bytes - offset) {
    return PastTheEnd(key, info->bytes);
  }
  return absl::OkStatus();
}

absl::Status XmlStore::Get(const base::Context& context, const ObjectKey& key, uint64_t offset,
                           std::optional<uint64_t> length,
                           const std::function<absl::Status(std::span<const uint8_t>)>& sink) {
  if (length == uint64_t{0} || offset > kObjectBytesMax ||
      length.value_or(0) > kObjectBytesMax - offset) {
    return CheckRange(context, key, offset, length);
  }
  const bool whole = offset == 0 && !length;
  uint64_t received = 0;
  absl::Status refused;  // by the sink, or here
  Ask ask{.method = "GET", .name = url_.ObjectName(key.text())};
  if (!whole) {
    ask.more_headers.emplace_back(
        "Range", absl::StrCat("bytes=", offset, "-",
                              length ? absl::StrCat(offset + *length - 1) : std::string()));
  }
  ask.on_body = [&](std::span<const uint8_t> piece) {
    received += piece.size();
    refused =
        length && received > *length
            ? absl::DataLossError(absl::StrCat(key.text(), ": more bytes than were asked for"))
            : sink(piece);
    return refused;
  };
  const absl::StatusOr<http::ClientResponse> response = Exchange(context, ask);
  CEDANA_RETURN_IF_ERROR(refused);
  if (!response.ok()) {
    // Nothing is changed by a read, so that an answer that was lost, cut or stalled is no more than
    // a failed try; of the object's bytes it says nothing.
    if (!absl::IsUnknown(response.status()) && !absl::IsDataLoss(response.status())) {
      return response.status();
    }
    return absl::UnavailableError(response.status().message());
  }
  if (response->status == 416) {
    const std::optional<uint64_t> total = TotalOf(*response);
    if (!total) return CheckRange(context, key, offset, length);
    return offset == *total && !length ? absl::OkStatus() : PastTheEnd(key, total);
  }
  if (response->status / 100 != 2) {
    const absl::Status status = ErrorOf(What(ask), *response);
    if (response->status == 404 && absl::IsFailedPrecondition(status)) {
      // A page instead of an error of this dialect, as some servers answer: HEAD tells.
      CEDANA_ASSIGN_OR_RETURN(const std::optional<ObjectInfo> info, Head(context, key));
      if (!info.has_value() && List(context, key.text(), "", 1).ok()) {
        return absl::NotFoundError(key.text());
      }
    }
    return absl::IsUnknown(status) ? absl::UnavailableError(status.message()) : status;
  }
  if (response->status != 206 && offset > 0) {
    return absl::DataLossError(absl::StrCat(What(ask), ": the range was ignored"));
  }
  // The rest of the object is answered for a range that ends past it.
  if (length && received < *length) return PastTheEnd(key, TotalOf(*response));
  return absl::OkStatus();
}

absl::StatusOr<std::optional<ObjectInfo>> XmlStore::Head(const base::Context& context,
                                                         const ObjectKey& key) {
  const Ask ask{.method = "HEAD", .name = url_.ObjectName(key.text()), .headers = HeadersForHead()};
  const absl::StatusOr<http::ClientResponse> response = Send(context, ask);
  if (absl::IsNotFound(response.status())) return std::optional<ObjectInfo>();
  if (!response.ok()) return response.status();
  ObjectInfo info{.key = key.text(), .crc32c = ChecksumOf(*response)};
  const std::string* length = response->Header("content-length");
  if (length == nullptr || !absl::SimpleAtoi(*length, &info.bytes)) {
    return absl::InternalError(absl::StrCat(What(ask), ": answer without a length"));
  }
  const std::string* modified = response->Header("last-modified");
  if (modified == nullptr ||
      !absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", *modified, &info.modified, nullptr)) {
    return absl::InternalError(absl::StrCat(What(ask), ": answer without a time"));
  }
  return std::optional<ObjectInfo>(std::move(info));
}

absl::StatusOr<std::vector<ObjectInfo>> XmlStore::List(const base::Context& context,
                                                       const std::string& prefix,
                                                       const std::string& after, size_t limit) {
  std::vector<ObjectInfo> result;
  if (limit == 0) return result;
  const std::string root = url_.prefix.empty() ? "" : absl::StrCat(url_.prefix, "/");
  std::string token;
  std::string last;
  while (true) {
    Ask ask{.method = "GET"};
    ask.query = {{"list-type", "2"},
                 {"encoding-type", "url"},
                 {"max-keys", absl::StrCat(std::min(limit - result.size(), kPageKeysMax))},
                 {"prefix", root + prefix}};
    if (!token.empty()) {
      ask.query.emplace_back("continuation-token", token);
    } else if (!after.empty()) {
      ask.query.emplace_back("start-after", root + after);
    }
    CEDANA_ASSIGN_OR_RETURN(const http::ClientResponse response, Send(context, ask));
    absl::StatusOr<ListingPage> page = ParseListing(response.body);
    if (!page.ok()) return base::Annotate(page.status(), What(ask));
    for (ObjectInfo& info : page->objects) {
      // Directory buckets and their like list in no order: what is built on it would lose objects.
      if (!last.empty() && info.key <= last) {
        return absl::FailedPreconditionError(
            absl::StrCat(What(ask), ": the bucket's listing is not sorted"));
      }
      last = info.key;
      if (!absl::StartsWith(info.key, root)) continue;
      info.key.erase(0, root.size());
      // Names that are no keys are not ours.
      if (!absl::StartsWith(info.key, prefix) || info.key <= after ||
          !ObjectKey::Parse(info.key).ok()) {
        continue;
      }
      result.push_back(std::move(info));
      if (result.size() == limit) return result;
    }
    if (page->next.empty()) return result;
    if (page->next == token) {
      return absl::InternalError(absl::StrCat(What(ask), ": the listing does not go on"));
    }
    token = std::move(page->next);
  }
}

absl::Status XmlStore::Delete(const base::Context& context, const ObjectKey& key) {
  const absl::Status status =
      Send(context, Ask{.method = "DELETE", .name = url_.ObjectName(key.text())}).status();
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::StatusOr<std::string> XmlStore::KeepsDeleted(const base::Context& context) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  CEDANA_ASSIGN_OR_RETURN(const http::ClientResponse response,
                          Send(context, {.method = "GET", .query = {{"versioning", ""}}}));
  if (!absl::StrContains(response.body, "<Status>Enabled</Status>")) return "";
  return "versioning: deleted objects stay, and are paid for, as old versions";
}

}  // namespace cedana::objstore
