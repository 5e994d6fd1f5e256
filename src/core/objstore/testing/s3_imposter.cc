#include "core/objstore/testing/s3_imposter.h"

#include <openssl/evp.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/codec/crc32c.h"
#include "core/objstore/testing/xml_imposter.h"

namespace cedana::objstore {
namespace {

std::string Digest(const EVP_MD* kind, absl::string_view text) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), out, &size, kind, nullptr);
  return std::string(reinterpret_cast<const char*>(out), size);
}

// Written out byte by byte here, for crc32c_text.h is under test.
std::string ChecksumText(uint32_t crc) {
  std::string bytes;
  for (const int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<char>(crc >> shift & 255));
  return absl::Base64Escape(bytes);
}

std::string ChecksumText(absl::string_view body) {
  return ChecksumText(codec::Crc32c({reinterpret_cast<const uint8_t*>(body.data()), body.size()}));
}

class S3Imposter final : public XmlImposter {
 public:
  S3Imposter(S3ImposterOptions options, ObjectStore* objects)
      : XmlImposter(
            options.bucket,
            AwsAccount(options.credentials.access_key_id, options.credentials.secret_access_key,
                       options.credentials.session_token, options.region),
            objects, options.versioning),
        options_(std::move(options)) {}

 private:
  std::optional<ImposterAnswer> RefusePut(const http::ServerRequest& request) const override {
    if (request.chunked) return ErrorAnswer(request, 501, "NotImplemented");
    if (!request.content_length) return ErrorAnswer(request, 411, "MissingContentLength");
    if (*request.content_length > kPutBytesMax) return ErrorAnswer(request, 400, "EntityTooLarge");
    const std::string* condition = request.Header("if-none-match");
    if (options_.conditional_writes && condition != nullptr && *condition != "*") {
      return ErrorAnswer(request, 501, "NotImplemented");
    }
    return std::nullopt;
  }

  std::optional<ImposterAnswer> RefuseBody(const http::ServerRequest& request,
                                           absl::string_view body) const override {
    const std::string* payload = request.Header("x-amz-content-sha256");
    if (payload != nullptr && *payload != "UNSIGNED-PAYLOAD" &&
        *payload != absl::BytesToHexString(Digest(EVP_sha256(), body))) {
      return ErrorAnswer(request, 400, "XAmzContentSHA256Mismatch");
    }
    const std::string* md5 = request.Header("content-md5");
    if (md5 != nullptr && *md5 != absl::Base64Escape(Digest(EVP_md5(), body))) {
      return ErrorAnswer(request, 400, "BadDigest");
    }
    const std::string* checksum = request.Header("x-amz-checksum-crc32c");
    if (options_.checksums && checksum != nullptr && *checksum != ChecksumText(body)) {
      return ErrorAnswer(request, 400, "BadDigest");
    }
    return std::nullopt;
  }

  bool WantsCreateOnly(const http::ServerRequest& request) const override {
    return options_.conditional_writes && request.Header("if-none-match") != nullptr;
  }

  http::Headers HeadersOf(const http::ServerRequest& request,
                          const ObjectInfo& info) const override {
    const std::string* mode = request.Header("x-amz-checksum-mode");
    if (!options_.checksums || mode == nullptr || *mode != "ENABLED" || !info.crc32c) return {};
    return {{"x-amz-checksum-crc32c", ChecksumText(*info.crc32c)},
            {"x-amz-checksum-type", "FULL_OBJECT"}};
  }

  std::string CodeOfStatus(int status) const override {
    switch (status) {
      case 403:
        return "AccessDenied";
      case 404:
        return "NoSuchKey";
      case 409:
        return "ConditionalRequestConflict";
      case 412:
        return "PreconditionFailed";
      case 429:
      case 503:
        return "SlowDown";
      case 507:
        return "QuotaExceeded";
      default:
        return "InternalError";
    }
  }
  const char* RequestIdHeader() const override { return "x-amz-request-id"; }
  bool DeletesWhatIsAbsent() const override { return true; }
  bool ChecksSignatures() const override { return options_.signatures; }

  static constexpr uint64_t kPutBytesMax = uint64_t{5} << 30;
  const S3ImposterOptions options_;
};

}  // namespace

std::unique_ptr<ImposterDialect> MakeS3Imposter(S3ImposterOptions options, ObjectStore* objects) {
  return std::make_unique<S3Imposter>(std::move(options), objects);
}

}  // namespace cedana::objstore
