#include "cedana/direct/place.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "cedana/direct/folder_store.h"
#include "cedana/plugin/storage_url.h"
#include "core/base/fd.h"
#include "core/base/status.h"
#include "core/build_id.h"
#include "core/http/client.h"
#include "core/objstore/credentials.h"
#include "core/objstore/open_store.h"
#include "core/transfer/checkpoint_path.h"

namespace cedana::direct {
namespace {

using objstore::Credentials;
using plugin::HealthItem;
using plugin::StorageConfig;

constexpr char kFile[] = "file";
constexpr char kS3[] = "s3";
constexpr char kGcs[] = "gcs";
constexpr size_t kCredentialsBytesMax = 64 << 10;
constexpr int kConnectionsSpare = 8;  // beside the parallel transfers: decisions are read at once

// Stands in where no folder is known: nothing can be asked of it.
class NoFolder final : public objstore::ObjectStore {
 public:
  absl::Status Put(const base::Context& context, const objstore::ObjectKey& key,
                   std::span<const uint8_t> bytes, const objstore::PutOptions& options) override {
    return Refuse();
  }
  absl::Status Get(const base::Context& context, const objstore::ObjectKey& key, uint64_t offset,
                   std::optional<uint64_t> length,
                   const std::function<absl::Status(std::span<const uint8_t>)>& sink) override {
    return Refuse();
  }
  absl::StatusOr<std::optional<objstore::ObjectInfo>> Head(
      const base::Context& context, const objstore::ObjectKey& key) override {
    return Refuse();
  }
  absl::StatusOr<std::vector<objstore::ObjectInfo>> List(const base::Context& context,
                                                         const std::string& prefix,
                                                         const std::string& after,
                                                         size_t limit) override {
    return Refuse();
  }
  absl::Status Delete(const base::Context& context, const objstore::ObjectKey& key) override {
    return Refuse();
  }
  objstore::Capabilities capabilities() const override { return {}; }

 private:
  static absl::Status Refuse() {
    return absl::InvalidArgumentError("no folder: one such as s3://bucket/folder is needed");
  }
};

absl::Status Needs(absl::string_view scheme, absl::string_view settings) {
  return absl::UnavailableError(absl::StrCat(scheme, ":// needs credentials: set ", settings));
}

// Our settings first; without them what the cloud's own tools would take from the environment.
absl::StatusOr<Credentials> S3Keys(const StorageConfig& config, const objstore::StoreUrl& url) {
  if (config.aws.access_key_id.empty() && config.aws.secret_access_key.empty()) {
    absl::StatusOr<Credentials> found = objstore::LoadCredentials(url);
    if (found.ok() || !absl::IsUnauthenticated(found.status())) return found;
  }
  if (config.aws.access_key_id.empty() || config.aws.secret_access_key.empty()) {
    return Needs(kS3,
                 "aws.access_key_id (AWS_ACCESS_KEY_ID) and aws.secret_access_key "
                 "(AWS_SECRET_ACCESS_KEY)");
  }
  Credentials credentials;
  credentials.s3 = {config.aws.access_key_id, config.aws.secret_access_key,
                    config.aws.session_token};
  return credentials;
}

absl::StatusOr<Credentials> GcsKeys(const StorageConfig& config) {
  if (config.gcs.credentials_file.empty()) {
    return Needs(kGcs, "gcs.credentials_file (GOOGLE_APPLICATION_CREDENTIALS)");
  }
  const absl::StatusOr<std::string> text =
      base::ReadFile(config.gcs.credentials_file, kCredentialsBytesMax);
  if (!text.ok()) return base::Annotate(text.status(), "gcs.credentials_file");
  absl::StatusOr<Credentials> parsed = objstore::ParseCredentials(objstore::Dialect::kGcs, *text);
  if (!parsed.ok()) return base::Annotate(parsed.status(), config.gcs.credentials_file);
  return parsed;
}

absl::StatusOr<Credentials> AzureKeys(const StorageConfig& config) {
  const StorageConfig::Azure& azure = config.azure;
  if (azure.account.empty() || azure.key.empty() == azure.sas_token.empty()) {
    return Needs("azure",
                 "azure.account (AZURE_STORAGE_ACCOUNT) and one of azure.key (AZURE_STORAGE_KEY) "
                 "and azure.sas_token (AZURE_STORAGE_SAS_TOKEN)");
  }
  Credentials credentials;
  credentials.azure = {azure.account, azure.key,
                       std::string(absl::StripPrefix(azure.sas_token, "?"))};
  return credentials;
}

absl::StatusOr<objstore::StoreUrl> CloudUrl(absl::string_view scheme, const StorageConfig& config,
                                            absl::string_view folder) {
  std::vector<std::string> parameters;
  const auto add = [&](absl::string_view name, const std::string& value) {
    if (value.empty()) return;
    parameters.push_back(absl::StrCat(name, "=", http::PercentEncode(value)));
  };
  if (scheme == kS3) {
    add("region", config.aws.region);
    add("endpoint", config.aws.endpoint);
    add("style", config.aws.style);
    add("checksum", config.aws.checksum ? "" : "no");
  } else if (scheme == kGcs) {
    add("endpoint", config.gcs.endpoint);
  } else {
    add("account", config.azure.account);
    add("endpoint", config.azure.endpoint);
  }
  return objstore::StoreUrl::Parse(absl::StrCat(
      scheme, "://", folder, parameters.empty() ? "" : "?", absl::StrJoin(parameters, "&")));
}

struct Cloud {
  std::unique_ptr<http::Client> client;
  std::unique_ptr<objstore::ObjectStore> store;  // borrows the client
};

absl::StatusOr<std::shared_ptr<objstore::ObjectStore>> OpenCloud(const objstore::StoreUrl& url,
                                                                 const Credentials& credentials,
                                                                 const http::ClientOptions& options,
                                                                 base::Clock& clock) {
  auto cloud = std::make_shared<Cloud>();
  CEDANA_ASSIGN_OR_RETURN(cloud->client, http::Client::Create(options));
  CEDANA_ASSIGN_OR_RETURN(cloud->store,
                          objstore::OpenStore(url, credentials, cloud->client.get(), &clock));
  return std::shared_ptr<objstore::ObjectStore>(cloud, cloud->store.get());
}

HealthItem SetOrNot(std::string component, bool set) {
  HealthItem item{std::move(component), set ? "set" : "not set", {}, {}};
  if (!set) item.warnings.emplace_back("not set in the configuration");
  return item;
}

}  // namespace

absl::StatusOr<Place> OpenPlace(absl::string_view scheme, const StorageConfig& config,
                                absl::Duration data_stall, base::Clock& clock) {
  Place place;
  place.url = plugin::StorageUrl{std::string(scheme), config.folder}.ToString();
  if (config.folder.empty()) {
    place.calls = place.data = std::make_shared<NoFolder>();
    return place;
  }
  const absl::StatusOr<std::string> folder = transfer::NormaliseFolder(config.folder);
  if (!folder.ok()) return base::Annotate(folder.status(), place.url);
  if (absl::StrContains(*folder, '?') || absl::StrContains(*folder, '#')) {
    return absl::InvalidArgumentError(absl::StrCat(
        place.url, ": settings of a storage go to the configuration, not behind a '?' or '#'"));
  }
  if (scheme == kFile) {
    place.calls = place.data = std::make_shared<FolderStore>(absl::StrCat("/", *folder));
    return place;
  }
  const absl::StatusOr<objstore::StoreUrl> url = CloudUrl(scheme, config, *folder);
  if (!url.ok()) return base::Annotate(url.status(), place.url);
  CEDANA_ASSIGN_OR_RETURN(const Credentials credentials, scheme == kS3    ? S3Keys(config, *url)
                                                         : scheme == kGcs ? GcsKeys(config)
                                                                          : AzureKeys(config));
  http::ClientOptions client;
  client.user_agent = absl::StrCat("cedana/", BuildVersion());
  // A private authority vouches for a private endpoint, not for the clouds' own.
  if (!url->endpoint.empty()) client.ca_file = config.ca_file;
  client.connections_max = config.connections + kConnectionsSpare;
  CEDANA_ASSIGN_OR_RETURN(place.calls, OpenCloud(*url, credentials, client, clock));
  client.stall_timeout = data_stall;
  CEDANA_ASSIGN_OR_RETURN(place.data, OpenCloud(*url, credentials, client, clock));
  return place;
}

std::vector<HealthItem> DescribeSettings(absl::string_view scheme, const StorageConfig& config) {
  if (scheme == kFile) return {};
  if (scheme == kS3) {
    HealthItem region{"AWS Region", config.aws.region, {}, {}};
    if (config.aws.region.empty()) {
      region.data = "not set";
      region.warnings.emplace_back("us-east-1 is taken");
    }
    bool id = !config.aws.access_key_id.empty();
    bool secret = !config.aws.secret_access_key.empty();
    absl::Status elsewhere;
    if (!id && !secret) {  // as S3Keys takes them
      elsewhere = objstore::LoadCredentials({.dialect = objstore::Dialect::kS3}).status();
      id = secret = elsewhere.ok();
    }
    std::vector<HealthItem> items = {SetOrNot("AWS AccessKeyID", id),
                                     SetOrNot("AWS SecretAccessKey", secret), std::move(region)};
    if (!elsewhere.ok() && !absl::IsUnauthenticated(elsewhere)) {
      items[0].warnings = {std::string(elsewhere.message())};
    }
    if (!config.aws.endpoint.empty()) items.push_back({"endpoint", config.aws.endpoint, {}, {}});
    if (!config.aws.style.empty()) items.push_back({"style", config.aws.style, {}, {}});
    if (!config.aws.checksum) items.push_back({"checksum", "Content-MD5", {}, {}});
    return items;
  }
  if (scheme == kGcs) {
    return {SetOrNot("credentials file", !config.gcs.credentials_file.empty())};
  }
  return {SetOrNot("account", !config.azure.account.empty()),
          SetOrNot("key or SAS", !config.azure.key.empty() || !config.azure.sas_token.empty())};
}

}  // namespace cedana::direct
