#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "storage/api/handlers.h"

namespace cedana::api {
namespace {

constexpr size_t kPieceBytes = 1u << 20;

struct Target {
  replica::ObjectGrant grant;
  replica::ProviderPtr provider;
  objstore::ObjectKey key;
};

// What the request's grant allows, judged. Nothing else of the request is looked at before.
absl::StatusOr<Target> Judge(const Call& call, const replica::Vault& vault,
                             const std::string& method) {
  const std::vector<std::string>& segments = call.segments();
  replica::ObjectGrant grant{.method = method, .provider = segments[2]};
  grant.key = absl::StrJoin(segments.begin() + 3, segments.end(), "/");
  if (!absl::SimpleAtoi(call.Query("size"), &grant.bytes) ||
      !absl::SimpleAtoi(call.Query("crc32c"), &grant.crc32c) ||
      !absl::SimpleAtoi(call.Query("expires"), &grant.expires_ms)) {
    return absl::PermissionDeniedError("grant: missing or malformed");
  }
  CEDANA_RETURN_IF_ERROR(vault.grants->Verify(grant, call.Query("sig"), vault.NowMs()));
  replica::ProviderPtr provider = vault.providers->Find(grant.provider);
  if (provider == nullptr) {
    return absl::NotFoundError(absl::StrCat("provider ", grant.provider, ": none"));
  }
  CEDANA_ASSIGN_OR_RETURN(objstore::ObjectKey key, objstore::ObjectKey::Parse(grant.key));
  return Target{std::move(grant), std::move(provider), std::move(key)};
}

absl::Status SendExists(Call& call, const Target& target) {
  http::Headers headers;
  const auto info = target.provider->store->Head(call.context(), target.key);
  if (info.ok() && info->has_value()) {
    headers.emplace_back("X-Object-Bytes", absl::StrCat((*info)->bytes));
    if ((*info)->crc32c.has_value()) {
      headers.emplace_back("X-Object-Crc32c", absl::StrCat(*(*info)->crc32c));
    }
  }
  return call.SendError(
      absl::AlreadyExistsError(absl::StrCat("object ", target.grant.key, ": exists already")),
      std::move(headers));
}

absl::Status Receive(Call& call, const Target& target) {
  CEDANA_ASSIGN_OR_RETURN(
      const std::unique_ptr<objstore::DirectoryStore::Upload> upload,
      target.provider->directory->BeginUpload(
          target.key, target.grant.bytes, {.create_only = true, .crc32c = target.grant.crc32c}));
  std::vector<uint8_t> piece(std::min<uint64_t>(kPieceBytes, target.grant.bytes));
  while (upload->received() < target.grant.bytes) {
    CEDANA_ASSIGN_OR_RETURN(const size_t got, call.ReadBody(piece));
    if (got == 0) return absl::DataLossError("object: the body is shorter than was granted");
    CEDANA_RETURN_IF_ERROR(upload->Append(std::span(piece.data(), got)));
  }
  return upload->Commit();
}

}  // namespace

absl::Status PutObject(Call& call, const replica::Vault& vault) {
  CEDANA_ASSIGN_OR_RETURN(const Target target, Judge(call, vault, "PUT"));
  if (target.provider->directory == nullptr) {
    if (target.provider->dialect != objstore::Dialect::kDirectory) {
      return absl::InvalidArgumentError("object: this provider takes uploads itself");
    }
    return absl::UnavailableError(
        absl::StrCat("provider ", target.grant.provider, ": cannot be used now"));
  }
  const http::ServerRequest& request = call.request();
  if (request.chunked || request.content_length.value_or(0) != target.grant.bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("object: a body of ", target.grant.bytes, " bytes was granted"));
  }
  const absl::Status received = Receive(call, target);
  if (absl::IsResourceExhausted(received)) {
    vault.providers->health().RecordWrite(target.grant.provider, received);
  }
  if (absl::IsAlreadyExists(received)) return SendExists(call, target);
  if (!received.ok()) {
    base::LogError("upload failed", {{"request", call.request_id()},
                                     {"provider", target.grant.provider},
                                     {"key", target.grant.key},
                                     {"error", received.message()}});
    // The log has the disk's own words; a client learns which provider, not where it lies.
    if (absl::IsResourceExhausted(received)) {
      return absl::ResourceExhaustedError(
          absl::StrCat("provider ", target.grant.provider, ": is full"));
    }
    return received;
  }
  return call.Send(201, {}, "");
}

absl::Status GetObject(Call& call, const replica::Vault& vault) {
  CEDANA_ASSIGN_OR_RETURN(const Target target, Judge(call, vault, "GET"));
  CEDANA_ASSIGN_OR_RETURN(const std::optional<objstore::ObjectInfo> info,
                          target.provider->store->Head(call.context(), target.key));
  if (!info.has_value()) {
    return absl::NotFoundError(
        absl::StrCat("provider ", target.grant.provider, ": ", target.grant.key, " is not there"));
  }
  CEDANA_ASSIGN_OR_RETURN(const ByteRange range,
                          ParseRange(call.request().Header("range"), info->bytes));
  http::Headers headers = RangeHeaders(range, info->bytes);
  headers.emplace_back("Content-Type", "application/octet-stream");
  // The answer starts with the first bytes in hand, so that an unreadable object is an error and
  // no cut connection.
  const auto start = [&] { return call.Start(range.partial ? 206 : 200, headers, range.length); };
  // As long as the client reads: the server ends one that is too slow.
  const absl::Status sent =
      target.provider->store->Get(base::Context{}, target.key, range.offset, range.length,
                                  [&](std::span<const uint8_t> bytes) -> absl::Status {
                                    if (call.answered() == 0) CEDANA_RETURN_IF_ERROR(start());
                                    return call.Write(bytes);
                                  });
  if (!sent.ok()) return base::Annotate(sent, absl::StrCat("provider ", target.grant.provider));
  if (call.answered() == 0) CEDANA_RETURN_IF_ERROR(start());  // an empty object
  return call.Finish();
}

}  // namespace cedana::api
