// `daemon start`, `version` and `completion`.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "cedana/cli/command.h"
#include "cedana/cli/completion.h"
#include "cedana/cli/flags.h"
#include "cedana/cli/yaml.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "core/build_id.h"

namespace cedana::cli {
namespace {

absl::StatusOr<int> StartDaemon(Session& session, const std::string& db) {
  if (::geteuid() != 0) return absl::PermissionDeniedError("daemon must be run as root");
  if (!db.empty()) {
    CEDANA_RETURN_IF_ERROR(session.config.Set("db.path", AbsolutePath(db)));
  }
  const std::string format = session.config.Text("log_format");
  if (format != "text" && format != "json") {
    return absl::InvalidArgumentError(
        absl::StrCat("log_format ", format, ": text or json is wanted"));
  }
  base::InitLog("cedana", base::ParseLogLevel(session.config.Text("log_level")),
                base::ParseLogFormat(format));
  CEDANA_RETURN_IF_ERROR(session.run_daemon(session.config));
  return 0;
}

absl::StatusOr<int> Version(Session& session, const std::string& output) {
  if (IsJson(output)) {
    session.terminal.Out(ToJsonText({{"version", BuildVersion()}, {"build_id", BuildId()}}));
  } else {
    session.terminal.OutLine(BuildVersion());
  }
  return 0;
}

RunCommand PrepareStart(CLI::App& app) {
  auto db = std::make_shared<std::string>();
  app.add_option("--db", *db, "the job table (setting db.path)");
  return
      [db](Session& session, const std::vector<std::string>&) { return StartDaemon(session, *db); };
}

RunCommand PrepareVersion(CLI::App& app) {
  auto output = std::make_shared<std::string>("text");
  AddOutput(app, output.get());
  return [output](Session& session, const std::vector<std::string>&) {
    return Version(session, *output);
  };
}

RunCommand PrepareCompletion(CLI::App& app) {
  app.add_flag_callback(
      "--no-descriptions", [] {}, "accepted; there are none");
  return [](Session& session, const std::vector<std::string>& arguments) -> absl::StatusOr<int> {
    CEDANA_ASSIGN_OR_RETURN(const std::string script, CompletionScript(arguments[0]));
    session.terminal.Out(script);
    return 0;
  };
}

}  // namespace

std::vector<Command> ProgramCommands() {
  return {
      {.path = "daemon start",
       .summary = "Run the daemon, in the foreground, as root",
       .prepare = PrepareStart},
      {.path = "version", .summary = "Print the version", .prepare = PrepareVersion},
      {.path = "completion",
       .arguments = "<bash|zsh|fish>",
       .summary = "Print a script that completes commands, flags and jobs in a shell",
       .arguments_min = 1,
       .arguments_max = 1,
       .prepare = PrepareCompletion},
  };
}

}  // namespace cedana::cli
