#include "cedana/remote/cedana_backend.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "cedana/remote/grant_sink.h"
#include "cedana/remote/grant_source.h"
#include "cedana/remote/probe.h"
#include "cedana/remote/service_url.h"
#include "core/base/status.h"
#include "core/build_id.h"

namespace cedana::remote {
namespace {

// Spare connections beside the parallel transfers.
constexpr int kConnectionsSpare = 2;

absl::Status Missing() {
  return absl::InvalidArgumentError(
      "cedana:// needs two settings: connection.url (CEDANA_URL) and connection.auth_token "
      "(CEDANA_AUTH_TOKEN)");
}

absl::StatusOr<std::string> ParseToken(absl::string_view token) {
  token = absl::StripAsciiWhitespace(token);  // as read from a file with its last line's end
  if (!std::all_of(token.begin(), token.end(), absl::ascii_isgraph)) {
    return absl::InvalidArgumentError(
        "connection.auth_token (CEDANA_AUTH_TOKEN) holds characters that no token has");
  }
  return std::string(token);
}

}  // namespace

absl::StatusOr<std::unique_ptr<CedanaBackend>> CedanaBackend::Create(
    const plugin::StorageConfig& config, const RemoteOptions& options) {
  CEDANA_ASSIGN_OR_RETURN(std::string token, ParseToken(config.auth_token));
  if (absl::StripAsciiWhitespace(config.url).empty() || token.empty()) return Missing();
  CEDANA_ASSIGN_OR_RETURN(std::string origin, ParseServiceUrl(config.url));
  http::ClientOptions client;
  client.ca_file = config.ca_file;
  client.user_agent = absl::StrCat("cedana/", BuildVersion());
  CEDANA_ASSIGN_OR_RETURN(std::unique_ptr<http::Client> call_client, http::Client::Create(client));
  client.stall_timeout = options.data_stall;
  client.connections_max = std::max(1, config.connections) + kConnectionsSpare;
  CEDANA_ASSIGN_OR_RETURN(std::unique_ptr<http::Client> data_client, http::Client::Create(client));
  return std::unique_ptr<CedanaBackend>(new CedanaBackend(std::move(origin), std::move(token),
                                                          config.operation, std::move(call_client),
                                                          std::move(data_client), options));
}

CedanaBackend::CedanaBackend(std::string origin, std::string token, std::string operation,
                             std::unique_ptr<http::Client> call_client,
                             std::unique_ptr<http::Client> data_client,
                             const RemoteOptions& options)
    : options_(options),
      health_(options.health != nullptr ? options.health
                                        : std::make_shared<ProviderHealth>(options.services.clock)),
      call_client_(std::move(call_client)),
      data_client_(std::move(data_client)),
      api_(std::move(origin), std::move(token), call_client_.get(), std::move(operation)),
      catalog_(&api_, options.call, options.services) {}

std::unique_ptr<transfer::PackSink> CedanaBackend::OpenSink(const base::SaveId& save) {
  return std::make_unique<GrantSink>(save, &api_, data_client_.get(), health_.get(), options_.put,
                                     options_.services);
}

std::unique_ptr<transfer::PackSource> CedanaBackend::OpenSource(const base::LeaseId& lease) {
  return std::make_unique<GrantSource>(lease, &api_, data_client_.get(), health_.get(),
                                       ReadPolicies{options_.read, options_.call},
                                       options_.services);
}

std::vector<plugin::HealthItem> CedanaBackend::Check(const base::Context& context, bool full) {
  std::vector<plugin::HealthItem> items;
  items.push_back({"URL", api_.origin(), {}, {}});

  // One attempt: who checks wants to see the state as it is.
  const absl::StatusOr<std::string> user =
      api_.CallText(context.WithTimeout(options_.call.give_up_after), "GET", "/v2/user");
  const bool refused =
      absl::IsUnauthenticated(user.status()) || absl::IsPermissionDenied(user.status());
  plugin::HealthItem token{"auth token",
                           user.ok() ? "valid"
                           : refused ? "invalid"
                                     : "unknown",
                           {},
                           {}};
  if (!user.ok()) token.errors.emplace_back(user.status().message());
  items.push_back(std::move(token));
  if (!full) return items;

  plugin::HealthItem probe{"storage probe", "failed", {}, {}};
  if (!user.ok()) {
    probe.data = "skipped";
  } else {
    const absl::StatusOr<absl::Duration> took =
        ProbeStorage(context.WithTimeout(options_.probe_timeout), *this, options_.services);
    if (took.ok()) probe.data = absl::StrCat(absl::ToInt64Milliseconds(*took), " ms");
    if (!took.ok()) probe.errors.emplace_back(took.status().message());
  }
  items.push_back(std::move(probe));
  return items;
}

}  // namespace cedana::remote
