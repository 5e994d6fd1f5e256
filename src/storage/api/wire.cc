#include "storage/api/wire.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/base/status.h"

namespace cedana::api {
namespace {

using base::Json;

constexpr size_t kTextBytesMax = 1024;
constexpr size_t kFactsBytesMax = 256u << 10;
constexpr size_t kProvidersMax = 64;

absl::string_view DialectNameOf(objstore::Dialect dialect) {
  switch (dialect) {
    case objstore::Dialect::kDirectory:
      return "directory";
    case objstore::Dialect::kS3:
      return "s3";
    case objstore::Dialect::kGcs:
      return "gcs";
    case objstore::Dialect::kAzure:
      break;
  }
  return "azure";
}

absl::Status Bad(absl::string_view key, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("\"", key, "\" ", what));
}

template <typename IdType>
absl::StatusOr<IdType> GetId(const Json& object, absl::string_view key) {
  CEDANA_ASSIGN_OR_RETURN(const std::string hex, base::GetString(object, key));
  absl::StatusOr<IdType> id = IdType::FromHex(hex);
  if (!id.ok()) return Bad(key, "must be 32 hex digits");
  return id;
}

absl::StatusOr<uint64_t> GetUint(const Json& object, absl::string_view key, uint64_t max) {
  CEDANA_ASSIGN_OR_RETURN(const int64_t value, base::GetInt(object, key));
  if (value < 0 || static_cast<uint64_t>(value) > max) return Bad(key, "is out of range");
  return static_cast<uint64_t>(value);
}

absl::StatusOr<uint64_t> GetSize(const Json& object, absl::string_view key) {
  return GetUint(object, key, INT64_MAX);
}

absl::StatusOr<const Json*> GetPacks(const Json& json, size_t max) {
  const auto packs = json.find("packs");
  if (packs == json.end() || !packs->is_array()) return Bad("packs", "must be an array");
  if (packs->size() > max) return Bad("packs", absl::StrCat("has more than ", max, " entries"));
  return &*packs;
}

absl::StatusOr<replica::WantedPack> WantedFromJson(const Json& json) {
  if (!json.is_object()) return Bad("packs", "must hold objects");
  replica::WantedPack pack;
  CEDANA_ASSIGN_OR_RETURN(pack.id, GetId<base::PackId>(json, "pack"));
  CEDANA_ASSIGN_OR_RETURN(pack.bytes, GetSize(json, "bytes"));
  CEDANA_ASSIGN_OR_RETURN(const uint64_t crc32c, GetUint(json, "crc32c", UINT32_MAX));
  pack.crc32c = static_cast<uint32_t>(crc32c);
  return pack;
}

absl::StatusOr<transfer::StoredPack> StoredFromJson(const Json& json) {
  CEDANA_ASSIGN_OR_RETURN(const replica::WantedPack wanted, WantedFromJson(json));
  transfer::StoredPack pack{.id = wanted.id, .bytes = wanted.bytes, .crc32c = wanted.crc32c};
  CEDANA_ASSIGN_OR_RETURN(const uint64_t epoch, GetUint(json, "key_epoch", UINT32_MAX));
  pack.key_epoch = static_cast<uint32_t>(epoch);
  CEDANA_ASSIGN_OR_RETURN(pack.own, base::GetBool(json, "own"));
  const auto providers = json.find("providers");
  if (providers == json.end()) return pack;
  if (!providers->is_array() || providers->size() > kProvidersMax) {
    return Bad("providers", "must be a short array");
  }
  for (const Json& provider : *providers) {
    if (!provider.is_string()) return Bad("providers", "must hold texts");
    pack.providers.push_back(provider.get<std::string>());
  }
  return pack;
}

}  // namespace

absl::StatusOr<transfer::BeginRequest> BeginFromJson(const Json& json, const base::SaveId& save) {
  transfer::BeginRequest request{.save = save};
  CEDANA_ASSIGN_OR_RETURN(request.checkpoint, GetId<base::CheckpointId>(json, "checkpoint"));
  CEDANA_ASSIGN_OR_RETURN(request.path, base::GetString(json, "path"));
  request.generated = base::BoolOr(json, "generated", false);
  return request;
}

absl::StatusOr<transfer::CommitRequest> CommitFromJson(const Json& json, const base::SaveId& save) {
  transfer::CommitRequest request{.save = save};
  CEDANA_ASSIGN_OR_RETURN(request.checkpoint, GetId<base::CheckpointId>(json, "checkpoint"));
  CEDANA_ASSIGN_OR_RETURN(request.path, base::GetString(json, "path"));
  CEDANA_ASSIGN_OR_RETURN(const std::string manifest, base::GetString(json, "manifest"));
  absl::StatusOr<std::string> bytes = base::Base64Decode(manifest);
  if (!bytes.ok()) return Bad("manifest", "must be base64");
  request.manifest = *std::move(bytes);
  CEDANA_ASSIGN_OR_RETURN(const Json* packs, GetPacks(json, SIZE_MAX));
  request.packs.reserve(packs->size());
  for (const Json& item : *packs) {
    CEDANA_ASSIGN_OR_RETURN(transfer::StoredPack pack, StoredFromJson(item));
    request.packs.push_back(std::move(pack));
  }
  CEDANA_ASSIGN_OR_RETURN(request.image_bytes, GetSize(json, "image_bytes"));
  CEDANA_ASSIGN_OR_RETURN(request.stored_bytes, GetSize(json, "stored_bytes"));
  CEDANA_ASSIGN_OR_RETURN(request.new_bytes, GetSize(json, "new_bytes"));
  CEDANA_ASSIGN_OR_RETURN(request.codec, base::GetString(json, "codec"));
  if (request.codec.size() > kTextBytesMax) return Bad("codec", "is too long");
  const auto facts = json.find("facts");
  if (facts == json.end() || !facts->is_object()) return Bad("facts", "must be an object");
  if (base::DumpJson(*facts).size() > kFactsBytesMax) return Bad("facts", "are too large");
  request.facts = transfer::JobFacts::FromJson(*facts);
  return request;
}

absl::StatusOr<std::vector<replica::WantedPack>> WantedPacksFromJson(const Json& json) {
  CEDANA_ASSIGN_OR_RETURN(const Json* packs, GetPacks(json, base::kGrantBatchMax));
  std::vector<replica::WantedPack> wanted;
  for (const Json& item : *packs) {
    CEDANA_ASSIGN_OR_RETURN(const replica::WantedPack pack, WantedFromJson(item));
    wanted.push_back(pack);
  }
  return wanted;
}

absl::StatusOr<std::vector<base::PackId>> PackIdsFromJson(const Json& json) {
  CEDANA_ASSIGN_OR_RETURN(const Json* packs, GetPacks(json, base::kGrantBatchMax));
  std::vector<base::PackId> ids;
  for (const Json& item : *packs) {
    if (!item.is_string()) return Bad("packs", "must hold ids");
    absl::StatusOr<base::PackId> id = base::PackId::FromHex(item.get<std::string>());
    if (!id.ok()) return Bad("packs", "must hold 32 hex digits each");
    ids.push_back(*id);
  }
  return ids;
}

absl::StatusOr<base::LeaseId> LeaseFromJson(const Json& json) {
  return GetId<base::LeaseId>(json, "lease");
}

Json ToJson(const format::OrganisationKeys& keys) {
  const auto base64 = [](const format::Key256& key) {
    return base::Base64Encode(
        absl::string_view(reinterpret_cast<const char*>(key.data()), key.size()));
  };
  Json sealing = Json::array();
  for (const format::SealingKey& key : keys.sealing) {
    sealing.push_back({{"epoch", key.epoch}, {"key", base64(key.key)}});
  }
  return {{"organisation", keys.organisation.ToHex()},
          {"page_id_key", base64(keys.page_id_key)},
          {"sealing", std::move(sealing)}};
}

Json ToJson(const transfer::CheckpointInfo& info) {
  return {{"id", info.id.ToHex()},           {"path", info.path},
          {"sequence", info.sequence},       {"created_ms", absl::ToUnixMillis(info.created)},
          {"image_bytes", info.image_bytes}, {"stored_bytes", info.stored_bytes},
          {"new_bytes", info.new_bytes},     {"codec", info.codec},
          {"durability", info.durability},   {"facts", info.facts.ToJson()}};
}

Json ToJson(const std::vector<replica::PackGrant>& grants, const std::string& origin,
            const std::string& request_id, bool reads) {
  Json list = Json::array();
  for (const replica::PackGrant& item : grants) {
    const replica::ObjectGrant& grant = item.grant;
    Json entry = {{"pack", item.pack.ToHex()},
                  {"provider", grant.provider},
                  {"domain", item.provider->domain},
                  {"dialect", std::string(DialectNameOf(item.provider->dialect))},
                  {"method", grant.method},
                  {"expires_ms", grant.expires_ms}};
    Json headers = Json::object();
    if (item.sent.has_value()) {
      entry["method"] = item.sent->method;
      entry["url"] = item.sent->url;
      for (const auto& [name, value] : item.sent->headers) headers[name] = value;
    } else {
      // The request that comes under the grant is one of ours: the log ties it to this call.
      headers["X-Request-Id"] = request_id;
      entry["url"] = absl::StrCat(origin, "/v3/objects/", grant.provider, "/", grant.key,
                                  "?size=", grant.bytes, "&crc32c=", grant.crc32c,
                                  "&expires=", grant.expires_ms, "&sig=", item.signature);
    }
    entry["headers"] = std::move(headers);
    if (reads) entry["bytes"] = grant.bytes;
    list.push_back(std::move(entry));
  }
  return {{"grants", std::move(list)}};
}

absl::StatusOr<std::vector<std::pair<std::string, replica::ClientReport>>> ReportsFromJson(
    const Json& json) {
  std::vector<std::pair<std::string, replica::ClientReport>> reports;
  const auto object = json.find("reports");
  if (object == json.end() || object->is_null()) return reports;
  if (!object->is_object() || object->size() > kProvidersMax) {
    return Bad("reports", "must be a small object");
  }
  for (const auto& [provider, item] : object->items()) {
    if (!item.is_object()) return Bad("reports", "must hold objects");
    // Hints: what is missing or odd is taken as nothing.
    const auto count = [&, &entry = item](absl::string_view key) {
      return static_cast<uint64_t>(std::max<int64_t>(0, base::IntOr(entry, key, 0)));
    };
    replica::ClientReport report;
    report.ok = count("ok");
    report.failed = count("failed");
    report.full = base::BoolOr(item, "full", false);
    report.latency = absl::Milliseconds(std::min<uint64_t>(count("latency_ms"), 3600000));
    report.bytes_per_s = static_cast<double>(count("bytes_per_s"));
    const std::string breaker = base::StringOr(item, "breaker", "");
    report.breaker = breaker == "closed"      ? replica::ClientBreaker::kClosed
                     : breaker == "half open" ? replica::ClientBreaker::kHalfOpen
                     : breaker == "open"      ? replica::ClientBreaker::kOpen
                                              : replica::ClientBreaker::kUntold;
    reports.emplace_back(provider, report);
  }
  return reports;
}

}  // namespace cedana::api
