#include "core/objstore/testing/azure_imposter.h"

#include <map>
#include <pugixml.hpp>
#include <sstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"
#include "core/objstore/azure_auth.h"

namespace cedana::objstore {
namespace {

constexpr absl::Duration kDateMax = absl::Minutes(15);  // how far a request's date may be off
constexpr int kPageMax = 5000;

// What the service answers where a plan names a status alone.
std::string UsualCode(int status) {
  switch (status) {
    case 400:
      return "InvalidInput";
    case 403:
      return "AuthenticationFailed";
    case 404:
      return "BlobNotFound";
    case 409:
      return "BlobAlreadyExists";
    case 412:
      return "ConditionNotMet";
    case 416:
      return "InvalidRange";
    case 429:
      return "TooManyRequests";
    case 503:
      return "ServerBusy";
    case 507:
      return "InsufficientStorage";
    default:
      return "InternalError";
  }
}

std::span<const uint8_t> Bytes(absl::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string QueryOr(const http::ServerRequest& request, const std::string& name,
                    const std::string& otherwise) {
  const std::string* value = request.Query(name);
  return value == nullptr ? otherwise : *value;
}

struct Range {
  uint64_t from = 0;
  std::optional<uint64_t> last;  // of the blob, included
};

// "bytes=5-9" or "bytes=5-"; anything else is as if it were not there, as the service does it.
std::optional<Range> RangeOf(const http::ServerRequest& request) {
  const std::string* text = request.Header("x-ms-range");
  if (text == nullptr) text = request.Header("range");
  if (text == nullptr) return std::nullopt;
  absl::string_view rest = *text;
  if (!absl::ConsumePrefix(&rest, "bytes=")) return std::nullopt;
  const size_t dash = rest.find('-');
  Range range;
  if (dash == absl::string_view::npos || !absl::SimpleAtoi(rest.substr(0, dash), &range.from)) {
    return std::nullopt;
  }
  uint64_t last = 0;
  if (dash + 1 == rest.size()) return range;
  if (!absl::SimpleAtoi(rest.substr(dash + 1), &last) || last < range.from) return std::nullopt;
  range.last = last;
  return range;
}

class AzureDialect final : public ImposterDialect {
 public:
  AzureDialect(AzureImposterOptions options, ObjectStore* objects)
      : options_(std::move(options)),
        account_(AzureAccount::Parse(options_.account, options_.key_base64).value()),
        objects_(objects) {}

  ImposterTarget TargetOf(const http::ServerRequest& request) const override;
  std::optional<ImposterAnswer> Refuse(const http::ServerRequest& request, absl::Time now) override;
  ImposterAnswer Serve(const base::Context& context, const http::ServerRequest& request,
                       absl::string_view body, absl::Time now) override;
  ImposterAnswer ErrorAnswer(const http::ServerRequest& request, int status,
                             const std::string& code) const override;

 private:
  struct Beside {
    std::string md5;  // base64
    std::map<std::string, std::string> metadata;
  };
  struct Place {
    std::string container;
    std::string blob;  // empty: the container
  };

  std::optional<Place> PlaceOf(const http::ServerRequest& request) const;
  // What is wrong with the authorisation; empty: nothing. As "STATUS Code".
  std::string CheckSharedKey(const http::ServerRequest& request, absl::Time now) const;
  std::string CheckSas(const http::ServerRequest& request, const Place& place,
                       absl::Time now) const;
  std::string CheckRequest(const http::ServerRequest& request, absl::Time now) const;
  ImposterAnswer Error(const http::ServerRequest& request, absl::string_view status_and_code) const;
  ImposterAnswer ErrorFor(const http::ServerRequest& request, const absl::Status& status) const;

  ImposterAnswer Put(const base::Context& context, const http::ServerRequest& request,
                     const ObjectKey& key, absl::string_view body);
  ImposterAnswer Read(const base::Context& context, const http::ServerRequest& request,
                      const ObjectKey& key);
  ImposterAnswer List(const base::Context& context, const http::ServerRequest& request);
  std::optional<Beside> BesideOf(const std::string& key) const;
  http::Headers HeadersOf(const ObjectInfo& info) const;

  const AzureImposterOptions options_;
  const AzureAccount account_;
  ObjectStore* const objects_;
  mutable absl::Mutex mutex_;
  std::map<std::string, Beside> beside_ ABSL_GUARDED_BY(mutex_);
};

std::optional<AzureDialect::Place> AzureDialect::PlaceOf(const http::ServerRequest& request) const {
  const auto segments = request.Segments();
  if (!segments.ok() || segments->size() < 2 || (*segments)[0] != options_.account) {
    return std::nullopt;
  }
  return Place{.container = (*segments)[1],
               .blob = absl::StrJoin(segments->begin() + 2, segments->end(), "/")};
}

ImposterTarget AzureDialect::TargetOf(const http::ServerRequest& request) const {
  const Place place = PlaceOf(request).value_or(Place{});
  if (request.Query("comp") != nullptr) {
    return {Operation::kList, QueryOr(request, "prefix", "")};
  }
  if (request.method == "PUT") return {Operation::kPut, place.blob};
  if (request.method == "HEAD") return {Operation::kHead, place.blob};
  if (request.method == "DELETE") return {Operation::kDelete, place.blob};
  return {Operation::kGet, place.blob};
}

std::string AzureDialect::CheckSharedKey(const http::ServerRequest& request, absl::Time now) const {
  if (request.Header("x-ms-version") == nullptr) return "400 MissingRequiredHeader";
  const std::string* date = request.Header("x-ms-date");
  if (date == nullptr) date = request.Header("date");
  const auto stated = ParseAzureDate(date == nullptr ? "" : *date);
  if (!stated.ok() || absl::AbsDuration(*stated - now) > kDateMax) {
    return "403 AuthenticationFailed";
  }
  AzureRequest text{.method = request.method,
                    .path = request.path,
                    .query = request.query,
                    .headers = request.headers};
  std::erase(text.headers, std::pair<std::string, std::string>("content-length", "0"));
  return *request.Header("authorization") == SharedKeyAuthorization(account_, text)
             ? ""
             : "403 AuthenticationFailed";
}

std::string AzureDialect::CheckSas(const http::ServerRequest& request, const Place& place,
                                   absl::Time now) const {
  BlobSas sas{.permissions = QueryOr(request, "sp", ""),
              .container = place.container,
              .blob = place.blob,
              .https_only = request.Query("spr") != nullptr};
  std::string error;
  if (QueryOr(request, "sv", "") != kAzureVersion || QueryOr(request, "sr", "") != "b" ||
      !absl::ParseTime(absl::RFC3339_full, QueryOr(request, "se", ""), &sas.expires, &error)) {
    return "403 AuthenticationFailed";
  }
  // The signature that the parameters should have carried.
  const std::string query = BlobSasQuery(account_, sas);
  const std::string expected = query.substr(query.find("&sig=") + 5);
  if (http::PercentEncode(QueryOr(request, "sig", "")) != expected || now >= sas.expires) {
    return "403 AuthenticationFailed";
  }
  if (sas.https_only) return "403 AuthorizationProtocolMismatch";
  if (place.blob.empty()) return "403 AuthorizationResourceTypeMismatch";
  const char* const needed = request.method == "PUT"      ? "cw"
                             : request.method == "DELETE" ? "d"
                                                          : "r";
  return sas.permissions.find_first_of(needed) == std::string::npos
             ? "403 AuthorizationPermissionMismatch"
             : "";
}

std::string AzureDialect::CheckRequest(const http::ServerRequest& request, absl::Time now) const {
  const std::optional<Place> place = PlaceOf(request);
  if (!place) return "400 InvalidUri";
  std::string wrong = "401 NoAuthenticationInformation";
  if (request.Header("authorization") != nullptr) {
    wrong = CheckSharedKey(request, now);
  } else if (request.Query("sig") != nullptr) {
    wrong = CheckSas(request, *place, now);
  }
  if (!wrong.empty()) return wrong;
  if (place->container != options_.container) return "404 ContainerNotFound";
  if (request.method != "PUT") return "";
  if (!request.content_length) return "411 MissingContentLengthHeader";
  const std::string* type = request.Header("x-ms-blob-type");
  if (type == nullptr) return "400 MissingRequiredHeader";
  if (*type != "BlockBlob") return "400 InvalidHeaderValue";
  const std::string* md5 = request.Header("content-md5");
  std::string digest;
  if (md5 != nullptr && (!absl::Base64Unescape(*md5, &digest) || digest.size() != 16)) {
    return "400 InvalidMd5";
  }
  return "";
}

std::optional<ImposterAnswer> AzureDialect::Refuse(const http::ServerRequest& request,
                                                   absl::Time now) {
  const std::string wrong = CheckRequest(request, now);
  if (wrong.empty()) return std::nullopt;
  return Error(request, wrong);
}

ImposterAnswer AzureDialect::Error(const http::ServerRequest& request,
                                   absl::string_view status_and_code) const {
  int status = 0;
  if (!absl::SimpleAtoi(status_and_code.substr(0, 3), &status)) std::abort();
  return ErrorAnswer(request, status, std::string(status_and_code.substr(4)));
}

ImposterAnswer AzureDialect::ErrorAnswer(const http::ServerRequest& request, int status,
                                         const std::string& code) const {
  const std::string name = code.empty() ? UsualCode(status) : code;
  ImposterAnswer answer{.status = status};
  answer.headers = {{"x-ms-error-code", name},
                    {"x-ms-version", kAzureVersion},
                    {"Content-Type", "application/xml"}};
  if (request.method != "HEAD") {
    answer.body =
        absl::StrCat("\xEF\xBB\xBF<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>", name,
                     "</Code><Message>As the plan says.</Message></Error>");
  }
  return answer;
}

ImposterAnswer AzureDialect::ErrorFor(const http::ServerRequest& request,
                                      const absl::Status& status) const {
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
      return Error(request, "404 BlobNotFound");
    case absl::StatusCode::kAlreadyExists:
      return Error(request, "409 BlobAlreadyExists");
    case absl::StatusCode::kInvalidArgument:
      return Error(request, "416 InvalidRange");
    case absl::StatusCode::kResourceExhausted:
      return Error(request, "507 InsufficientStorage");
    default:
      return Error(request, "500 InternalError");
  }
}

std::optional<AzureDialect::Beside> AzureDialect::BesideOf(const std::string& key) const {
  absl::MutexLock lock(&mutex_);
  const auto found = beside_.find(key);
  if (found == beside_.end()) return std::nullopt;
  return found->second;
}

http::Headers AzureDialect::HeadersOf(const ObjectInfo& info) const {
  http::Headers headers = {{"Last-Modified", AzureDate(info.modified)},
                           {"x-ms-blob-type", "BlockBlob"},
                           {"x-ms-version", kAzureVersion},
                           {"Content-Type", "application/octet-stream"}};
  if (const auto beside = BesideOf(info.key)) {
    headers.emplace_back("Content-MD5", beside->md5);
    for (const auto& [name, value] : beside->metadata) {
      headers.emplace_back("x-ms-meta-" + name, value);
    }
  }
  return headers;
}

ImposterAnswer AzureDialect::Put(const base::Context& context, const http::ServerRequest& request,
                                 const ObjectKey& key, absl::string_view body) {
  const std::string md5 = ContentMd5(body);
  const std::string* stated = request.Header("content-md5");
  if (stated != nullptr && *stated != md5) return Error(request, "400 Md5Mismatch");
  const std::string* condition = request.Header("if-none-match");
  const bool may_only_create =
      request.Query("sig") != nullptr && !absl::StrContains(QueryOr(request, "sp", ""), "w");
  Beside beside{.md5 = md5};
  for (const auto& [name, value] : request.headers) {
    absl::string_view rest = name;
    if (absl::ConsumePrefix(&rest, "x-ms-meta-")) beside.metadata[std::string(rest)] = value;
  }
  const absl::Status status =
      objects_->Put(context, key, Bytes(body),
                    {.create_only = may_only_create || (condition && *condition == "*")});
  if (absl::IsAlreadyExists(status) && may_only_create) {
    return Error(request, "403 UnauthorizedBlobOverwrite");
  }
  if (!status.ok()) return ErrorFor(request, status);
  absl::MutexLock lock(&mutex_);
  beside_[key.text()] = std::move(beside);
  return {.status = 201, .headers = {{"Content-MD5", md5}, {"x-ms-version", kAzureVersion}}};
}

ImposterAnswer AzureDialect::Read(const base::Context& context, const http::ServerRequest& request,
                                  const ObjectKey& key) {
  const auto info = objects_->Head(context, key);
  if (!info.ok()) return ErrorFor(request, info.status());
  if (!info->has_value()) return Error(request, "404 BlobNotFound");
  const uint64_t size = (*info)->bytes;
  ImposterAnswer answer{.headers = HeadersOf(**info)};
  if (request.method == "HEAD") {
    answer.content_length = size;
    return answer;
  }
  answer.is_object = true;
  const std::optional<Range> range = RangeOf(request);
  uint64_t length = size;
  if (range) {
    if (range->from >= size) return Error(request, "416 InvalidRange");
    length = std::min(range->last.value_or(size - 1), size - 1) - range->from + 1;
    answer.status = 206;
    answer.headers.emplace_back("Content-Range", absl::StrCat("bytes ", range->from, "-",
                                                              range->from + length - 1, "/", size));
  }
  const absl::Status status = objects_->Get(
      context, key, range ? range->from : 0, length, [&](std::span<const uint8_t> piece) {
        answer.body.append(reinterpret_cast<const char*>(piece.data()), piece.size());
        return absl::OkStatus();
      });
  return status.ok() ? answer : ErrorFor(request, status);
}

ImposterAnswer AzureDialect::List(const base::Context& context,
                                  const http::ServerRequest& request) {
  int limit = 0;
  std::string after;
  // A marker is nobody's business but the service's; here it hides the last name of the page.
  if (!absl::SimpleAtoi(QueryOr(request, "maxresults", absl::StrCat(kPageMax)), &limit) ||
      limit < 1 || !absl::WebSafeBase64Unescape(QueryOr(request, "marker", ""), &after)) {
    return Error(request, "400 OutOfRangeQueryParameterValue");
  }
  limit = std::min(limit, kPageMax);
  auto objects = objects_->List(context, QueryOr(request, "prefix", ""), after,
                                static_cast<size_t>(limit) + 1);
  if (!objects.ok()) return ErrorFor(request, objects.status());
  const bool more = objects->size() > static_cast<size_t>(limit);
  if (more) objects->pop_back();
  pugi::xml_document document;
  pugi::xml_node root = document.append_child("EnumerationResults");
  root.append_attribute("ContainerName") = options_.container.c_str();
  pugi::xml_node blobs = root.append_child("Blobs");
  const auto add = [](pugi::xml_node parent, const std::string& name, const std::string& value) {
    parent.append_child(name.c_str()).text() = value.c_str();
  };
  for (const ObjectInfo& info : *objects) {
    pugi::xml_node blob = blobs.append_child("Blob");
    add(blob, "Name", info.key);
    pugi::xml_node properties = blob.append_child("Properties");
    add(properties, "Last-Modified", AzureDate(info.modified));
    add(properties, "Content-Length", absl::StrCat(info.bytes));
    add(properties, "BlobType", "BlockBlob");
    const auto beside = BesideOf(info.key);
    if (!beside) continue;
    add(properties, "Content-MD5", beside->md5);
    if (!absl::StrContains(QueryOr(request, "include", ""), "metadata")) continue;
    pugi::xml_node metadata = blob.append_child("Metadata");
    for (const auto& [name, value] : beside->metadata) add(metadata, name, value);
  }
  add(root, "NextMarker", more ? absl::WebSafeBase64Escape(objects->back().key) : "");
  std::ostringstream text;
  document.save(text, "", pugi::format_raw);
  return {.headers = {{"Content-Type", "application/xml"}, {"x-ms-version", kAzureVersion}},
          .body = text.str()};
}

ImposterAnswer AzureDialect::Serve(const base::Context& context, const http::ServerRequest& request,
                                   absl::string_view body, absl::Time) {
  const Place place = PlaceOf(request).value();
  if (place.blob.empty()) {
    if (request.method == "GET" && QueryOr(request, "restype", "") == "container" &&
        QueryOr(request, "comp", "") == "list") {
      return List(context, request);
    }
    return Error(request, "400 InvalidQueryParameterValue");
  }
  const auto key = ObjectKey::Parse(place.blob);
  if (!key.ok()) return Error(request, "400 InvalidResourceName");
  if (request.method == "PUT") return Put(context, request, *key, body);
  if (request.method != "DELETE") return Read(context, request, *key);
  const auto info = objects_->Head(context, *key);
  if (info.ok() && !info->has_value()) return Error(request, "404 BlobNotFound");
  if (const absl::Status status = objects_->Delete(context, *key); !status.ok()) {
    return ErrorFor(request, status);
  }
  absl::MutexLock lock(&mutex_);
  beside_.erase(key->text());
  return {.status = 202, .headers = {{"x-ms-version", kAzureVersion}}};
}

}  // namespace

std::unique_ptr<ImposterDialect> MakeAzureImposter(AzureImposterOptions options,
                                                   ObjectStore* objects) {
  return std::make_unique<AzureDialect>(std::move(options), objects);
}

}  // namespace cedana::objstore
