#include "cedana/cli/cli.h"

#include <signal.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "cedana/cli/arguments.h"
#include "cedana/cli/client_internal.h"
#include "cedana/cli/command.h"
#include "cedana/cli/completion.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "core/build_id.h"

namespace cedana::cli {
namespace {

int Fail(const Terminal& terminal, const absl::Status& status) {
  std::string code;
  if (IsFromDaemon(status)) {
    code = absl::StrCat(terminal.PaintErr(Color::kRed, CodeName(status.code())), ": ");
  }
  terminal.ErrLine(absl::StrCat("Error: ", code, status.message()));
  return 1;
}

absl::StatusOr<Session> MakeSession(const Arguments& arguments, const Terminal& terminal) {
  CEDANA_ASSIGN_OR_RETURN(config::Loaded loaded,
                          config::Config::Load({.flags = arguments.startup}));
  for (const auto& [key, text] : arguments.settings) {
    CEDANA_RETURN_IF_ERROR(loaded.config.Set(key, text));
  }
  for (const std::string& warning : loaded.warnings) {
    terminal.ErrLine(absl::StrCat(terminal.PaintErr(Color::kYellow, "Warning:"), " ", warning));
  }
  return Session{terminal, std::move(loaded.config), {}};
}

absl::StatusOr<int> RunMain(std::span<const std::string> words, const Terminal& terminal,
                            std::function<absl::Status(const config::Config&)> run_daemon) {
  CEDANA_ASSIGN_OR_RETURN(Arguments arguments, SplitArguments(words));
  if (arguments.words.size() == 1 && arguments.words[0] == "--version") {
    terminal.OutLine(absl::StrCat("cedana version ", BuildVersion()));
    return 0;
  }
  // `help job list` is `job list --help`.
  if (!arguments.words.empty() && arguments.words[0] == "help") {
    arguments.words.erase(arguments.words.begin());
    arguments.words.push_back("--help");
    arguments.verbatim.clear();
  }
  if (!arguments.words.empty() && arguments.words[0] == "__complete") {
    arguments.words.erase(arguments.words.begin());
    absl::StatusOr<Session> session = MakeSession(arguments, terminal);
    if (session.ok()) Complete(arguments.words, arguments.verbatim, *session);
    return 0;  // completion is silent about what does not work
  }
  CEDANA_ASSIGN_OR_RETURN(const Resolved resolved, Resolve(arguments.words));
  if (resolved.command == nullptr) {
    for (const std::string& word : resolved.rest) {
      if (word != "-h" && word != "--help")
        return absl::InvalidArgumentError(absl::StrCat("unknown flag: ", word));
    }
    const bool write = arguments.startup.init_config || arguments.startup.merge_config;
    if (write) CEDANA_RETURN_IF_ERROR(MakeSession(arguments, terminal).status());
    terminal.Out(GroupHelp(resolved.path));
    return 0;
  }
  CEDANA_ASSIGN_OR_RETURN(const Invocation invocation, Parse(resolved, arguments.verbatim));
  if (!invocation.help.empty()) {
    terminal.Out(invocation.help);
    return 0;
  }
  CEDANA_ASSIGN_OR_RETURN(Session session, MakeSession(arguments, terminal));
  session.run_daemon = std::move(run_daemon);
  base::InitLog("cedana", base::ParseLogLevel(session.config.Text("log_level_no_server")),
                base::LogFormat::kText);
  return invocation.run(session, invocation.arguments);
}

}  // namespace

int Main(std::span<const std::string> arguments, const Terminal& terminal,
         std::function<absl::Status(const config::Config&)> run_daemon) {
  ::signal(SIGPIPE, SIG_IGN);
  const absl::StatusOr<int> code = RunMain(arguments, terminal, std::move(run_daemon));
  return code.ok() ? *code : Fail(terminal, code.status());
}

}  // namespace cedana::cli
