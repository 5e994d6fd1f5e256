#include "core/objstore/testing/xml_imposter.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace cedana::objstore {
namespace {

constexpr size_t kPageKeysMax = 1000;

// The first and the last byte of "bytes=5-9" or "bytes=5-"; nothing for any other form, which a
// server may ignore.
struct Range {
  uint64_t first = 0;
  uint64_t last = UINT64_MAX;
};
std::optional<Range> RangeOf(const http::ServerRequest& request) {
  const std::string* header = request.Header("range");
  if (header == nullptr) return std::nullopt;
  absl::string_view text = *header;
  Range range;
  if (!absl::ConsumePrefix(&text, "bytes=")) return std::nullopt;
  const std::pair<absl::string_view, absl::string_view> ends = absl::StrSplit(text, '-');
  if (!absl::SimpleAtoi(ends.first, &range.first)) return std::nullopt;
  if (!ends.second.empty() && !absl::SimpleAtoi(ends.second, &range.last)) return std::nullopt;
  if (range.last < range.first) return std::nullopt;
  return range;
}

std::string HttpTime(absl::Time time) {
  return absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", time, absl::UTCTimeZone());
}

}  // namespace

XmlImposter::Address XmlImposter::AddressOf(const http::ServerRequest& request) const {
  const std::string* host = request.Header("host");
  absl::string_view path = absl::StripPrefix(request.path, "/");
  if (host != nullptr && absl::StartsWith(*host, bucket_ + ".")) {
    return {bucket_, http::PercentDecode(path).value_or("")};
  }
  const size_t slash = path.find('/');
  const absl::string_view name =
      slash == absl::string_view::npos ? absl::string_view() : path.substr(slash + 1);
  return {std::string(path.substr(0, slash)), http::PercentDecode(name).value_or("")};
}

ImposterTarget XmlImposter::TargetOf(const http::ServerRequest& request) const {
  const std::string name = AddressOf(request).name;
  if (request.method == "PUT") return {Operation::kPut, name};
  if (request.method == "HEAD") return {Operation::kHead, name};
  if (request.method == "DELETE") return {Operation::kDelete, name};
  if (!name.empty()) return {Operation::kGet, name};
  const std::string* prefix = request.Query("prefix");
  return {Operation::kList, prefix == nullptr ? "" : *prefix};
}

ImposterAnswer XmlImposter::ErrorAnswer(const http::ServerRequest& request, int status,
                                        const std::string& code) const {
  const std::string name = code.empty() ? CodeOfStatus(status) : code;
  if (status == 507) status = 403;  // full, in their words
  // As the real ones do, the message repeats by whom and how the request was signed.
  const std::string* authorization = request.Header("authorization");
  const std::string claim =
      absl::StrCat(account_.key_id, " ", account_.session_token, " ",
                   authorization == nullptr ? request.target : *authorization);
  const std::string body = absl::StrCat(
      "<?xml version='1.0' encoding='UTF-8'?><Error><Code>", name, "</Code><Message>",
      absl::StrReplaceAll(claim, {{"&", "&amp;"}, {"<", "&lt;"}}), "</Message></Error>");
  return {.status = status,
          .headers = {{"Content-Type", "application/xml"}, {RequestIdHeader(), "4442587FB7D0A2F9"}},
          .body = body};
}

ImposterAnswer XmlImposter::ErrorOf(const http::ServerRequest& request,
                                    const absl::Status& status) const {
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
      return ErrorAnswer(request, 404, "NoSuchKey");
    case absl::StatusCode::kAlreadyExists:
      return ErrorAnswer(request, 412, "PreconditionFailed");
    case absl::StatusCode::kResourceExhausted:
      return ErrorAnswer(request, 507, "");
    default:
      return ErrorAnswer(request, 500, "InternalError");
  }
}

std::optional<ImposterAnswer> XmlImposter::Refuse(const http::ServerRequest& request,
                                                  absl::Time now) {
  if (const auto refusal = CheckV4(account_, request, now); refusal && ChecksSignatures()) {
    return ErrorAnswer(request, refusal->status, refusal->code);
  }
  const Address address = AddressOf(request);
  if (address.bucket != bucket_) return ErrorAnswer(request, 404, "NoSuchBucket");
  if (request.method != "PUT") return std::nullopt;
  if (auto refusal = RefusePut(request)) return refusal;
  const auto key = ObjectKey::Parse(address.name);
  if (key.ok() && WantsCreateOnly(request)) {
    const auto there = objects_->Head({}, *key);
    if (there.ok() && there->has_value()) return ErrorAnswer(request, 412, "PreconditionFailed");
  }
  return std::nullopt;
}

ImposterAnswer XmlImposter::Serve(const base::Context& context, const http::ServerRequest& request,
                                  absl::string_view body, absl::Time) {
  const Address address = AddressOf(request);
  if (address.name.empty() && request.method == "GET") {
    if (request.Query("versioning") == nullptr) return List(context, request);
    return {.status = 200,
            .headers = {{"Content-Type", "application/xml"}},
            .body = absl::StrCat("<VersioningConfiguration>",
                                 versioning_ ? "<Status>Enabled</Status>" : "",
                                 "</VersioningConfiguration>")};
  }
  const auto key = ObjectKey::Parse(address.name);
  if (!key.ok()) {
    return request.method == "PUT" ? ErrorAnswer(request, 400, "InvalidURI")
                                   : ErrorAnswer(request, 404, "NoSuchKey");
  }
  if (request.method == "PUT") return Put(context, request, *key, body);
  if (request.method == "GET" || request.method == "HEAD") return Get(context, request, *key);
  if (request.method != "DELETE") return ErrorAnswer(request, 405, "MethodNotAllowed");
  if (!DeletesWhatIsAbsent()) {
    const auto there = objects_->Head(context, *key);
    if (there.ok() && !there->has_value()) return ErrorAnswer(request, 404, "NoSuchKey");
  }
  const absl::Status status = objects_->Delete(context, *key);
  return status.ok() ? ImposterAnswer{.status = 204} : ErrorOf(request, status);
}

ImposterAnswer XmlImposter::Put(const base::Context& context, const http::ServerRequest& request,
                                const ObjectKey& key, absl::string_view body) {
  if (auto refusal = RefuseBody(request, body)) return *std::move(refusal);
  const absl::Status status =
      objects_->Put(context, key, {reinterpret_cast<const uint8_t*>(body.data()), body.size()},
                    {.create_only = WantsCreateOnly(request)});
  if (!status.ok()) return ErrorOf(request, status);
  return {.status = 200, .headers = {{"ETag", "\"imposter\""}}};
}

ImposterAnswer XmlImposter::Get(const base::Context& context, const http::ServerRequest& request,
                                const ObjectKey& key) {
  const auto info = objects_->Head(context, key);
  if (!info.ok()) return ErrorOf(request, info.status());
  if (!info->has_value()) return ErrorAnswer(request, 404, "NoSuchKey");
  const uint64_t size = (*info)->bytes;
  ImposterAnswer answer{.status = 200, .headers = HeadersOf(request, **info), .is_object = true};
  answer.headers.emplace_back("Last-Modified", HttpTime((*info)->modified));
  answer.headers.emplace_back("Accept-Ranges", "bytes");
  if (request.method == "HEAD") {
    answer.content_length = size;
    return answer;
  }
  uint64_t offset = 0;
  uint64_t length = size;
  if (const auto range = RangeOf(request)) {
    if (range->first >= size) {
      ImposterAnswer refusal = ErrorAnswer(request, 416, "InvalidRange");
      refusal.headers.emplace_back("Content-Range", absl::StrCat("bytes */", size));
      return refusal;
    }
    const uint64_t last = std::min(range->last, size - 1);
    offset = range->first;
    length = last - offset + 1;
    answer.status = 206;
    answer.headers.emplace_back("Content-Range",
                                absl::StrCat("bytes ", offset, "-", last, "/", size));
  }
  answer.body.reserve(length);
  const absl::Status status =
      objects_->Get(context, key, offset, length, [&](std::span<const uint8_t> piece) {
        answer.body.append(reinterpret_cast<const char*>(piece.data()), piece.size());
        return absl::OkStatus();
      });
  return status.ok() ? answer : ErrorOf(request, status);
}

ImposterAnswer XmlImposter::List(const base::Context& context, const http::ServerRequest& request) {
  const auto parameter = [&](const char* name) {
    const std::string* value = request.Query(name);
    return value == nullptr ? std::string() : *value;
  };
  if (parameter("list-type") != "2") return ErrorAnswer(request, 501, "NotImplemented");
  size_t limit = kPageKeysMax;
  if (request.Query("max-keys") != nullptr &&
      (!absl::SimpleAtoi(parameter("max-keys"), &limit) || limit == 0)) {
    return ErrorAnswer(request, 400, "InvalidArgument");
  }
  limit = std::min(limit, kPageKeysMax);
  std::string after = parameter("start-after");
  if (request.Query("continuation-token") != nullptr &&
      !absl::WebSafeBase64Unescape(parameter("continuation-token"), &after)) {
    return ErrorAnswer(request, 400, "InvalidArgument");
  }
  auto list = objects_->List(context, parameter("prefix"), after, limit + 1);
  if (!list.ok()) return ErrorOf(request, list.status());
  const bool truncated = list->size() > limit;
  if (truncated) list->resize(limit);
  std::string body = absl::StrCat(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>",
      bucket_, "</Name><KeyCount>", list->size(), "</KeyCount><MaxKeys>", limit,
      "</MaxKeys><EncodingType>", parameter("encoding-type"), "</EncodingType><IsTruncated>",
      truncated ? "true" : "false", "</IsTruncated>");
  if (truncated) {
    absl::StrAppend(&body, "<NextContinuationToken>", absl::WebSafeBase64Escape(list->back().key),
                    "</NextContinuationToken>");
  }
  for (const ObjectInfo& info : *list) {
    absl::StrAppend(&body, "<Contents><Key>", info.key, "</Key><LastModified>",
                    absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", info.modified, absl::UTCTimeZone()),
                    "</LastModified><ETag>&quot;imposter&quot;</ETag><Size>", info.bytes,
                    "</Size><StorageClass>STANDARD</StorageClass></Contents>");
  }
  body += "</ListBucketResult>";
  return {.status = 200, .headers = {{"Content-Type", "application/xml"}}, .body = body};
}

}  // namespace cedana::objstore
