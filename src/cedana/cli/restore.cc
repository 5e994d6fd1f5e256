// `restore process` and `restore job`.
#include <CLI/CLI.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "cedana/cli/attach_internal.h"
#include "cedana/cli/caller.h"
#include "cedana/cli/client_internal.h"
#include "cedana/cli/command.h"
#include "cedana/cli/confirm.h"
#include "cedana/cli/flags.h"
#include "cedana/cli/watch_internal.h"
#include "cedana/cli/yaml.h"
#include "core/base/status.h"

namespace cedana::cli {
namespace {

struct RestoreFlags {
  std::string path;
  std::string dir;
  std::string pid_file;
  std::string out;
  bool attach = false;
  bool attachable = false;
  bool tcp_established = false;
  bool tcp_close = false;
  std::vector<std::string> external;
  std::string output = "text";
};

absl::StatusOr<daemon_api::RestoreReq> MakeRestoreRequest(const config::Config& config,
                                                          const RestoreFlags& flags) {
  if (!flags.out.empty() && (flags.attach || flags.attachable)) {
    return absl::InvalidArgumentError(
        absl::StrCat(flags.attach ? "--attach" : "--attachable", " and --out exclude each other"));
  }
  daemon_api::RestoreReq request;
  if (!flags.path.empty()) CEDANA_RETURN_IF_ERROR(CheckStorageUrl("--path", flags.path));
  request.set_path(flags.path);
  if (!flags.dir.empty()) {
    CEDANA_RETURN_IF_ERROR(CheckStorageUrl("--dir", flags.dir));
    request.set_dir(flags.dir);
  }
  request.set_defaultdir(DefaultDir(config));
  CEDANA_ASSIGN_OR_RETURN(const Caller caller, ThisCaller());
  Describe(caller, &request);
  request.set_type("process");
  request.set_log(AbsolutePath(flags.out));
  request.set_pidfile(AbsolutePath(flags.pid_file));
  request.set_attachable(flags.attach || flags.attachable);
  request.set_waitfirstmaster(flags.attach);
  request.set_operationid(DrawOperationId());
  if (flags.tcp_established) request.mutable_criu()->set_tcp_established(true);
  if (flags.tcp_close) request.mutable_criu()->set_tcp_close(true);
  for (const std::string& resource : flags.external) request.mutable_criu()->add_external(resource);
  return request;
}

absl::StatusOr<int> Restore(Session& session, const RestoreFlags& flags,
                            const daemon_api::RestoreReq& request, const std::string& label) {
  CEDANA_ASSIGN_OR_RETURN(std::unique_ptr<Client> client, Client::Connect(session.config));
  daemon_api::RestoreResp response;
  absl::Status status;
  {
    Watcher watcher(client.get(), session.terminal, request.operationid(), label);
    status = client->Call(&daemon_api::Daemon::Stub::Restore, request, &response, kNoTimeout);
  }
  CEDANA_RETURN_IF_ERROR(status);
  if (response.has_summary()) session.terminal.ErrLine(RestoreSummary(label, response.summary()));
  if (flags.attach) {
    for (const std::string& message : response.messages()) {
      if (!absl::StartsWith(message, "Restored successfully")) session.terminal.ErrLine(message);
    }
    const std::string& jid = response.jid().empty() ? label : response.jid();
    return AttachToNewJob(*client, session.terminal, response.pid(), jid);
  }
  if (IsJson(flags.output)) {
    session.terminal.Out(ToJsonText(MessageToJson(response)));
    return 0;
  }
  for (const std::string& message : response.messages()) session.terminal.OutLine(message);
  return 0;
}

absl::StatusOr<int> RestoreProcess(Session& session, const RestoreFlags& flags) {
  if (flags.path.empty()) {
    return absl::InvalidArgumentError(
        "--path is required: name the checkpoint, as `cedana job checkpoint list` shows it");
  }
  CEDANA_ASSIGN_OR_RETURN(const daemon_api::RestoreReq request,
                          MakeRestoreRequest(session.config, flags));
  const std::string label = flags.path.substr(flags.path.rfind('/') + 1);
  return Restore(session, flags, request, label);
}

// Which of several jobs of one name is meant; the path of its newest checkpoint.
absl::StatusOr<std::string> ChooseJob(const Terminal& terminal, const std::string& jid,
                                      const daemon_api::CheckpointChoices& choices) {
  terminal.ErrLine(absl::StrCat("several jobs are called ", jid, ":"));
  for (int i = 0; i < choices.choices_size(); ++i) {
    const daemon_api::CheckpointChoice& choice = choices.choices(i);
    const absl::Time created = absl::FromUnixMillis(choice.createdmillis());
    terminal.ErrLine(
        absl::StrCat("  ", i + 1, "  ", choice.user(), "@", choice.host(), "  ",
                     absl::FormatTime("%Y-%m-%d %H:%M:%S", created, absl::LocalTimeZone()), "  ",
                     choice.commandline(), "  ", choice.path()));
  }
  if (choices.more() > 0) {
    terminal.ErrLine(absl::StrCat("  and ", choices.more(),
                                  " more with older checkpoints: name their folder (--dir)"));
  }
  const std::optional<size_t> chosen =
      Choose(terminal, "which one", static_cast<size_t>(choices.choices_size()));
  if (!chosen.has_value()) return absl::CancelledError("none was chosen, nothing was restored");
  return choices.choices(static_cast<int>(*chosen)).path();
}

absl::StatusOr<int> RestoreJob(Session& session, const RestoreFlags& flags,
                               const std::string& jid) {
  CEDANA_ASSIGN_OR_RETURN(daemon_api::RestoreReq request,
                          MakeRestoreRequest(session.config, flags));
  request.mutable_details()->set_jid(jid);
  absl::StatusOr<int> code = Restore(session, flags, request, jid);
  daemon_api::CheckpointChoices choices;
  if (code.ok() || !session.terminal.interactive() ||
      !choices.ParseFromString(DetailsOf(code.status())) || choices.choices().empty()) {
    return code;
  }
  CEDANA_ASSIGN_OR_RETURN(const std::string path, ChooseJob(session.terminal, jid, choices));
  request.set_path(path);
  request.set_operationid(DrawOperationId());
  return Restore(session, flags, request, jid);
}

std::shared_ptr<RestoreFlags> AddFlags(CLI::App& app) {
  auto flags = std::make_shared<RestoreFlags>();
  app.add_option("-p,--path", flags->path, "the checkpoint, as it was printed");
  app.add_option("-d,--dir", flags->dir, "where to look for the job's newest checkpoint");
  app.add_option("--pid-file", flags->pid_file, "file that gets the PID");
  app.add_option("-o,--out", flags->out, "file for stdout and stderr");
  app.add_flag("-a,--attach", flags->attach, "attach, and exit with the job's exit code");
  app.add_flag("--attachable", flags->attachable, "can be attached to later");
  app.add_flag("--tcp-established", flags->tcp_established, "restore TCP connections");
  app.add_flag("--tcp-close", flags->tcp_close, "close TCP connections instead of restoring them");
  app.add_option("--external", flags->external,
                 "resources that CRIU leaves to us, joined by commas")
      ->take_all()
      ->delimiter(',')
      ->allow_extra_args(false);
  AddOutput(app, &flags->output, /*short_name=*/false);
  Refuse(app, {"--leave-stopped", "--file-locks", "--shell-job", "--link-remap",
               "--criu-opts=", "--gpu-id=", "--no-server"});
  return flags;
}

}  // namespace

std::vector<Command> RestoreCommands() {
  Command process;
  process.path = "restore process";
  process.summary = "Restore a checkpoint by its path";
  process.prepare = [](CLI::App& app) -> RunCommand {
    return [flags = AddFlags(app)](Session& session, const std::vector<std::string>&) {
      return RestoreProcess(session, *flags);
    };
  };
  Command job;
  job.path = "restore job";
  job.arguments = "<JID>";
  job.summary = "Restore a job from its newest checkpoint, also one of another host";
  job.arguments_min = job.arguments_max = 1;
  job.completes = "jobs";
  job.prepare = [](CLI::App& app) -> RunCommand {
    return [flags = AddFlags(app)](Session& session, const std::vector<std::string>& arguments) {
      return RestoreJob(session, *flags, arguments[0]);
    };
  };
  return {process, job};
}

}  // namespace cedana::cli
