// `storage collect`. Runs here, without the daemon: the rights and settings of whoever calls it.
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "cedana/cli/command.h"
#include "cedana/cli/flags.h"
#include "cedana/cli/format.h"
#include "cedana/cli/yaml.h"
#include "cedana/plugin/loader.h"
#include "cedana/plugin/storage_config.h"
#include "core/base/status.h"

namespace cedana::cli {
namespace {

using Json = nlohmann::ordered_json;

// A million objects, at some 250 a second.
constexpr absl::Duration kCollectTimeout = absl::Hours(2);

struct CollectFlags {
  bool dry_run = false;
  std::string output = "text";
};

absl::StatusOr<int> Collect(Session& session, const CollectFlags& flags, const std::string& text) {
  CEDANA_ASSIGN_OR_RETURN(const plugin::StorageUrl url, plugin::ParseStorageUrl(text));
  // For ever, because it may have loaded what still runs on other threads.
  static auto& plugins = *new plugin::StoragePlugins(session.config.Text("plugins.lib_dir"));
  CEDANA_ASSIGN_OR_RETURN(
      const auto storage,
      plugins.Open(url.scheme, plugin::ForFolder(plugin::ReadStorageConfig(session.config), url)));
  absl::StatusOr<plugin::CollectReport> report =
      storage->Collect(base::Context().WithTimeout(kCollectTimeout), flags.dry_run);
  if (!report.ok()) return base::Annotate(report.status(), url.ToString());
  if (IsJson(flags.output)) {
    session.terminal.Out(ToJsonText(Json{{"kept_checkpoints", report->kept_checkpoints},
                                         {"deleted_checkpoints", report->deleted_checkpoints},
                                         {"ended_saves", report->ended_saves},
                                         {"small_objects", report->small_objects},
                                         {"packs", report->packs},
                                         {"pack_bytes", report->pack_bytes}}));
    return 0;
  }
  session.terminal.OutLine(
      absl::StrCat(flags.dry_run ? "Would remove " : "Removed ", report->packs, " packs (",
                   SizeText(static_cast<int64_t>(report->pack_bytes)), "), of ",
                   report->deleted_checkpoints, " deleted checkpoints and ", report->ended_saves,
                   " unfinished dumps; ", report->kept_checkpoints, " checkpoints are kept"));
  return 0;
}

RunCommand PrepareCollect(CLI::App& app) {
  auto flags = std::make_shared<CollectFlags>();
  app.add_flag("--dry-run", flags->dry_run, "only say what would be removed");
  AddOutput(app, &flags->output);
  return [flags](Session& session, const std::vector<std::string>& arguments) {
    return Collect(session, *flags, arguments[0]);
  };
}

}  // namespace

std::vector<Command> StorageCommands() {
  return {
      {.path = "storage collect",
       .arguments = "<URL>",
       .summary = "Remove what nothing needs from a storage that no service collects",
       .arguments_min = 1,
       .arguments_max = 1,
       .prepare = PrepareCollect},
  };
}

}  // namespace cedana::cli
