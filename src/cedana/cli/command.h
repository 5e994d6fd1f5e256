// The table of commands, and how one is found, parsed and run.
//
// Each command is parsed by a flat CLI11 app of its own, made when it is needed. CLI11's nested
// subcommands are not used: they take a job's or program's argument that is spelled like a command
// for the command.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cedana/cli/arguments.h"
#include "cedana/cli/terminal.h"
#include "cedana/config/config.h"

namespace CLI {
class App;
}

namespace cedana::cli {

class Client;

// What a command works with. Borrowed parts outlive it.
struct Session {
  const Terminal& terminal;
  config::Config config;
  // Of the daemon's folder, given by main(), so that the commands do not depend on it.
  std::function<absl::Status(const config::Config&)> run_daemon;
};

// A command with its flags parsed: gets the arguments and returns the exit code.
using RunCommand = std::function<absl::StatusOr<int>(Session&, const std::vector<std::string>&)>;

struct Command {
  std::string path;                  // "job list"
  std::vector<std::string> aliases;  // "ps", "job ls"
  std::string arguments;             // "<JID>...", for the help
  std::string summary;
  int arguments_min = 0;
  int arguments_max = 0;  // -1: any number
  std::string completes;  // what its arguments are: "jobs", "plugins", or nothing
  // Adds the flags to `app` and returns what runs with their values.
  std::function<RunCommand(CLI::App& app)> prepare;
};

// All of them, made once.
const std::vector<Command>& Commands();

// Where the words lead.
struct Resolved {
  const Command* command = nullptr;  // null: `path` is a group
  std::string path;                  // "job", "job list"; as typed
  std::vector<std::string> rest;     // flags and arguments
};
// kInvalidArgument: unknown command.
absl::StatusOr<Resolved> Resolve(const std::vector<std::string>& words);

// The words that may follow the group `path` ("" at the top), sorted, aliases too.
std::vector<std::string> Subcommands(const std::string& path);
// "--dir", "-d", ... of a command and of every command.
std::vector<std::string> FlagNames(const Command& command);
bool TakesValue(const Command& command, const std::string& flag);

std::string GroupHelp(const std::string& path);
// A command line that was understood.
struct Invocation {
  std::string help;  // not empty: `--help` was asked, this is it
  RunCommand run;
  std::vector<std::string> arguments;
};
// Requires: resolved.command. kInvalidArgument: a wrong flag, or a wrong number of arguments.
absl::StatusOr<Invocation> Parse(const Resolved& resolved,
                                 const std::vector<std::string>& verbatim);

// The families, one file each.
std::vector<Command> RunCommands();
std::vector<Command> DumpCommands();
std::vector<Command> RestoreCommands();
std::vector<Command> AttachCommands();
std::vector<Command> JobCommands();
std::vector<Command> CheckpointCommands();
std::vector<Command> PluginCommands();
std::vector<Command> CheckCommands();
std::vector<Command> StorageCommands();
std::vector<Command> ProgramCommands();  // daemon start, version, completion

}  // namespace cedana::cli
