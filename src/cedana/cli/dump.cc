// `dump process` and `dump job`.
#include <CLI/CLI.hpp>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "cedana/cli/client_internal.h"
#include "cedana/cli/command.h"
#include "cedana/cli/flags.h"
#include "cedana/cli/watch_internal.h"
#include "cedana/cli/yaml.h"
#include "core/base/status.h"

namespace cedana::cli {
namespace {

struct DumpFlags {
  std::string dir;
  std::string name;
  std::string compression;
  int streams = 0;
  bool leave_running = false;
  bool tcp_established = false;
  bool tcp_close = false;
  std::vector<std::string> external;
  std::string output = "text";
};

// What is absent here comes from the daemon's own settings; ours count where they say something.
absl::StatusOr<daemon_api::DumpReq> MakeDumpRequest(const config::Config& config,
                                                    const DumpFlags& flags) {
  daemon_api::DumpReq request;
  if (!flags.dir.empty()) {
    CEDANA_RETURN_IF_ERROR(CheckStorageUrl("--dir", flags.dir));
    request.set_dir(flags.dir);
  } else {
    request.set_dir(DefaultDir(config));
  }
  CEDANA_RETURN_IF_ERROR(CheckCompression(flags.compression));
  request.set_compression(flags.compression);
  if (flags.compression.empty() && config.Text("checkpoint.compression") != "none") {
    CEDANA_RETURN_IF_ERROR(CheckCompression(config.Text("checkpoint.compression")));
    request.set_compression(config.Text("checkpoint.compression"));
  }
  if (flags.streams < 0) return absl::InvalidArgumentError("--streams must be 0 or more");
  request.set_streams(flags.streams != 0 ? flags.streams
                                         : static_cast<int>(config.Int("checkpoint.streams")));
  request.set_name(flags.name);
  request.set_action(daemon_api::DUMP);
  request.set_operationid(DrawOperationId());
  criu::criu_opts* criu = request.mutable_criu();
  criu->set_leave_running(flags.leave_running || config.Bool("criu.leave_running"));
  if (flags.tcp_established) criu->set_tcp_established(true);
  if (flags.tcp_close) criu->set_tcp_close(true);
  for (const std::string& resource : flags.external) criu->add_external(resource);
  return request;
}

absl::StatusOr<int> Dump(Session& session, Client& client, const daemon_api::DumpReq& request,
                         const std::string& label, const std::string& output) {
  daemon_api::DumpResp response;
  absl::Status status;
  {
    Watcher watcher(&client, session.terminal, request.operationid(), label);
    status = client.Call(&daemon_api::Daemon::Stub::Dump, request, &response, kNoTimeout);
  }
  if (IsAnswerLost(status)) {
    absl::Status hinted(status.code(),
                        absl::StrCat(status.message(), "; the process runs on unless the dump was ",
                                     "committed: see \"cedana job list\""));
    status.ForEachPayload([&hinted](absl::string_view key, const absl::Cord& value) {
      hinted.SetPayload(key, value);
    });
    return hinted;
  }
  CEDANA_RETURN_IF_ERROR(status);
  if (response.has_summary()) session.terminal.ErrLine(DumpSummary(label, response.summary()));
  if (IsJson(output)) {
    session.terminal.Out(ToJsonText(MessageToJson(response)));
    return 0;
  }
  for (const std::string& message : response.messages()) session.terminal.OutLine(message);
  return 0;
}

absl::StatusOr<int> DumpProcess(Session& session, const DumpFlags& flags, const std::string& text) {
  CEDANA_ASSIGN_OR_RETURN(const uint32_t pid, ParsePid(text));
  CEDANA_ASSIGN_OR_RETURN(daemon_api::DumpReq request, MakeDumpRequest(session.config, flags));
  request.set_type("process");
  request.mutable_details()->mutable_process()->set_pid(pid);
  CEDANA_ASSIGN_OR_RETURN(std::unique_ptr<Client> client, Client::Connect(session.config));
  const std::string label = flags.name.empty() ? absl::StrCat("process ", pid) : flags.name;
  return Dump(session, *client, request, label, flags.output);
}

absl::StatusOr<int> DumpJob(Session& session, const DumpFlags& flags, const std::string& jid) {
  CEDANA_ASSIGN_OR_RETURN(daemon_api::DumpReq request, MakeDumpRequest(session.config, flags));
  CEDANA_ASSIGN_OR_RETURN(std::unique_ptr<Client> client, Client::Connect(session.config));
  daemon_api::GetReq get;
  get.set_jid(jid);
  daemon_api::GetResp job;
  CEDANA_RETURN_IF_ERROR(client->Call(&daemon_api::Daemon::Stub::Get, get, &job, kJobTimeout));
  request.set_type(job.job().type());
  request.mutable_details()->set_jid(jid);
  return Dump(session, *client, request, jid, flags.output);
}

template <typename Function>
RunCommand Prepare(CLI::App& app, Function dump) {
  auto flags = std::make_shared<DumpFlags>();
  app.add_option("-d,--dir", flags->dir, "where to, such as cedana://my-checkpoints");
  app.add_option("--name", flags->name, "name of the checkpoint; made up when absent");
  app.add_option("--compression", flags->compression, "none, lz4, zstd, gzip or zlib");
  app.add_option("--streams", flags->streams, "parallel pipelines; 0: automatic");
  app.add_flag("--leave-running", flags->leave_running, "the process runs on afterwards");
  app.add_flag("--tcp-established", flags->tcp_established,
               "keep TCP connections (set by itself when there are any)");
  app.add_flag("--tcp-close", flags->tcp_close, "TCP connections are closed at the restore");
  app.add_option("--external", flags->external,
                 "resources that CRIU leaves to us, joined by commas")
      ->take_all()
      ->delimiter(',')
      ->allow_extra_args(false);
  AddOutput(app, &flags->output);
  Refuse(app, {"--skip-in-flight", "--file-locks", "--shell-job", "--link-remap",
               "--criu-opts=", "--no-server", "--result-file=", "--gpu-freeze-type="});
  return [flags, dump](Session& session, const std::vector<std::string>& arguments) {
    return dump(session, *flags, arguments[0]);
  };
}

}  // namespace

std::vector<Command> DumpCommands() {
  Command process;
  process.path = "dump process";
  process.arguments = "<PID>";
  process.summary = "Checkpoint a process and its descendants";
  process.arguments_min = process.arguments_max = 1;
  process.prepare = [](CLI::App& app) { return Prepare(app, DumpProcess); };

  Command job;
  job.path = "dump job";
  job.arguments = "<JID>";
  job.summary = "Checkpoint a job";
  job.arguments_min = job.arguments_max = 1;
  job.completes = "jobs";
  job.prepare = [](CLI::App& app) { return Prepare(app, DumpJob); };
  return {process, job};
}

}  // namespace cedana::cli
