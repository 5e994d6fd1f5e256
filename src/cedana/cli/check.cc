// `check` and `daemon check`.
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cedana/cli/client_internal.h"
#include "cedana/cli/command.h"
#include "cedana/cli/flags.h"
#include "cedana/cli/health_table.h"
#include "cedana/cli/yaml.h"
#include "cedana/health/health_wire.h"
#include "core/base/status.h"

namespace cedana::cli {
namespace {

using health::HealthGroup;
using Json = nlohmann::ordered_json;

struct CheckFlags {
  bool full = false;
  std::string output = "text";
};

HealthGroup CheckDaemon(const config::Config& config) {
  plugin::HealthItem item{"address", config.DaemonAddress(), {}, {}};
  const auto client = Client::Connect(config);
  if (!client.ok()) item.errors.emplace_back(client.status().message());
  return {"daemon", {item}};
}

absl::StatusOr<int> Report(const Session& session, const std::vector<HealthGroup>& groups,
                           const std::string& output) {
  const HealthCounts counts = CountHealth(groups);
  const Terminal& terminal = session.terminal;
  if (IsJson(output)) {
    Json list = Json::array();
    for (const HealthGroup& group : groups) {
      Json items = Json::array();
      for (const plugin::HealthItem& item : group.items) {
        items.push_back({{"name", item.component},
                         {"data", item.data},
                         {"errors", item.errors},
                         {"warnings", item.warnings}});
      }
      list.push_back({{"name", group.name}, {"components", items}});
    }
    terminal.Out(ToJsonText(list));
  } else {
    terminal.Out(HealthTable(groups, terminal.color_out()));
  }
  if (counts.errors > 0) {
    std::string text = absl::StrCat("Failed with ", counts.errors, " error(s)");
    if (counts.warnings > 0) absl::StrAppend(&text, " and ", counts.warnings, " warning(s)");
    return absl::FailedPreconditionError(absl::StrCat(text, "."));
  }
  if (!IsJson(output)) {
    terminal.OutLine("");
    terminal.OutLine(counts.warnings > 0
                         ? absl::StrCat("Looks good, with ", counts.warnings, " warning(s).")
                         : "All good.");
  }
  return 0;
}

absl::StatusOr<int> Check(Session& session, const CheckFlags& flags) {
  std::vector<HealthGroup> groups = health::CheckAll(session.config, flags.full);
  if (flags.full) groups.push_back(CheckDaemon(session.config));
  return Report(session, groups, flags.output);
}

absl::StatusOr<int> DaemonCheck(Session& session, const CheckFlags& flags) {
  CEDANA_ASSIGN_OR_RETURN(std::unique_ptr<Client> client, Client::Connect(session.config));
  daemon_api::HealthCheckReq request;
  request.set_full(flags.full);
  daemon_api::HealthCheckResp response;
  CEDANA_RETURN_IF_ERROR(
      client->Call(&daemon_api::Daemon::Stub::HealthCheck, request, &response, kHealthTimeout));
  return Report(session, health::FromWire(response), flags.output);
}

template <typename Function>
RunCommand Prepare(CLI::App& app, Function check) {
  auto flags = std::make_shared<CheckFlags>();
  app.add_flag("--full", flags->full, "the storage plugins too, with a probe of the storage");
  AddOutput(app, &flags->output);
  return [flags, check](Session& session, const std::vector<std::string>&) {
    return check(session, *flags);
  };
}

}  // namespace

std::vector<Command> CheckCommands() {
  return {
      {.path = "check",
       .summary = "Check that this machine can dump and restore, without the daemon",
       .prepare = [](CLI::App& app) { return Prepare(app, Check); }},
      {.path = "daemon check",
       .summary = "Ask the daemon whether it can dump and restore",
       .prepare = [](CLI::App& app) { return Prepare(app, DaemonCheck); }},
  };
}

}  // namespace cedana::cli
