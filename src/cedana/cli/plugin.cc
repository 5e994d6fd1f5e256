// `plugin list|install|remove`.
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "cedana/cli/client_internal.h"
#include "cedana/cli/command.h"
#include "cedana/cli/flags.h"
#include "cedana/cli/format.h"
#include "cedana/cli/table.h"
#include "cedana/cli/yaml.h"
#include "cedana/plugin/registry.h"
#include "core/base/status.h"

namespace cedana::cli {
namespace {

using Json = nlohmann::ordered_json;
using plugin::PluginInfo;
using plugin::PluginStatus;

constexpr char kNone[] = "-";

plugin::Registry OpenRegistry(const config::Config& config) {
  plugin::RegistryOptions options;
  options.bin_dir = config.Text("plugins.bin_dir");
  options.lib_dir = config.Text("plugins.lib_dir");
  options.local_search_path = config.Text("plugins.local_search_path");
  return plugin::Registry(std::move(options));
}

Color StatusColor(PluginStatus status) {
  switch (status) {
    case PluginStatus::kInstalled:
      return Color::kGreen;
    case PluginStatus::kOutdated:
      return Color::kYellow;
    case PluginStatus::kAvailable:
      return Color::kBlue;
    case PluginStatus::kMissing:
      return Color::kGrey;
  }
  return Color::kNone;
}

std::string OrNone(const std::string& text) { return text.empty() ? kNone : text; }

Json PluginsJson(const std::vector<PluginInfo>& plugins) {
  Json list = Json::array();
  for (const PluginInfo& info : plugins) {
    list.push_back({{"name", std::string(info.plugin->name)},
                    {"type", std::string(info.plugin->type)},
                    {"status", std::string(plugin::StatusName(info.status))},
                    {"installed_version", info.installed_version},
                    {"available_version", info.available_version},
                    {"available_in", info.available_in},
                    {"size", info.bytes}});
  }
  return list;
}

absl::StatusOr<int> List(Session& session, const std::string& output,
                         const std::vector<std::string>& names) {
  const plugin::Registry registry = OpenRegistry(session.config);
  std::vector<PluginInfo> plugins;
  if (names.empty()) plugins = registry.List();
  for (const std::string& name : names) {
    CEDANA_ASSIGN_OR_RETURN(PluginInfo info, registry.Find(name.substr(0, name.find('@'))));
    plugins.push_back(std::move(info));
  }
  const Terminal& terminal = session.terminal;
  if (IsJson(output)) {
    terminal.Out(ToJsonText(PluginsJson(plugins)));
    return 0;
  }
  if (plugins.empty()) {
    terminal.OutLine("No plugins to show");
    return 0;
  }
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"plugin"},
               {"size", kRight},
               {"status"},
               {"installed version"},
               {"available version"},
               {"published", kRight}});
  int installed = 0;
  int available = 0;
  for (const PluginInfo& info : plugins) {
    installed += info.installed_version.empty() ? 0 : 1;
    available += info.status == PluginStatus::kAvailable ? 1 : 0;
    table.Add({std::string(info.plugin->name), info.bytes > 0 ? SizeText(info.bytes) : kNone,
               Cell(std::string(plugin::StatusName(info.status)), StatusColor(info.status)),
               OrNone(info.installed_version), OrNone(info.available_version), kNone});
  }
  terminal.Out(table.Render(terminal.color_out()));
  terminal.OutLine(absl::StrCat("\n", installed, " installed, ", available, " available"));
  return 0;
}

// A running daemon looks at the files itself; being told now only makes its next answer quicker.
void TellDaemon(const Session& session) {
  const absl::StatusOr<std::unique_ptr<Client>> client = Client::Connect(session.config);
  if (!client.ok()) return;
  daemon_api::Empty empty;
  daemon_api::Empty response;
  (*client)
      ->Call(&daemon_api::Daemon::Stub::ReloadPlugins, empty, &response, kJobTimeout)
      .IgnoreError();
}

absl::StatusOr<int> Install(Session& session, const std::vector<std::string>& names) {
  const plugin::Registry registry = OpenRegistry(session.config);
  size_t installed = 0;
  size_t failed = 0;
  for (const std::string& name : names) {
    const auto outcome = registry.Install(name);
    if (!outcome.ok()) {
      ++failed;
      if (names.size() == 1) return outcome.status();
      session.terminal.ErrLine(absl::StrCat(name, ": ", outcome.status().message()));
    } else if (*outcome == plugin::InstallOutcome::kAlreadyInstalled) {
      session.terminal.OutLine(absl::StrCat("Plugin ", name, " is already installed"));
    } else {
      ++installed;
      session.terminal.OutLine(absl::StrCat("Installed plugin ", name));
    }
  }
  if (installed > 0) TellDaemon(session);
  const std::string summary = absl::StrCat("Installed ", installed, " plugin(s)");
  if (failed > 0) return absl::InternalError(absl::StrCat(summary, ", ", failed, " failed"));
  session.terminal.OutLine(summary);
  return 0;
}

absl::StatusOr<int> Remove(Session& session, bool all, std::vector<std::string> names) {
  if (all != names.empty()) {
    return absl::InvalidArgumentError(all ? "name plugins or give --all, not both"
                                          : "name at least one plugin, or give --all");
  }
  const plugin::Registry registry = OpenRegistry(session.config);
  if (all) {
    for (const PluginInfo& info : registry.List()) {
      if (!info.installed_version.empty()) names.emplace_back(info.plugin->name);
    }
  }
  size_t removed = 0;
  size_t failed = 0;
  for (const std::string& name : names) {
    const absl::Status status = registry.Remove(name);
    if (status.ok()) {
      ++removed;
      session.terminal.OutLine(absl::StrCat("Removed plugin ", name));
      continue;
    }
    ++failed;
    if (names.size() == 1) return status;
    session.terminal.ErrLine(absl::StrCat(name, ": ", status.message()));
  }
  if (removed > 0) TellDaemon(session);
  const std::string summary = absl::StrCat("Removed ", removed, " plugins");
  if (failed > 0) return absl::InternalError(absl::StrCat(summary, ", ", failed, " failed"));
  session.terminal.OutLine(summary);
  return 0;
}

RunCommand PrepareList(CLI::App& app) {
  auto output = std::make_shared<std::string>("text");
  AddOutput(app, output.get());
  return [output](Session& session, const std::vector<std::string>& arguments) {
    return List(session, *output, arguments);
  };
}

RunCommand PrepareRemove(CLI::App& app) {
  auto all = std::make_shared<bool>(false);
  app.add_flag("-a,--all", *all, "all that are installed");
  return [all](Session& session, const std::vector<std::string>& arguments) {
    return Remove(session, *all, arguments);
  };
}

}  // namespace

std::vector<Command> PluginCommands() {
  return {
      {.path = "plugin list",
       .aliases = {"plugin ls", "plugins"},
       .arguments = "[name]...",
       .summary = "List the plugins, installed or at hand",
       .arguments_max = -1,
       .completes = "plugins",
       .prepare = PrepareList},
      {.path = "plugin install",
       .arguments = "<name[@version]>...",
       .summary = "Install plugins; a running daemon uses them at once",
       .arguments_min = 1,
       .arguments_max = -1,
       .completes = "plugins",
       .prepare = [](CLI::App&) -> RunCommand { return Install; }},
      {.path = "plugin remove",
       .arguments = "<name>...",
       .summary = "Remove plugins",
       .arguments_max = -1,
       .completes = "plugins",
       .prepare = PrepareRemove},
  };
}

}  // namespace cedana::cli
