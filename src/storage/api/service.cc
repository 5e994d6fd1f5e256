#include "storage/api/service.h"

#include <algorithm>
#include <functional>
#include <initializer_list>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "storage/api/handlers.h"
#include "storage/metadata/tokens.h"

namespace cedana::api {
namespace {

// A call may work for so long after its last wait for the client; bulk transfers are bounded by the
// server's own I/O timeout.
constexpr absl::Duration kCallTimeout = absl::Minutes(2);
constexpr size_t kRequestIdBytesMax = 64;

using OrgHandler = absl::Status (*)(Call&, OrgCatalog&);
using VaultHandler = absl::Status (*)(Call&, const replica::Vault&);
using PartsHandler = absl::Status (*)(Call&, const ServiceParts&);
using BulkHandler = absl::Status (*)(Call&, const replica::Vault&, BulkSlots&);

// Segments of the path: "*" is any one, a last "**" any number (none included).
struct Route {
  const char* method;
  std::initializer_list<absl::string_view> path;
};

bool Matches(const Route& route, const std::string& method,
             const std::vector<std::string>& segments) {
  if (method != route.method) return false;
  size_t i = 0;
  for (const absl::string_view part : route.path) {
    if (part == "**") return true;
    if (i >= segments.size() || (part != "*" && part != segments[i])) return false;
    ++i;
  }
  return i == segments.size();
}

struct OrgRoute {
  Route route;
  OrgHandler handler;
};
const OrgRoute kOrgRoutes[] = {
    {{"PUT", {"v3", "saves", "*"}}, BeginSave},
    {{"GET", {"v3", "saves", "*"}}, GetSave},
    {{"POST", {"v3", "saves", "*", "heartbeat"}}, HeartbeatSave},
    {{"POST", {"v3", "saves", "*", "grants"}}, GrantUploads},
    {{"POST", {"v3", "saves", "*", "commit"}}, CommitSave},
    {{"POST", {"v3", "saves", "*", "abort"}}, AbortSave},
    {{"POST", {"v3", "checkpoints", "open"}}, OpenCheckpoint},
    {{"GET", {"v3", "checkpoints"}}, ListCheckpoints},
    {{"DELETE", {"v3", "checkpoints"}}, DeleteCheckpoint},
    {{"POST", {"v3", "leases", "*", "heartbeat"}}, HeartbeatLease},
    {{"POST", {"v3", "leases", "*", "grants"}}, GrantReads},
    {{"DELETE", {"v3", "leases", "*"}}, CloseLease},
    {{"GET", {"v2", "user"}}, GetUser},
    {{"GET", {"v2", "files", "dir", "**"}}, ListFolder},
    {{"GET", {"v2", "files", "**"}}, GetFile},
    {{"PUT", {"v2", "files", "**"}}, PutFile},
    {{"DELETE", {"v3", "files"}}, DeleteFile},
};

struct VaultRoute {
  Route route;
  VaultHandler handler;
};
const VaultRoute kGrantRoutes[] = {
    {{"PUT", {"v3", "objects", "*", "*", "**"}}, PutObject},
    {{"GET", {"v3", "objects", "*", "*", "**"}}, GetObject},
};

struct BulkRoute {
  Route route;
  BulkHandler handler;
};
const BulkRoute kBulkRoutes[] = {
    {{"GET", {"v2", "data", "*"}}, GetData},
    {{"HEAD", {"v2", "data", "*"}}, GetData},
    {{"PUT", {"v2", "data", "*"}}, PutData},
};
const VaultRoute kOperatorRoutes[] = {
    {{"POST", {"v3", "admin", "orgs"}}, CreateOrganisation},
    {{"GET", {"v3", "admin", "orgs"}}, ListOrganisations},
    {{"POST", {"v3", "admin", "tokens"}}, CreateToken},
    {{"GET", {"v3", "admin", "tokens"}}, ListTokens},
    {{"DELETE", {"v3", "admin", "tokens", "*"}}, RevokeToken},
};
struct PartsRoute {
  Route route;
  PartsHandler handler;
};
const PartsRoute kOperatorPartsRoutes[] = {
    {{"POST", {"v3", "admin", "collect"}}, Collect},
    {{"GET", {"v3", "admin", "providers"}}, ListProviders},
    {{"POST", {"v3", "admin", "providers"}}, AddProvider},
    {{"POST", {"v3", "admin", "providers", "*", "test"}}, TestProvider},
    {{"DELETE", {"v3", "admin", "providers", "*"}}, RemoveProvider},
    {{"GET", {"v3", "admin", "policies"}}, ShowPolicy},
    {{"PUT", {"v3", "admin", "policies"}}, SetPolicy},
    {{"GET", {"v3", "admin", "status"}}, GetStatus},
    {{"POST", {"v3", "admin", "repair"}}, Repair},
    {{"GET", {"metrics"}}, GetMetrics},
};
constexpr char kWrongToken[] = "token: does not have this right";

absl::StatusOr<metadata::Token> JudgeToken(const Call& call, const replica::Vault& vault) {
  const std::string* header = call.request().Header("authorization");
  absl::string_view text;
  if (header != nullptr) text = *header;
  if (!absl::ConsumePrefix(&text, "Bearer ")) text = "";
  return metadata::Authenticate(vault.metadata->identities(), std::string(text));
}

// A path as the log may show it: a grant is an authorisation, and who revokes a token may have
// given all of it.
std::string LoggedPath(const http::ServerRequest& request) {
  for (const absl::string_view secret : {"/v2/data/", "/v3/admin/tokens/"}) {
    if (absl::StartsWith(request.path, secret)) return absl::StrCat(secret, "…");
  }
  return request.path;
}

// The client's own, so that its log and ours speak of the same, else one that is drawn.
std::string RequestId(const http::ServerRequest& request, base::Random& random) {
  const std::string* given = request.Header("x-request-id");
  const bool good = given != nullptr && !given->empty() && given->size() <= kRequestIdBytesMax &&
                    std::all_of(given->begin(), given->end(), [](char c) {
                      return absl::ascii_isalnum(c) || c == '-' || c == '_';
                    });
  if (good) return *given;
  uint8_t id[8];
  random.Fill(id, sizeof(id));
  return base::HexEncode(id, sizeof(id));
}

absl::Status Health(Call& call, const replica::Vault& vault) {
  if (call.segments()[0] == "healthz") {
    return call.Send(200, {{"Content-Type", "text/plain"}}, "ok\n");
  }
  CEDANA_RETURN_IF_ERROR(vault.metadata->Ping());
  absl::Status providers = vault.providers->Ping(call.context());
  if (!providers.ok()) return absl::UnavailableError(providers.message());
  return call.Send(200, {{"Content-Type", "text/plain"}}, "ready\n");
}

}  // namespace

void Service::Handle(http::Exchange& exchange) {
  const absl::Duration started = vault_.clock->Monotonic();
  absl::StatusOr<std::vector<std::string>> segments = exchange.request().Segments();
  Call call(exchange, RequestId(exchange.request(), *vault_.random),
            segments.ok() ? *segments : std::vector<std::string>(),
            base::Context{}.WithTimeout(kCallTimeout));
  const absl::Status result = segments.ok() ? Dispatch(call) : segments.status();
  if (!result.ok() && call.answered() == 0) call.SendError(result).IgnoreError();
  const http::ServerRequest& request = exchange.request();
  requests_.Answered(call.answered());
  const bool failed = call.answered() >= 500 || (!result.ok() && call.answered() < 300);
  const bool quiet = request.path == "/healthz" || request.path == "/readyz";
  base::Log(failed  ? base::LogLevel::kWarn
            : quiet ? base::LogLevel::kDebug
                    : base::LogLevel::kInfo,
            "request",
            {{"request", call.request_id()},
             {"peer", request.peer},
             {"method", request.method},
             {"path", LoggedPath(request)},
             {"status", call.answered()},
             {"received_bytes", call.received_bytes()},
             {"sent_bytes", call.sent_bytes()},
             {"ms", absl::ToInt64Milliseconds(vault_.clock->Monotonic() - started)},
             {"error", result.ok() ? "-" : result.message()}});
}

absl::Status Service::DispatchPublic(Call& call, bool* found) {
  const std::vector<std::string>& segments = call.segments();
  const std::string& method = call.request().method;
  *found = true;
  if (segments.size() == 1 && (method == "GET" || method == "HEAD") &&
      (segments[0] == "healthz" || segments[0] == "readyz")) {
    return Health(call, vault_);
  }
  for (const VaultRoute& route : kGrantRoutes) {
    if (Matches(route.route, method, segments)) return route.handler(call, vault_);
  }
  for (const BulkRoute& route : kBulkRoutes) {
    if (Matches(route.route, method, segments)) return route.handler(call, vault_, bulk_slots_);
  }
  *found = false;
  return absl::OkStatus();
}

absl::Status Service::Dispatch(Call& call) {
  bool found = false;
  if (const absl::Status status = DispatchPublic(call, &found); found) return status;
  // Whoever has no token learns nothing, not even which calls there are.
  CEDANA_ASSIGN_OR_RETURN(const metadata::Token token, JudgeToken(call, vault_));
  const std::vector<std::string>& segments = call.segments();
  const std::string& method = call.request().method;
  for (const OrgRoute& route : kOrgRoutes) {
    if (!Matches(route.route, method, segments)) continue;
    if (!token.organisation.has_value()) return absl::PermissionDeniedError(kWrongToken);
    OrgCatalog catalog(&vault_, *token.organisation);
    const absl::Status handled = route.handler(call, catalog);
    if (route.handler == CommitSave && handled.ok()) requests_.Committed();
    return handled;
  }
  if (Matches({"POST", {"v3", "leases", "*", "damage"}}, method, segments)) {
    if (!token.organisation.has_value()) return absl::PermissionDeniedError(kWrongToken);
    OrgCatalog catalog(&vault_, *token.organisation);
    return ReportDamage(call, catalog, *parts_.repairer);
  }
  for (const VaultRoute& route : kOperatorRoutes) {
    if (!Matches(route.route, method, segments)) continue;
    if (token.organisation.has_value()) return absl::PermissionDeniedError(kWrongToken);
    return route.handler(call, vault_);
  }
  for (const PartsRoute& route : kOperatorPartsRoutes) {
    if (!Matches(route.route, method, segments)) continue;
    if (token.organisation.has_value()) return absl::PermissionDeniedError(kWrongToken);
    return route.handler(call, parts_);
  }
  return absl::NotFoundError("no such call");
}

}  // namespace cedana::api
