// `run process` (= `exec`) and `manage process`.
#include <CLI/CLI.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cedana/cli/attach_internal.h"
#include "cedana/cli/caller.h"
#include "cedana/cli/command.h"
#include "cedana/cli/flags.h"
#include "cedana/cli/yaml.h"
#include "core/base/status.h"

namespace cedana::cli {
namespace {

struct RunFlags {
  std::string jid;
  std::string out;
  bool attach = false;
  bool attachable = false;
  std::string pid_file;
  bool as_root = false;
  std::string output = "text";
};

absl::StatusOr<daemon_api::RunReq> MakeRunRequest(const RunFlags& flags,
                                                  const std::vector<std::string>& arguments) {
  daemon_api::RunReq request;
  CEDANA_ASSIGN_OR_RETURN(const std::string program, FindProgram(arguments[0]));
  CEDANA_ASSIGN_OR_RETURN(const Caller caller, ThisCaller());
  Describe(caller, &request);
  request.set_type("process");
  request.set_action(daemon_api::START_NEW);
  request.set_jid(flags.jid);
  request.set_log(AbsolutePath(flags.out));
  request.set_pidfile(AbsolutePath(flags.pid_file));
  request.set_attachable(flags.attach || flags.attachable);
  request.set_waitfirstmaster(flags.attach);
  if (flags.as_root) {
    request.set_asroot(true);
    request.set_uid(0);
    request.set_gid(0);
    request.clear_groups();
    request.add_groups(0);
  }
  daemon_api::Process* process = request.mutable_details()->mutable_process();
  process->set_path(program);
  process->set_workingdir(caller.working_dir);
  for (size_t i = 1; i < arguments.size(); ++i) process->add_args(arguments[i]);
  return request;
}

// The result on stdout; with a job attached stdout is the job's, so what must be said goes to
// stderr.
void PrintMessages(const Session& session, const daemon_api::RunResp& response,
                   const std::string& output) {
  if (IsJson(output)) {
    session.terminal.Out(ToJsonText(MessageToJson(response)));
    return;
  }
  for (const std::string& message : response.messages()) session.terminal.OutLine(message);
}

absl::StatusOr<int> RunProcess(Session& session, const RunFlags& flags,
                               const std::vector<std::string>& arguments) {
  if (flags.attach && !flags.out.empty()) {
    return absl::InvalidArgumentError("--attach and --out exclude each other");
  }
  if (flags.attachable && !flags.out.empty()) {
    return absl::InvalidArgumentError("--attachable and --out exclude each other");
  }
  CEDANA_ASSIGN_OR_RETURN(const daemon_api::RunReq request, MakeRunRequest(flags, arguments));
  CEDANA_ASSIGN_OR_RETURN(std::unique_ptr<Client> client, Client::Connect(session.config));
  daemon_api::RunResp response;
  CEDANA_RETURN_IF_ERROR(
      client->Call(&daemon_api::Daemon::Stub::Run, request, &response, kStartTimeout));
  if (!flags.attach) {
    PrintMessages(session, response, flags.output);
    return 0;
  }
  for (const std::string& message : response.messages()) {
    if (!absl::StartsWith(message, "Running managed ")) session.terminal.ErrLine(message);
  }
  return Attach(*client, session.terminal, response.pid(),
                {.forward_stdin = true, .forward_signals = true});
}

absl::StatusOr<int> ManageProcess(Session& session, const RunFlags& flags,
                                  const std::vector<std::string>& arguments) {
  CEDANA_ASSIGN_OR_RETURN(const uint32_t pid, ParsePid(arguments[0]));
  daemon_api::RunReq request;
  CEDANA_ASSIGN_OR_RETURN(const Caller caller, ThisCaller());
  Describe(caller, &request);
  request.set_type("process");
  request.set_action(daemon_api::MANAGE_EXISTING);
  request.set_jid(flags.jid);
  request.set_pidfile(AbsolutePath(flags.pid_file));
  daemon_api::Process* process = request.mutable_details()->mutable_process();
  process->set_pid(pid);
  for (size_t i = 1; i < arguments.size(); ++i) process->add_args(arguments[i]);
  CEDANA_ASSIGN_OR_RETURN(std::unique_ptr<Client> client, Client::Connect(session.config));
  daemon_api::RunResp response;
  CEDANA_RETURN_IF_ERROR(
      client->Call(&daemon_api::Daemon::Stub::Manage, request, &response, kStartTimeout));
  PrintMessages(session, response, flags.output);
  return 0;
}

RunCommand PrepareRun(CLI::App& app) {
  auto flags = std::make_shared<RunFlags>();
  app.add_option("-j,--jid", flags->jid, "job id; drawn when absent");
  app.add_option("-o,--out", flags->out, "file for stdout and stderr");
  app.add_flag("-a,--attach", flags->attach, "attach, and exit with the job's exit code");
  app.add_flag("--attachable", flags->attachable, "can be attached to later");
  app.add_option("--pid-file", flags->pid_file, "file that gets the PID");
  app.add_flag("--as-root", flags->as_root, "run as root, whoever calls");
  AddOutput(app, &flags->output, /*short_name=*/false);
  Refuse(app, {"-g,--gpu-enabled", "--gpu-tracing", "--gpu-id=", "--no-server"});
  return [flags](Session& session, const std::vector<std::string>& arguments) {
    return RunProcess(session, *flags, arguments);
  };
}

RunCommand PrepareManage(CLI::App& app) {
  auto flags = std::make_shared<RunFlags>();
  app.add_option("-j,--jid", flags->jid, "job id; drawn when absent");
  app.add_option("--pid-file", flags->pid_file, "file that gets the PID");
  AddOutput(app, &flags->output);
  Refuse(app, {"-g,--gpu-enabled", "--gpu-tracing", "--gpu-id=", "--upcoming", "--no-server"});
  return [flags](Session& session, const std::vector<std::string>& arguments) {
    return ManageProcess(session, *flags, arguments);
  };
}

}  // namespace

std::vector<Command> RunCommands() {
  Command run;
  run.path = "run process";
  run.aliases = {"exec"};
  run.arguments = "[--] <program> [argument]...";
  run.summary = "Run a program as a job";
  run.arguments_min = 1;
  run.arguments_max = -1;
  run.prepare = PrepareRun;

  Command manage;
  manage.path = "manage process";
  manage.arguments = "<PID> [argument]...";
  manage.summary = "Make a running process a job";
  manage.arguments_min = 1;
  manage.arguments_max = -1;
  manage.prepare = PrepareManage;
  return {run, manage};
}

}  // namespace cedana::cli
