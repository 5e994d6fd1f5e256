#include "cedana/cli/completion.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cedana/cli/client_internal.h"
#include "cedana/plugin/registry.h"

namespace cedana::cli {
namespace {

// Somebody waits with a finger on the key.
constexpr absl::Duration kTimeout = absl::Seconds(2);

constexpr absl::string_view kBash = R"(# bash completion for cedana
_cedana() {
  local IFS=$'\n'
  COMPREPLY=($(cedana __complete line -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _cedana cedana
)";

constexpr absl::string_view kZsh = R"(#compdef cedana
_cedana() {
  local -a found
  found=("${(@f)$(cedana __complete line -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "${found[1]}" ]]; then
    compadd -a found
  else
    _files
  fi
}
if [ "$funcstack[1]" = "_cedana" ]; then
  _cedana "$@"
else
  compdef _cedana cedana
fi
)";

constexpr absl::string_view kFish = R"(# fish completion for cedana
function __cedana_complete
  set -l typed (commandline -opc)
  cedana __complete line -- $typed[2..-1] (commandline -ct) 2>/dev/null
end
complete -c cedana -a '(__cedana_complete)'
)";

std::vector<std::string> JobIds(Session& session) {
  std::vector<std::string> ids;
  const auto client = Client::Connect(session.config);
  if (!client.ok()) return ids;
  daemon_api::ListReq request;
  daemon_api::ListResp response;
  if (!(*client)->Call(&daemon_api::Daemon::Stub::List, request, &response, kTimeout).ok()) {
    return ids;
  }
  for (const daemon_api::Job& job : response.jobs()) ids.push_back(job.jid());
  return ids;
}

std::vector<std::string> Candidates(const std::vector<std::string>& line, Session& session) {
  const std::string current = line.empty() ? "" : line.back();
  const std::vector<std::string> before(line.begin(), line.empty() ? line.end() : line.end() - 1);
  for (const std::string& word : before) {
    if (word == "--") return {};  // another program's arguments
  }
  const absl::StatusOr<Resolved> resolved = Resolve(before);
  if (!resolved.ok()) return {};
  if (resolved->command == nullptr) {
    std::vector<std::string> words = Subcommands(resolved->path);
    if (resolved->path.empty()) words.emplace_back("help");
    return words;
  }
  const Command& command = *resolved->command;
  if (absl::StartsWith(current, "-")) return FlagNames(command);
  if (!resolved->rest.empty() && TakesValue(command, resolved->rest.back())) return {};
  if (command.completes == "jobs") return JobIds(session);
  if (command.completes == "plugins") {
    std::vector<std::string> names;
    for (const plugin::KnownPlugin& known : plugin::KnownPlugins()) names.emplace_back(known.name);
    return names;
  }
  if (command.path == "completion") return {"bash", "fish", "zsh"};
  return {};
}

}  // namespace

absl::StatusOr<std::string> CompletionScript(const std::string& shell) {
  if (shell == "bash") return std::string(kBash);
  if (shell == "zsh") return std::string(kZsh);
  if (shell == "fish") return std::string(kFish);
  return absl::InvalidArgumentError(
      absl::StrCat("no completion for \"", shell, "\": use bash, zsh or fish"));
}

void Complete(const std::vector<std::string>& words, const std::vector<std::string>& line,
              Session& session) {
  std::vector<std::string> candidates;
  std::string current;
  if (words.size() == 1 && words[0] == "jobs") {
    candidates = JobIds(session);
  } else {
    candidates = Candidates(line, session);
    if (!line.empty()) current = line.back();
  }
  for (const std::string& candidate : candidates) {
    if (absl::StartsWith(candidate, current)) session.terminal.OutLine(candidate);
  }
}

}  // namespace cedana::cli
