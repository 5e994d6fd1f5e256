#include "core/objstore/azure_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"
#include "core/codec/crc32c.h"
#include "core/objstore/azure_error.h"
#include "core/objstore/azure_listing.h"

namespace cedana::objstore {
namespace {

constexpr size_t kPageMax = 5000;            // the service's own bound on one page of a listing
constexpr size_t kBookmarksMax = 64;         // listings that are read on at the same time
constexpr size_t kPageBytesMax = 16u << 20;  // 5000 blobs take some 4 MiB
constexpr uint64_t kOffsetMax = uint64_t{1} << 62;  // beyond any blob
// From here on a refusal before the body is worth the round trip.
constexpr size_t kExpectContinueBytes = 1u << 20;
constexpr char kCrcHeader[] = "x-ms-meta-crc32c";

absl::string_view AsText(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string EncodePath(absl::string_view path) {
  const std::vector<absl::string_view> segments = absl::StrSplit(path, '/');
  return absl::StrJoin(segments, "/", [](std::string* out, absl::string_view segment) {
    out->append(http::PercentEncode(segment));
  });
}

bool IsContainerName(absl::string_view name) {
  return name.size() >= 3 && name.size() <= 63 && std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
         });
}

// Nothing is changed by a read, so that an unknown outcome is no more than a failed try.
absl::Status Outcome(absl::string_view method, const absl::Status& status) {
  if (!absl::IsUnknown(status) || method == "PUT" || method == "DELETE") return status;
  const absl::Duration after = base::RetryAfter(status);
  absl::Status passing = absl::UnavailableError(status.message());
  return after > absl::ZeroDuration() ? base::WithRetryAfter(std::move(passing), after) : passing;
}

// Is this answer "the blob is not there", which is an answer, and not "the container is not there"?
bool IsAbsentBlob(const http::ClientResponse& response) {
  if (response.status != 404) return false;
  const std::string code = AzureCodeOf(response);
  return code == "BlobNotFound" || code == "ResourceNotFound";
}

absl::StatusOr<ObjectInfo> InfoOfHeaders(const std::string& key,
                                         const http::ClientResponse& response) {
  ObjectInfo info{.key = key};
  const std::string* length = response.Header("content-length");
  const std::string* modified = response.Header("last-modified");
  if (length == nullptr || !absl::SimpleAtoi(*length, &info.bytes) || modified == nullptr) {
    return absl::InternalError(absl::StrCat(key, ": answer without length or date"));
  }
  CEDANA_ASSIGN_OR_RETURN(info.modified, ParseAzureDate(*modified));
  if (const std::string* crc = response.Header(kCrcHeader)) info.crc32c = ParseCrcMetadata(*crc);
  if (const std::string* md5 = response.Header("content-md5")) info.md5 = ParseMd5(*md5);
  return info;
}

}  // namespace

struct AzureStore::Ask {
  std::string method;
  std::string blob;  // name in the container; empty: the container itself
  http::Headers query;
  http::Headers headers;
  std::span<const uint8_t> body;
  bool has_body = false;
  std::function<void(uint64_t)> on_progress;
  std::function<absl::Status(std::span<const uint8_t>)> on_body;
};

AzureStore::AzureStore(AzureOptions options, std::optional<AzureAccount> account,
                       const std::string& path, http::Client* client, base::Clock* clock)
    : options_(std::move(options)),
      account_(std::move(account)),
      origin_(options_.endpoint.substr(0, options_.endpoint.size() - path.size())),
      container_path_(absl::StrCat(path, "/", options_.container)),
      client_(client),
      clock_(clock) {}

absl::StatusOr<std::unique_ptr<AzureStore>> AzureStore::Create(AzureOptions options,
                                                               http::Client* client,
                                                               base::Clock* clock) {
  options.endpoint = std::string(absl::StripSuffix(options.endpoint, "/"));
  const bool https = absl::StartsWith(options.endpoint, "https://");
  if (!https && !absl::StartsWith(options.endpoint, "http://")) {
    return absl::InvalidArgumentError("azure: the endpoint starts with http:// or https://");
  }
  if (absl::StrContains(options.endpoint, "?") || absl::StrContains(options.endpoint, "@")) {
    return absl::InvalidArgumentError("azure: the endpoint carries no query and no credentials");
  }
  if (!IsContainerName(options.container)) {
    return absl::InvalidArgumentError("azure: a container is 3 to 63 of a-z, 0-9 and '-'");
  }
  if (options.key_base64.empty() == options.sas.empty()) {
    return absl::InvalidArgumentError("azure: either the account's key or a SAS is needed");
  }
  std::optional<AzureAccount> account;
  if (!options.key_base64.empty()) {
    CEDANA_ASSIGN_OR_RETURN(account, AzureAccount::Parse(options.account, options.key_base64));
  }
  options.sas = std::string(absl::StripPrefix(options.sas, "?"));
  options.prefix = std::string(absl::StripSuffix(options.prefix, "/"));
  if (!options.prefix.empty()) options.prefix += "/";
  const size_t slash = options.endpoint.find('/', https ? 8 : 7);
  const std::string path = slash == std::string::npos ? "" : options.endpoint.substr(slash);
  return std::unique_ptr<AzureStore>(
      new AzureStore(std::move(options), std::move(account), path, client, clock));
}

Capabilities AzureStore::capabilities() const {
  return {.signs_requests = account_.has_value(),
          .grant_enforces_size = false,
          .grant_enforces_checksum = false,
          .grant_enforces_create_only = true,
          .keeps_checksum = false};  // a CRC-32C of what Put wrote, none of what grants wrote
}

absl::Status AzureStore::ErrorOf(absl::string_view method, absl::string_view blob,
                                 const http::ClientResponse& response) const {
  return Outcome(method, AzureErrorOf(What(method, blob), response));
}

std::string AzureStore::What(absl::string_view method, absl::string_view blob) const {
  return absl::StrCat("azure: ", method, " ", options_.container, blob.empty() ? "" : "/", blob);
}

std::string AzureStore::BlobUrl(const ObjectKey& key) const {
  return absl::StrCat(origin_, container_path_, "/", EncodePath(BlobName(key)));
}

absl::StatusOr<http::ClientResponse> AzureStore::Send(const base::Context& context,
                                                      const Ask& ask) const {
  const std::string path =
      ask.blob.empty() ? container_path_ : absl::StrCat(container_path_, "/", EncodePath(ask.blob));
  http::ClientRequest request;
  request.method = ask.method;
  request.headers = ask.headers;
  request.headers.emplace_back("x-ms-date", AzureDate(clock_->Now()));
  request.headers.emplace_back("x-ms-version", kAzureVersion);
  request.body = ask.body;
  request.has_body = ask.has_body;
  request.on_progress = ask.on_progress;
  request.expect_continue = ask.body.size() >= kExpectContinueBytes;
  request.on_body = ask.on_body;
  request.body_bytes_max = kPageBytesMax;
  std::string query = absl::StrJoin(ask.query, "&", [](std::string* out, const auto& pair) {
    absl::StrAppend(out, pair.first, "=", http::PercentEncode(pair.second));
  });
  if (account_) {
    AzureRequest text{
        .method = ask.method, .path = path, .query = ask.query, .headers = request.headers};
    if (!ask.body.empty()) {
      text.headers.emplace_back("Content-Length", absl::StrCat(ask.body.size()));
    }
    request.headers.emplace_back("Authorization", SharedKeyAuthorization(*account_, text));
  } else {
    absl::StrAppend(&query, query.empty() ? "" : "&", options_.sas);
  }
  request.url = absl::StrCat(origin_, path, query.empty() ? "" : "?", query);
  absl::StatusOr<http::ClientResponse> response = client_->Do(context, request);
  if (absl::IsDataLoss(response.status())) {
    // An answer that was cut or stalled says nothing about data.
    return Outcome(ask.method, absl::UnknownError(response.status().message()));
  }
  if (!response.ok()) return Outcome(ask.method, response.status());
  return response;
}

absl::Status AzureStore::Put(const base::Context& context, const ObjectKey& key,
                             std::span<const uint8_t> bytes, const PutOptions& options) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  const uint32_t crc32c = codec::Crc32c(bytes);
  if (options.crc32c && *options.crc32c != crc32c) {
    return absl::DataLossError(absl::StrCat(key.text(), ": crc32c differs"));
  }
  Ask ask{.method = "PUT", .blob = BlobName(key), .body = bytes, .has_body = true};
  ask.on_progress = options.on_progress;
  ask.headers = {{"Content-Type", "application/octet-stream"},
                 {"Content-MD5", ContentMd5(AsText(bytes))},
                 {"x-ms-blob-type", "BlockBlob"},
                 {kCrcHeader, absl::StrFormat("%08x", crc32c)}};
  if (options.create_only) ask.headers.emplace_back("If-None-Match", "*");
  CEDANA_ASSIGN_OR_RETURN(const http::ClientResponse response, Send(context, ask));
  if (response.status / 100 == 2) return absl::OkStatus();
  return ErrorOf("PUT", ask.blob, response);
}

absl::Status AzureStore::CheckRange(const base::Context& context, const ObjectKey& key,
                                    uint64_t offset, std::optional<uint64_t> length) {
  CEDANA_ASSIGN_OR_RETURN(const std::optional<ObjectInfo> info, Head(context, key));
  if (!info) return absl::NotFoundError(What("GET", BlobName(key)));
  if (offset > info->bytes || length.value_or(0) > info->bytes - offset) {
    return absl::InvalidArgumentError(
        absl::StrCat(What("GET", BlobName(key)), ": range ends past its ", info->bytes, " bytes"));
  }
  return absl::OkStatus();
}

absl::Status AzureStore::Get(const base::Context& context, const ObjectKey& key, uint64_t offset,
                             std::optional<uint64_t> length,
                             const std::function<absl::Status(std::span<const uint8_t>)>& sink) {
  if (length == 0 || offset > kOffsetMax || length.value_or(0) > kOffsetMax - offset) {
    return CheckRange(context, key, offset, length);
  }
  Ask ask{.method = "GET", .blob = BlobName(key)};
  const bool ranged = offset > 0 || length.has_value();
  if (ranged) {
    ask.headers.emplace_back("Range",
                             length ? absl::StrCat("bytes=", offset, "-", offset + *length - 1)
                                    : absl::StrCat("bytes=", offset, "-"));
  }
  uint64_t taken = 0;
  absl::Status refused;  // by the sink, or here
  ask.on_body = [&](std::span<const uint8_t> piece) {
    taken += piece.size();
    refused = length && taken > *length
                  ? absl::InternalError(What("GET", ask.blob) + ": more bytes than were asked for")
                  : sink(piece);
    return refused;
  };
  const absl::StatusOr<http::ClientResponse> answer = Send(context, ask);
  CEDANA_RETURN_IF_ERROR(refused);
  if (!answer.ok()) return answer.status();
  const http::ClientResponse& response = *answer;
  if (response.status == 416) return CheckRange(context, key, offset, length);
  if (response.status / 100 != 2) return ErrorOf("GET", ask.blob, response);
  if (response.status != (ranged ? 206 : 200)) {
    return absl::InternalError(absl::StrCat(What("GET", ask.blob), ": HTTP ", response.status));
  }
  // The service cuts a range at the end of the blob.
  if (length && taken < *length) {
    return absl::InvalidArgumentError(
        absl::StrCat(What("GET", ask.blob), ": range ends past its ", offset + taken, " bytes"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<ObjectInfo>> AzureStore::Head(const base::Context& context,
                                                           const ObjectKey& key) {
  const Ask ask{.method = "HEAD", .blob = BlobName(key)};
  CEDANA_ASSIGN_OR_RETURN(const http::ClientResponse response, Send(context, ask));
  if (IsAbsentBlob(response)) return std::optional<ObjectInfo>();
  if (response.status != 200) return ErrorOf("HEAD", ask.blob, response);
  CEDANA_ASSIGN_OR_RETURN(ObjectInfo info, InfoOfHeaders(key.text(), response));
  return std::optional<ObjectInfo>(std::move(info));
}

absl::Status AzureStore::Delete(const base::Context& context, const ObjectKey& key) {
  // A snapshot that somebody took of it would keep the blob.
  const Ask ask{
      .method = "DELETE", .blob = BlobName(key), .headers = {{"x-ms-delete-snapshots", "include"}}};
  CEDANA_ASSIGN_OR_RETURN(const http::ClientResponse response, Send(context, ask));
  if (response.status / 100 == 2 || IsAbsentBlob(response)) return absl::OkStatus();
  return ErrorOf("DELETE", ask.blob, response);
}

absl::StatusOr<AzureListing> AzureStore::ReadPage(const base::Context& context,
                                                  const std::string& prefix,
                                                  const std::string& marker, size_t limit) const {
  Ask ask{.method = "GET"};
  ask.query = {{"restype", "container"},
               {"comp", "list"},
               {"include", "metadata"},
               {"maxresults", absl::StrCat(std::min(limit, kPageMax))}};
  if (const std::string full = options_.prefix + prefix; !full.empty()) {
    ask.query.emplace_back("prefix", full);
  }
  if (!marker.empty()) ask.query.emplace_back("marker", marker);
  CEDANA_ASSIGN_OR_RETURN(const http::ClientResponse response, Send(context, ask));
  if (response.status != 200) return ErrorOf("LIST", options_.prefix + prefix, response);
  return ParseAzureListing(response.body, options_.prefix);
}

absl::StatusOr<std::vector<ObjectInfo>> AzureStore::List(const base::Context& context,
                                                         const std::string& prefix,
                                                         const std::string& after, size_t limit) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  std::vector<ObjectInfo> result;
  // Nothing with this prefix comes after it.
  if (limit == 0 || (after > prefix && !absl::StartsWith(after, prefix))) return result;
  const std::optional<std::string> known = MarkerFor(prefix, after);
  std::string marker = known.value_or("");
  std::string last;
  while (true) {
    // Pages that are only skipped through may be as large as they come.
    const bool skips = after > prefix && !known && result.empty();
    absl::StatusOr<AzureListing> page =
        ReadPage(context, prefix, marker, skips ? kPageMax : limit - result.size());
    if (known && marker == *known && absl::IsInvalidArgument(page.status())) {
      return List(context, prefix, after, limit);  // the marker is too old, and forgotten by now
    }
    CEDANA_RETURN_IF_ERROR(page.status());
    for (ObjectInfo& info : page->objects) {
      if (info.key <= last) {
        return absl::InternalError(absl::StrCat(
            What("LIST", prefix), ": out of order (an account with a hierarchical namespace?)"));
      }
      last = info.key;
      if (info.key <= after) continue;
      result.push_back(std::move(info));
      if (result.size() < limit) continue;
      // The next page may begin within this one: it is read again and skipped up to the key.
      const bool whole = last == page->last_key;
      if (!whole || !page->next_marker.empty()) {
        Remember({prefix, last, whole ? page->next_marker : marker});
      }
      return result;
    }
    if (page->next_marker.empty()) return result;
    marker = std::move(page->next_marker);
  }
}

std::optional<std::string> AzureStore::MarkerFor(const std::string& prefix,
                                                 const std::string& after) {
  absl::MutexLock lock(&mutex_);
  const auto found = std::find_if(bookmarks_.begin(), bookmarks_.end(), [&](const Bookmark& b) {
    return b.after == after && b.prefix == prefix;
  });
  if (found == bookmarks_.end()) return std::nullopt;
  std::string marker = std::move(found->marker);
  bookmarks_.erase(found);
  return marker;
}

void AzureStore::Remember(Bookmark bookmark) {
  absl::MutexLock lock(&mutex_);
  bookmarks_.push_front(std::move(bookmark));
  if (bookmarks_.size() > kBookmarksMax) bookmarks_.pop_back();
}

absl::StatusOr<SignedRequest> AzureStore::Sign(const ObjectKey& key, const char* method,
                                               const char* permissions, absl::Time expires) const {
  if (!account_) return absl::UnimplementedError("azure: a SAS signs nothing for others");
  if (expires <= clock_->Now()) return absl::InvalidArgumentError("grant that has ended already");
  const BlobSas sas{.permissions = permissions,
                    .container = options_.container,
                    .blob = BlobName(key),
                    .expires = expires,
                    .https_only = absl::StartsWith(origin_, "https://")};
  return SignedRequest{.method = method,
                       .url = absl::StrCat(BlobUrl(key), "?", BlobSasQuery(*account_, sas))};
}

absl::StatusOr<SignedRequest> AzureStore::SignPut(const ObjectKey& key, uint64_t, uint32_t,
                                                  absl::Time expires) const {
  CEDANA_ASSIGN_OR_RETURN(SignedRequest request, Sign(key, "PUT", "c", expires));
  request.headers = {{"x-ms-blob-type", "BlockBlob"}};
  return request;
}

absl::StatusOr<SignedRequest> AzureStore::SignGet(const ObjectKey& key, absl::Time expires) const {
  return Sign(key, "GET", "r", expires);
}

}  // namespace cedana::objstore
