#include "core/objstore/testing/gcs_imposter.h"

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/codec/crc32c.h"
#include "core/objstore/testing/xml_imposter.h"

namespace cedana::objstore {
namespace {

std::string ChecksumText(uint32_t crc) {
  std::string bytes;
  for (const int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<char>(crc >> shift & 255));
  return absl::Base64Escape(bytes);
}

class GcsImposter final : public XmlImposter {
 public:
  GcsImposter(const GcsImposterOptions& options, ObjectStore* objects)
      : XmlImposter(options.bucket, GoogleAccount(options.client_email, options.public_key),
                    objects, options.versioning) {}

 private:
  std::optional<ImposterAnswer> RefuseSize(const http::ServerRequest& request,
                                           uint64_t bytes) const {
    const std::string* header = request.Header("x-goog-content-length-range");
    if (header == nullptr) return std::nullopt;
    const std::pair<std::string, std::string> ends = absl::StrSplit(*header, ',');
    uint64_t least = 0;
    uint64_t most = 0;
    if (!absl::SimpleAtoi(ends.first, &least) || !absl::SimpleAtoi(ends.second, &most)) {
      return ErrorAnswer(request, 400, "InvalidArgument");
    }
    if (bytes < least) return ErrorAnswer(request, 400, "EntityTooSmall");
    if (bytes > most) return ErrorAnswer(request, 400, "EntityTooLarge");
    return std::nullopt;
  }

  std::optional<ImposterAnswer> RefusePut(const http::ServerRequest& request) const override {
    if (!request.chunked && !request.content_length) {
      return ErrorAnswer(request, 411, "MissingContentLength");
    }
    const std::string* condition = request.Header("x-goog-if-generation-match");
    if (condition != nullptr && *condition != "0") {
      return ErrorAnswer(request, 501, "NotImplemented");
    }
    return request.content_length ? RefuseSize(request, *request.content_length) : std::nullopt;
  }

  std::optional<ImposterAnswer> RefuseBody(const http::ServerRequest& request,
                                           absl::string_view body) const override {
    if (auto refusal = RefuseSize(request, body.size())) return refusal;
    const uint32_t crc =
        codec::Crc32c({reinterpret_cast<const uint8_t*>(body.data()), body.size()});
    for (const auto& [name, value] : request.headers) {
      if (name != "x-goog-hash") continue;
      absl::string_view text = value;
      if (absl::ConsumePrefix(&text, "crc32c=") && text != ChecksumText(crc)) {
        return ErrorAnswer(request, 400, "BadDigest");
      }
    }
    return std::nullopt;
  }

  bool WantsCreateOnly(const http::ServerRequest& request) const override {
    return request.Header("x-goog-if-generation-match") != nullptr;
  }

  http::Headers HeadersOf(const http::ServerRequest&, const ObjectInfo& info) const override {
    http::Headers headers = {{"x-goog-generation", "1"}, {"x-goog-metageneration", "1"}};
    if (info.crc32c) {
      headers.emplace_back("x-goog-hash", absl::StrCat("crc32c=", ChecksumText(*info.crc32c)));
    }
    return headers;
  }

  std::string CodeOfStatus(int status) const override {
    switch (status) {
      case 403:
        return "AccessDenied";
      case 404:
        return "NoSuchKey";
      case 412:
        return "PreconditionFailed";
      case 429:
        return "SlowDown";
      case 503:
        return "ServiceUnavailable";
      case 507:
        return "QuotaExceeded";
      default:
        return "InternalError";
    }
  }
  const char* RequestIdHeader() const override { return "x-guploader-uploadid"; }
  bool DeletesWhatIsAbsent() const override { return false; }
};

}  // namespace

std::unique_ptr<ImposterDialect> MakeGcsImposter(const GcsImposterOptions& options,
                                                 ObjectStore* objects) {
  return std::make_unique<GcsImposter>(options, objects);
}

}  // namespace cedana::objstore
