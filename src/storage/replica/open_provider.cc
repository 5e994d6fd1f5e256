// From an operator's words to a provider.
#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/json.h"
#include "core/base/status.h"
#include "core/http/client.h"
#include "core/objstore/credentials.h"
#include "core/objstore/open_store.h"
#include "core/objstore/store_url.h"
#include "storage/replica/registry.h"

namespace cedana::replica {
namespace {

constexpr size_t kNameBytesMax = 63;
// Probes and reads want to know soon; a bulk transfer that moves is never cut by this.
constexpr absl::Duration kStall = absl::Seconds(10);
constexpr int kConnections = 16;

bool GoodName(const std::string& name) {
  return !name.empty() && name.size() <= kNameBytesMax &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

// Each cloud has connections of its own, so that a dark one holds none of another's.
struct Cloud {
  std::unique_ptr<http::Client> client;
  std::unique_ptr<objstore::ObjectStore> store;  // borrows the client
};

absl::Status OpenCloud(const objstore::StoreUrl& url, const std::string& secrets,
                       Provider* provider) {
  CEDANA_ASSIGN_OR_RETURN(const objstore::Credentials credentials,
                          secrets.empty() ? objstore::LoadCredentials(url)
                                          : objstore::ParseCredentials(url.dialect, secrets));
  auto cloud = std::make_shared<Cloud>();
  CEDANA_ASSIGN_OR_RETURN(cloud->client, http::Client::Create({.user_agent = "cedana-storage",
                                                               .stall_timeout = kStall,
                                                               .connections_max = kConnections}));
  CEDANA_ASSIGN_OR_RETURN(cloud->store, objstore::OpenStore(url, credentials, cloud->client.get()));
  provider->store = std::shared_ptr<objstore::ObjectStore>(cloud, cloud->store.get());
  return absl::OkStatus();
}

absl::StatusOr<Provider> Open(const ProviderSpec& spec) {
  CEDANA_ASSIGN_OR_RETURN(const objstore::StoreUrl url, objstore::StoreUrl::Parse(spec.url));
  Provider provider{
      .name = spec.name, .domain = url.FailureDomain(), .url = spec.url, .dialect = url.dialect};
  if (url.dialect == objstore::Dialect::kDirectory) {
    CEDANA_ASSIGN_OR_RETURN(std::unique_ptr<objstore::DirectoryStore> store,
                            objstore::DirectoryStore::Open(url.path));
    provider.directory = store.get();
    provider.store = std::move(store);
  } else {
    CEDANA_RETURN_IF_ERROR(OpenCloud(url, spec.credentials, &provider));
  }
  provider.capabilities = provider.store->capabilities();
  return provider;
}

// "https://Host:443/path" and "http://host/path" are one server.
std::string ServerOf(const objstore::StoreUrl& url) {
  const std::string endpoint = absl::AsciiStrToLower(url.EndpointUrl());
  absl::string_view rest = endpoint;
  const bool secure = absl::ConsumePrefix(&rest, "https://");
  absl::ConsumePrefix(&rest, "http://");
  const size_t slash = std::min(rest.find('/'), rest.size());
  absl::string_view host = rest.substr(0, slash);
  absl::ConsumeSuffix(&host, secure ? ":443" : ":80");
  return absl::StrCat(host, rest.substr(slash));
}

}  // namespace

absl::StatusOr<std::string> PlaceOf(const ProviderSpec& spec) {
  CEDANA_ASSIGN_OR_RETURN(objstore::StoreUrl url, objstore::StoreUrl::Parse(spec.url));
  if (url.dialect == objstore::Dialect::kDirectory) {
    std::error_code error;
    const std::filesystem::path real = std::filesystem::weakly_canonical(url.path, error);
    const std::string path = error ? url.path : real.string();
    return absl::StrCat("file:", path == "/" ? "" : path);
  }
  if (url.dialect == objstore::Dialect::kAzure && url.account.empty()) {
    const auto credentials = spec.credentials.empty()
                                 ? objstore::LoadCredentials(url)
                                 : objstore::ParseCredentials(url.dialect, spec.credentials);
    if (credentials.ok() && credentials->azure) url.account = credentials->azure->account;
  }
  std::string place = absl::StrCat(objstore::DialectName(url.dialect), ":", ServerOf(url), "/");
  if (!url.account.empty()) absl::StrAppend(&place, url.account, "/");
  absl::StrAppend(&place, url.bucket);
  if (!url.prefix.empty()) absl::StrAppend(&place, "/", url.prefix);
  return place;
}

absl::StatusOr<ProviderSpec> ParseProvider(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || !GoodName(text.substr(0, equals))) {
    return absl::InvalidArgumentError(
        "provider: NAME=URL is wanted, the name of a-z, 0-9 and -, the URL like file:///PATH or "
        "s3://BUCKET/PREFIX");
  }
  ProviderSpec spec{text.substr(0, equals), text.substr(equals + 1), ""};
  const absl::Status good = objstore::StoreUrl::Parse(spec.url).status();
  if (!good.ok()) return base::Annotate(good, absl::StrCat("provider ", spec.name));
  return spec;
}

absl::StatusOr<std::vector<ProviderSpec>> ParseProviders(const std::string& json) {
  CEDANA_ASSIGN_OR_RETURN(const base::Json parsed, base::ParseJson(json));
  const base::Json list = base::Member(parsed, "providers");
  if (!list.is_array() || list.size() > kProvidersMax) {
    return absl::InvalidArgumentError("\"providers\" must be a short array");
  }
  std::vector<ProviderSpec> specs;
  for (const base::Json& item : list) {
    CEDANA_ASSIGN_OR_RETURN(const std::string name, base::GetString(item, "name"));
    CEDANA_ASSIGN_OR_RETURN(const std::string url, base::GetString(item, "url"));
    CEDANA_ASSIGN_OR_RETURN(ProviderSpec spec, ParseProvider(absl::StrCat(name, "=", url)));
    specs.push_back(std::move(spec));
  }
  return specs;
}

absl::StatusOr<Provider> OpenProvider(const ProviderSpec& spec) {
  absl::StatusOr<Provider> opened = Open(spec);
  if (!opened.ok()) return base::Annotate(opened.status(), absl::StrCat("provider ", spec.name));
  return opened;
}

}  // namespace cedana::replica
