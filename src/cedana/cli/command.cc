#include "cedana/cli/command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"

namespace cedana::cli {
namespace {

const std::map<std::string, std::string>& GroupSummaries() {
  static const auto& summaries = *new std::map<std::string, std::string>{
      {"", "Checkpoint a running process tree and restore it, here or on another host"},
      {"dump", "Checkpoint a process or a job"},
      {"restore", "Restore a process or a job"},
      {"run", "Run something as a job"},
      {"manage", "Make something that runs a job"},
      {"job", "Jobs of the daemon"},
      {"job checkpoint", "Checkpoints of a job"},
      {"checkpoint", "Checkpoints of a job (alias of `job checkpoint`)"},
      {"plugin", "Plugins: storage back ends and the CRIU that this machine needs"},
      {"storage", "Storages that are used without the service"},
      {"daemon", "The daemon"},
  };
  return summaries;
}

// Every way to spell every command.
const std::map<std::string, const Command*>& Spellings() {
  static const auto& spellings = *[] {
    auto* made = new std::map<std::string, const Command*>;
    for (const Command& command : Commands()) {
      made->emplace(command.path, &command);
      for (const std::string& alias : command.aliases) made->emplace(alias, &command);
    }
    return made;
  }();
  return spellings;
}

bool IsGroup(const std::string& path) {
  if (path.empty()) return true;
  const auto next = Spellings().lower_bound(path + " ");
  return next != Spellings().end() && absl::StartsWith(next->first, path + " ");
}

std::unique_ptr<CLI::App> MakeApp(const Command& command, RunCommand* run) {
  auto app = std::make_unique<CLI::App>(command.summary, "cedana " + command.path);
  app->allow_extras();  // arguments are ours to judge: CLI11 would split one such as "[a,b]"
  app->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app->set_help_flag("-h,--help", "show this help");
  *run = command.prepare(*app);
  return app;
}

bool IsFlag(absl::string_view word) { return word.size() > 1 && word[0] == '-'; }

// CLI11 reads "-j=x" as the value "=x" and "--name=" as a flag whose value is the next word.
absl::StatusOr<std::vector<std::string>> Normalize(CLI::App& app,
                                                   const std::vector<std::string>& words) {
  std::vector<std::string> result;
  for (const std::string& word : words) {
    if (word.size() > 2 && word[0] == '-' && word[1] != '-' && word[2] == '=') {
      const CLI::Option* option = app.get_option_no_throw(word.substr(0, 2));
      if (option != nullptr && option->get_items_expected_min() > 0) {
        result.push_back(word.substr(0, 2));
        result.push_back(word.substr(3));
        continue;
      }
    }
    if (absl::StartsWith(word, "--") && absl::EndsWith(word, "=")) {
      return absl::InvalidArgumentError(absl::StrCat(word, " needs a value"));
    }
    result.push_back(word);
  }
  return result;
}

absl::Status CheckArguments(const Command& command, size_t count) {
  const auto min = static_cast<size_t>(command.arguments_min);
  if (count >= min && (command.arguments_max < 0 || count <= size_t(command.arguments_max))) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("cedana ", command.path, " takes ",
                   command.arguments.empty() ? "no arguments" : command.arguments, ", got ", count,
                   count == 1 ? " argument" : " arguments"));
}

std::string FlagTable(const CLI::App& app) {
  std::string text;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;
    const auto& shorts = option->get_snames();
    const auto& longs = option->get_lnames();
    const std::string names =
        absl::StrCat(shorts.empty() ? "    " : "-" + shorts[0] + ", ", "--", longs[0],
                     option->get_items_expected_min() > 0 ? " …" : "");
    // "…" is one column but three bytes.
    const int width = option->get_items_expected_min() > 0 ? 26 : 24;
    absl::StrAppendFormat(&text, "  %-*s  %s\n", width, names, option->get_description());
  }
  return text;
}

std::string CommandHelp(const Command& command, const CLI::App& app) {
  std::string text =
      absl::StrCat(command.summary, "\n\nUsage:\n  cedana ", command.path,
                   command.arguments.empty() ? "" : " " + command.arguments, " [flags]\n");
  if (!command.aliases.empty()) {
    absl::StrAppend(&text, "\nAliases:\n  cedana ", absl::StrJoin(command.aliases, "\n  cedana "),
                    "\n");
  }
  absl::StrAppend(&text, "\nFlags:\n", FlagTable(app), "\nGlobal flags:\n");
  for (const GlobalFlag& flag : GlobalFlags()) {
    absl::StrAppendFormat(&text, "      %-20s  %s\n", flag.name, flag.help);
  }
  return text;
}

}  // namespace

const std::vector<Command>& Commands() {
  static const auto& commands = *[] {
    auto* all = new std::vector<Command>;
    for (auto family :
         {RunCommands, DumpCommands, RestoreCommands, AttachCommands, JobCommands,
          CheckpointCommands, PluginCommands, CheckCommands, StorageCommands, ProgramCommands}) {
      for (Command& command : family()) all->push_back(std::move(command));
    }
    return all;
  }();
  return commands;
}

absl::StatusOr<Resolved> Resolve(const std::vector<std::string>& words) {
  Resolved resolved;
  size_t i = 0;
  for (; i < words.size() && resolved.command == nullptr; ++i) {
    if (IsFlag(words[i])) {
      // A flag of the commands below may stand before their name: `dump --dir X job J`.
      resolved.rest.push_back(words[i]);
      const std::string prefix = resolved.path.empty() ? "" : resolved.path + " ";
      const bool takes =
          std::any_of(Spellings().begin(), Spellings().end(), [&](const auto& spelling) {
            return !prefix.empty() && absl::StartsWith(spelling.first, prefix) &&
                   TakesValue(*spelling.second, words[i]);
          });
      if (takes && i + 1 < words.size()) resolved.rest.push_back(words[++i]);
      continue;
    }
    const std::string longer =
        resolved.path.empty() ? words[i] : absl::StrCat(resolved.path, " ", words[i]);
    const auto found = Spellings().find(longer);
    // "checkpoint list" is a command though "checkpoint" is none: the longest spelling counts.
    if (found != Spellings().end()) resolved.command = found->second;
    if (found == Spellings().end() && !IsGroup(longer)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "unknown command \"", words[i], "\" for \"",
          resolved.path.empty() ? "cedana" : "cedana " + resolved.path, "\": see cedana help"));
    }
    resolved.path = longer;
  }
  resolved.rest.insert(resolved.rest.end(), words.begin() + i, words.end());
  return resolved;
}

std::vector<std::string> Subcommands(const std::string& path) {
  std::set<std::string> names;
  const std::string prefix = path.empty() ? "" : path + " ";
  for (const auto& [spelling, command] : Spellings()) {
    if (!absl::StartsWith(spelling, prefix) || spelling.size() == prefix.size()) continue;
    names.insert(spelling.substr(prefix.size(), spelling.find(' ', prefix.size()) - prefix.size()));
  }
  return {names.begin(), names.end()};
}

std::vector<std::string> FlagNames(const Command& command) {
  RunCommand run;
  const auto app = MakeApp(command, &run);
  std::vector<std::string> names;
  for (const CLI::Option* option : app->get_options()) {
    if (option->get_group().empty()) continue;
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  }
  for (const GlobalFlag& flag : GlobalFlags()) names.emplace_back(flag.name);
  return names;
}

bool TakesValue(const Command& command, const std::string& flag) {
  for (const GlobalFlag& global : GlobalFlags()) {
    if (global.name == flag) return global.takes_value;
  }
  RunCommand run;
  const auto app = MakeApp(command, &run);
  const CLI::Option* option = app->get_option_no_throw(flag);
  return option != nullptr && option->get_items_expected_min() > 0;
}

std::string GroupHelp(const std::string& path) {
  const auto summary = GroupSummaries().find(path);
  std::string text = absl::StrCat(summary == GroupSummaries().end() ? "" : summary->second,
                                  "\n\nUsage:\n  cedana ", path.empty() ? "" : path + " ",
                                  "<command> [flags]\n\nCommands:\n");
  for (const std::string& name : Subcommands(path)) {
    const std::string longer = path.empty() ? name : absl::StrCat(path, " ", name);
    const auto command = Spellings().find(longer);
    const auto group = GroupSummaries().find(longer);
    std::string line;
    if (command == Spellings().end()) {
      line = group == GroupSummaries().end() ? "" : group->second;
    } else if (command->second->path == longer) {
      line = command->second->summary;
    } else {
      line = absl::StrCat(command->second->summary, " (alias of `", command->second->path, "`)");
    }
    absl::StrAppendFormat(&text, "  %-12s  %s\n", name, line);
  }
  absl::StrAppend(&text, "\nUse \"cedana ", path.empty() ? "" : path + " ",
                  "<command> --help\" for more about a command.\n");
  return text;
}

absl::StatusOr<Invocation> Parse(const Resolved& resolved,
                                 const std::vector<std::string>& verbatim) {
  const Command& command = *resolved.command;
  Invocation invocation;
  const std::unique_ptr<CLI::App> app = MakeApp(command, &invocation.run);
  CEDANA_ASSIGN_OR_RETURN(std::vector<std::string> words, Normalize(*app, resolved.rest));
  try {
    std::reverse(words.begin(), words.end());  // as CLI11 wants them
    app->parse(std::move(words));
  } catch (const CLI::CallForHelp&) {
    invocation.help = CommandHelp(command, *app);
    return invocation;
  } catch (const CLI::Error& error) {
    return absl::InvalidArgumentError(error.what());
  }
  invocation.arguments = app->remaining();
  for (const std::string& word : invocation.arguments) {
    if (!IsFlag(word)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("unknown flag: ", word,
                     command.arguments_max < 0 ? " (what follows -- is not read as a flag)" : ""));
  }
  invocation.arguments.insert(invocation.arguments.end(), verbatim.begin(), verbatim.end());
  CEDANA_RETURN_IF_ERROR(CheckArguments(command, invocation.arguments.size()));
  return invocation;
}

}  // namespace cedana::cli
