#include "cedana/remote/wire.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cedana/remote/service_url.h"
#include "core/base/limits.h"
#include "core/base/status.h"

namespace cedana::remote {
namespace {

using base::Json;

constexpr int64_t kCopiesMax = 16;
constexpr int64_t kMillisecondsMax = int64_t{1} << 50;

absl::Status Bad(absl::string_view key, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("\"", key, "\" ", what));
}

absl::StatusOr<const Json*> GetMember(const Json& object, const char* key, Json::value_t type) {
  const auto it = object.find(key);
  if (it == object.end() || it->type() != type) {
    return Bad(key, type == Json::value_t::array ? "must be an array" : "must be an object");
  }
  return &*it;
}

absl::StatusOr<uint64_t> GetUint(const Json& object, absl::string_view key) {
  CEDANA_ASSIGN_OR_RETURN(const int64_t value, base::GetInt(object, key));
  if (value < 0) return Bad(key, "must not be negative");
  return static_cast<uint64_t>(value);
}

absl::StatusOr<absl::Duration> GetMilliseconds(const Json& object, absl::string_view key) {
  CEDANA_ASSIGN_OR_RETURN(const int64_t value, base::GetInt(object, key));
  if (value < 0 || value > kMillisecondsMax) return Bad(key, "is no possible time");
  return absl::Milliseconds(value);
}

template <typename IdType>
absl::StatusOr<IdType> GetId(const Json& object, absl::string_view key) {
  CEDANA_ASSIGN_OR_RETURN(const std::string hex, base::GetString(object, key));
  absl::StatusOr<IdType> id = IdType::FromHex(hex);
  if (!id.ok()) return Bad(key, "must be 32 hex digits");
  return id;
}

absl::StatusOr<format::Key256> GetKey(const Json& object, absl::string_view key) {
  CEDANA_ASSIGN_OR_RETURN(const std::string text, base::GetString(object, key));
  const absl::StatusOr<std::string> bytes = base::Base64Decode(text);
  format::Key256 value{};
  if (!bytes.ok() || bytes->size() != value.size()) return Bad(key, "must be base64 of 32 bytes");
  std::memcpy(value.data(), bytes->data(), value.size());
  return value;
}

}  // namespace

Json ToJson(const transfer::BeginRequest& request) {
  return {{"checkpoint", request.checkpoint.ToHex()},
          {"path", request.path},
          {"generated", request.generated}};
}

Json ToJson(const transfer::CommitRequest& request) {
  Json packs = Json::array();
  for (const transfer::StoredPack& pack : request.packs) {
    packs.push_back({{"pack", pack.id.ToHex()},
                     {"bytes", pack.bytes},
                     {"crc32c", pack.crc32c},
                     {"key_epoch", pack.key_epoch},
                     {"own", pack.own},
                     {"providers", pack.providers}});
  }
  return {{"checkpoint", request.checkpoint.ToHex()},
          {"path", request.path},
          {"manifest", base::Base64Encode(request.manifest)},
          {"packs", std::move(packs)},
          {"image_bytes", request.image_bytes},
          {"stored_bytes", request.stored_bytes},
          {"new_bytes", request.new_bytes},
          {"codec", request.codec},
          {"facts", request.facts.ToJson()}};
}

std::string ToQuery(const transfer::ListQuery& query) {
  std::vector<std::string> parts;
  const auto add = [&parts](absl::string_view name, absl::string_view value) {
    parts.push_back(absl::StrCat(name, "=", http::PercentEncode(value)));
  };
  if (!query.prefix.empty()) add("prefix", query.prefix);
  if (!query.job_name.empty()) add("job_name", query.job_name);
  if (!query.job_id.empty()) add("job_id", query.job_id);
  if (query.newest_per_job) add("newest_per_job", "1");
  if (query.before_sequence != 0) add("before_sequence", absl::StrCat(query.before_sequence));
  add("limit", absl::StrCat(std::min<uint64_t>(query.limit, base::kListPageMax)));
  return absl::StrCat("?", absl::StrJoin(parts, "&"));
}

absl::StatusOr<format::OrganisationKeys> KeysFromJson(const Json& json) {
  format::OrganisationKeys keys;
  CEDANA_ASSIGN_OR_RETURN(keys.organisation, GetId<base::OrgId>(json, "organisation"));
  CEDANA_ASSIGN_OR_RETURN(keys.page_id_key, GetKey(json, "page_id_key"));
  CEDANA_ASSIGN_OR_RETURN(const Json* sealing, GetMember(json, "sealing", Json::value_t::array));
  for (const Json& item : *sealing) {
    format::SealingKey key;
    CEDANA_ASSIGN_OR_RETURN(const uint64_t epoch, GetUint(item, "epoch"));
    if (epoch > UINT32_MAX) return Bad("epoch", "is too large");
    key.epoch = static_cast<uint32_t>(epoch);
    CEDANA_ASSIGN_OR_RETURN(key.key, GetKey(item, "key"));
    keys.sealing.push_back(key);
  }
  if (keys.sealing.empty()) return Bad("sealing", "must hold a key");
  return keys;
}

absl::StatusOr<transfer::BegunSave> BegunSaveFromJson(const Json& json) {
  transfer::BegunSave begun;
  CEDANA_ASSIGN_OR_RETURN(begun.path, base::GetString(json, "path"));
  CEDANA_ASSIGN_OR_RETURN(const Json* keys, GetMember(json, "keys", Json::value_t::object));
  CEDANA_ASSIGN_OR_RETURN(begun.keys, KeysFromJson(*keys));
  CEDANA_ASSIGN_OR_RETURN(begun.lease, GetMilliseconds(json, "lease_ms"));
  CEDANA_ASSIGN_OR_RETURN(begun.heartbeat, GetMilliseconds(json, "heartbeat_ms"));
  return begun;
}

absl::StatusOr<transfer::CheckpointInfo> CheckpointFromJson(const Json& json) {
  if (!json.is_object()) return Bad("checkpoint", "must be an object");
  transfer::CheckpointInfo info;
  CEDANA_ASSIGN_OR_RETURN(info.id, GetId<base::CheckpointId>(json, "id"));
  CEDANA_ASSIGN_OR_RETURN(info.path, base::GetString(json, "path"));
  CEDANA_ASSIGN_OR_RETURN(info.sequence, GetUint(json, "sequence"));
  CEDANA_ASSIGN_OR_RETURN(const absl::Duration created, GetMilliseconds(json, "created_ms"));
  info.created = absl::UnixEpoch() + created;
  CEDANA_ASSIGN_OR_RETURN(info.image_bytes, GetUint(json, "image_bytes"));
  CEDANA_ASSIGN_OR_RETURN(info.stored_bytes, GetUint(json, "stored_bytes"));
  CEDANA_ASSIGN_OR_RETURN(info.new_bytes, GetUint(json, "new_bytes"));
  info.codec = base::StringOr(json, "codec", "");
  info.durability = base::StringOr(json, "durability", "");
  const auto facts = json.find("facts");
  if (facts != json.end() && facts->is_object()) {
    info.facts = transfer::JobFacts::FromJson(*facts);
  }
  return info;
}

absl::StatusOr<transfer::OpenedCheckpoint> OpenedFromJson(const Json& json) {
  transfer::OpenedCheckpoint opened;
  CEDANA_ASSIGN_OR_RETURN(const Json* info, GetMember(json, "checkpoint", Json::value_t::object));
  CEDANA_ASSIGN_OR_RETURN(opened.info, CheckpointFromJson(*info));
  CEDANA_ASSIGN_OR_RETURN(const Json* keys, GetMember(json, "keys", Json::value_t::object));
  CEDANA_ASSIGN_OR_RETURN(opened.keys, KeysFromJson(*keys));
  CEDANA_ASSIGN_OR_RETURN(const std::string manifest, base::GetString(json, "manifest"));
  absl::StatusOr<std::string> bytes = base::Base64Decode(manifest);
  if (!bytes.ok()) return Bad("manifest", "must be base64");
  opened.manifest = *std::move(bytes);
  if (opened.manifest.size() > base::kManifestBytesMax) return Bad("manifest", "is too large");
  CEDANA_ASSIGN_OR_RETURN(opened.lease, GetMilliseconds(json, "lease_ms"));
  CEDANA_ASSIGN_OR_RETURN(opened.heartbeat, GetMilliseconds(json, "heartbeat_ms"));
  return opened;
}

absl::StatusOr<std::vector<transfer::CheckpointInfo>> CheckpointsFromJson(const Json& json) {
  CEDANA_ASSIGN_OR_RETURN(const Json* list, GetMember(json, "checkpoints", Json::value_t::array));
  std::vector<transfer::CheckpointInfo> checkpoints;
  for (const Json& item : *list) {
    CEDANA_ASSIGN_OR_RETURN(transfer::CheckpointInfo info, CheckpointFromJson(item));
    checkpoints.push_back(std::move(info));
  }
  return checkpoints;
}

absl::StatusOr<transfer::SaveOutcome> OutcomeFromJson(const Json& json) {
  CEDANA_ASSIGN_OR_RETURN(const std::string state, base::GetString(json, "state"));
  if (state == "open") return transfer::SaveOutcome::kOpen;
  if (state == "committed") return transfer::SaveOutcome::kCommitted;
  if (state == "aborted") return transfer::SaveOutcome::kAborted;
  if (state == "unknown") return transfer::SaveOutcome::kUnknown;
  return Bad("state", "is none that is known");
}

absl::StatusOr<std::vector<Grant>> GrantsFromJson(const Json& json, const std::string& origin) {
  CEDANA_ASSIGN_OR_RETURN(const Json* list, GetMember(json, "grants", Json::value_t::array));
  std::vector<Grant> grants;
  for (const Json& item : *list) {
    Grant grant;
    CEDANA_ASSIGN_OR_RETURN(grant.pack, GetId<base::PackId>(item, "pack"));
    CEDANA_ASSIGN_OR_RETURN(grant.provider, base::GetString(item, "provider"));
    grant.domain = base::StringOr(item, "domain", grant.provider);
    const std::string dialect = base::StringOr(item, "dialect", "directory");
    const absl::StatusOr<objstore::Dialect> parsed = objstore::ParseDialect(dialect);
    if (!parsed.ok()) return Bad("dialect", "is none that is known");
    grant.dialect = *parsed;
    CEDANA_ASSIGN_OR_RETURN(grant.method, base::GetString(item, "method"));
    CEDANA_ASSIGN_OR_RETURN(const std::string url, base::GetString(item, "url"));
    CEDANA_ASSIGN_OR_RETURN(grant.url, ResolveGrantUrl(origin, url));
    CEDANA_ASSIGN_OR_RETURN(const absl::Duration expires, GetMilliseconds(item, "expires_ms"));
    grant.expires = absl::UnixEpoch() + expires;
    const auto headers = item.find("headers");
    if (headers != item.end() && headers->is_object()) {
      for (const auto& [name, value] : headers->items()) {
        if (!value.is_string()) return Bad("headers", "must hold texts");
        grant.headers.emplace_back(name, value.get<std::string>());
      }
    }
    grants.push_back(std::move(grant));
  }
  return grants;
}

absl::StatusOr<UploadGrants> UploadGrantsFromJson(const Json& json, const std::string& origin) {
  UploadGrants answer;
  CEDANA_ASSIGN_OR_RETURN(answer.grants, GrantsFromJson(json, origin));
  const int64_t copies = base::IntOr(json, "copies", 0);
  const int64_t ack = base::IntOr(json, "ack", copies);
  if (copies < 0 || copies > kCopiesMax) return Bad("copies", "is no possible number");
  if (ack < std::min<int64_t>(1, copies) || ack > copies) return Bad("ack", "must be 1 to copies");
  answer.copies = static_cast<int>(copies);
  answer.ack = static_cast<int>(ack);
  return answer;
}

Json ToJson(const std::vector<ProviderReport>& reports) {
  Json json = Json::object();
  for (const ProviderReport& report : reports) {
    json[report.provider] = {{"ok", report.ok},
                             {"failed", report.failed},
                             {"last_error", report.last_error},
                             {"full", report.full},
                             {"latency_ms", absl::ToInt64Milliseconds(report.latency)},
                             {"bytes_per_s", static_cast<int64_t>(report.bytes_per_s)},
                             {"breaker", BreakerStateName(report.breaker)}};
  }
  return json;
}

}  // namespace cedana::remote
