// `job list|kill|delete|inspect`.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "cedana/cli/client_internal.h"
#include "cedana/cli/command.h"
#include "cedana/cli/confirm.h"
#include "cedana/cli/flags.h"
#include "cedana/cli/format.h"
#include "cedana/cli/table.h"
#include "cedana/cli/yaml.h"
#include "core/base/status.h"

namespace cedana::cli {
namespace {

using Json = nlohmann::ordered_json;
using daemon_api::Daemon;

constexpr char kNone[] = "-";

absl::StatusOr<std::vector<daemon_api::Job>> ListJobs(Client& client) {
  daemon_api::ListReq request;
  daemon_api::ListResp response;
  CEDANA_RETURN_IF_ERROR(client.Call(&Daemon::Stub::List, request, &response, kJobTimeout));
  std::vector<daemon_api::Job> jobs(response.jobs().begin(), response.jobs().end());
  std::stable_sort(jobs.begin(), jobs.end(), [](const auto& a, const auto& b) {
    if (a.state().status() != b.state().status()) return a.state().status() > b.state().status();
    return a.latest().time() > b.latest().time();
  });
  return jobs;
}

Color StatusColor(const std::string& status) {
  if (status == "running" || status == "sleep") return Color::kGreen;
  if (status == "zombie") return Color::kYellow;
  return status == "remote" ? Color::kBlue : Color::kGrey;
}

std::string LogText(const daemon_api::Job& job) {
  if (!job.log().empty()) return job.log();
  return job.attachable() && job.state().isrunning() ? "[Attachable]" : kNone;
}

std::string JobTable(const std::vector<daemon_api::Job>& jobs, bool color) {
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"id"},
               {"type"},
               {"pid", kRight},
               {"status"},
               {"gpu"},
               {"time"},
               {"size", kRight},
               {"path"},
               {"log"}});
  for (const daemon_api::Job& job : jobs) {
    const bool saved = job.has_latest();
    table.Add({job.jid(), job.type(), absl::StrCat(job.state().pid()),
               Cell(job.state().status(), StatusColor(job.state().status())),
               job.state().gpuenabled() ? "yes" : "no",
               saved ? TimeText(job.latest().time()) : kNone,
               saved && job.latest().size() > 0 ? SizeText(job.latest().size()) : kNone,
               saved ? job.latest().path() : kNone, LogText(job)});
  }
  return table.Render(color);
}

Json CheckpointFields(const daemon_api::Job& job) {
  if (!job.has_latest()) return nullptr;
  return MessageToJson(job.latest());
}

Json JobsJson(const std::vector<daemon_api::Job>& jobs) {
  Json list = Json::array();
  for (const daemon_api::Job& job : jobs) {
    Json row{{"id", job.jid()},
             {"uuid", job.uuid()},
             {"type", job.type()},
             {"pid", job.state().pid()},
             {"status", job.state().status()},
             {"running", job.state().isrunning()},
             {"gpu", job.state().gpuenabled()},
             {"attachable", job.attachable()},
             {"log", job.log()},
             {"checkpoint", CheckpointFields(job)},
             {"note", job.note()}};
    row["exit_code"] = job.exited() ? Json(job.exitcode()) : Json(nullptr);
    list.push_back(std::move(row));
  }
  return list;
}

absl::StatusOr<int> List(Session& session, const std::string& output) {
  CEDANA_ASSIGN_OR_RETURN(std::unique_ptr<Client> client, Client::Connect(session.config));
  CEDANA_ASSIGN_OR_RETURN(const std::vector<daemon_api::Job> jobs, ListJobs(*client));
  const Terminal& terminal = session.terminal;
  if (IsJson(output)) {
    terminal.Out(ToJsonText(JobsJson(jobs)));
    return 0;
  }
  if (jobs.empty()) {
    terminal.OutLine("No jobs found");
    return 0;
  }
  terminal.Out(JobTable(jobs, terminal.color_out()));
  terminal.OutLine("");
  for (const daemon_api::Job& job : jobs) {
    if (job.note().empty()) continue;
    terminal.OutLine(absl::StrCat(job.jid(), ": ", terminal.PaintOut(Color::kYellow, job.note())));
  }
  terminal.OutLine("Use `cedana job inspect <JID>` for all about a job.");
  terminal.OutLine("Use `cedana job checkpoint list <JID>` for all checkpoints of a job.");
  return 0;
}

absl::StatusOr<int> Inspect(Session& session, const std::string& output, const std::string& jid) {
  CEDANA_ASSIGN_OR_RETURN(std::unique_ptr<Client> client, Client::Connect(session.config));
  daemon_api::GetReq request;
  request.set_jid(jid);
  daemon_api::GetResp response;
  CEDANA_RETURN_IF_ERROR(client->Call(&Daemon::Stub::Get, request, &response, kJobTimeout));
  const Json job = MessageToJson(response.job());
  session.terminal.Out(IsJson(output) ? ToJsonText(job) : ToYaml(job));
  return 0;
}

struct ManyFlags {
  bool all = false;
  std::string signal;
  bool checkpoints = false;
  std::string output = "text";
};

// The jobs that a command is about; none: the user said no.
absl::StatusOr<std::vector<std::string>> ChosenJobs(Session& session, Client& client, bool all,
                                                    absl::string_view verb,
                                                    const std::vector<std::string>& arguments) {
  if (!all) return arguments;
  if (!Confirm(session.terminal, absl::StrCat("Are you sure you want to ", verb, " all jobs?"))) {
    return std::vector<std::string>{};
  }
  CEDANA_ASSIGN_OR_RETURN(const std::vector<daemon_api::Job> jobs, ListJobs(client));
  if (jobs.empty()) return absl::NotFoundError("no jobs found");
  std::vector<std::string> names;
  names.reserve(jobs.size());
  for (const daemon_api::Job& job : jobs) names.push_back(job.jid());
  return names;
}

absl::Status CheckChoice(bool all, const std::vector<std::string>& arguments) {
  if (all == arguments.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(all ? "name jobs or give --all, not both"
                                        : "name at least one job, or give --all");
}

template <typename Response>
void PrintMessages(const Terminal& terminal, const Response& response, const std::string& output) {
  if (IsJson(output)) {
    Json messages = Json::array();
    for (const std::string& message : response.messages()) messages.push_back(message);
    terminal.Out(ToJsonText(Json{{"messages", messages}}));
    return;
  }
  for (const std::string& message : response.messages()) terminal.OutLine(message);
}

absl::StatusOr<int> Kill(Session& session, const ManyFlags& flags,
                         const std::vector<std::string>& arguments) {
  CEDANA_RETURN_IF_ERROR(CheckChoice(flags.all, arguments));
  daemon_api::KillReq request;
  if (!flags.signal.empty()) {
    CEDANA_ASSIGN_OR_RETURN(const int signal, ParseSignal(flags.signal));
    request.set_signal(signal);
  }
  CEDANA_ASSIGN_OR_RETURN(std::unique_ptr<Client> client, Client::Connect(session.config));
  CEDANA_ASSIGN_OR_RETURN(const std::vector<std::string> jobs,
                          ChosenJobs(session, *client, flags.all, "kill", arguments));
  if (jobs.empty()) return 0;
  for (const std::string& job : jobs) request.add_jids(job);
  daemon_api::KillResp response;
  CEDANA_RETURN_IF_ERROR(client->Call(&Daemon::Stub::Kill, request, &response, kJobTimeout));
  PrintMessages(session.terminal, response, flags.output);
  return 0;
}

absl::StatusOr<int> Delete(Session& session, const ManyFlags& flags,
                           const std::vector<std::string>& arguments) {
  CEDANA_RETURN_IF_ERROR(CheckChoice(flags.all, arguments));
  CEDANA_ASSIGN_OR_RETURN(std::unique_ptr<Client> client, Client::Connect(session.config));
  CEDANA_ASSIGN_OR_RETURN(const std::vector<std::string> jobs,
                          ChosenJobs(session, *client, flags.all, "delete", arguments));
  if (jobs.empty()) return 0;
  daemon_api::DeleteReq request;
  for (const std::string& job : jobs) request.add_jids(job);
  request.set_checkpoints(flags.checkpoints);
  daemon_api::DeleteResp response;
  // Deleting checkpoints talks to the storage, once for each.
  const absl::Duration timeout = flags.checkpoints ? absl::Minutes(10) : kJobTimeout;
  CEDANA_RETURN_IF_ERROR(client->Call(&Daemon::Stub::Delete, request, &response, timeout));
  PrintMessages(session.terminal, response, flags.output);
  return 0;
}

RunCommand PrepareList(CLI::App& app) {
  auto output = std::make_shared<std::string>("text");
  AddOutput(app, output.get());
  Refuse(app, {"-a,--all"});
  return [output](Session& session, const std::vector<std::string>&) {
    return List(session, *output);
  };
}

RunCommand PrepareInspect(CLI::App& app) {
  auto output = std::make_shared<std::string>("text");
  AddOutput(app, output.get());
  return [output](Session& session, const std::vector<std::string>& arguments) {
    return Inspect(session, *output, arguments[0]);
  };
}

RunCommand PrepareKill(CLI::App& app) {
  auto flags = std::make_shared<ManyFlags>();
  app.add_flag("-a,--all", flags->all, "all jobs; asks first");
  app.add_option("-s,--signal", flags->signal, "signal to send, by name or number (KILL)");
  AddOutput(app, &flags->output);
  return [flags](Session& session, const std::vector<std::string>& arguments) {
    return Kill(session, *flags, arguments);
  };
}

RunCommand PrepareDelete(CLI::App& app) {
  auto flags = std::make_shared<ManyFlags>();
  app.add_flag("-a,--all", flags->all, "all jobs; asks first");
  app.add_flag("--checkpoints", flags->checkpoints, "their checkpoints in the storage too");
  AddOutput(app, &flags->output);
  return [flags](Session& session, const std::vector<std::string>& arguments) {
    return Delete(session, *flags, arguments);
  };
}

}  // namespace

std::vector<Command> JobCommands() {
  return {
      {.path = "job list",
       .aliases = {"job ls", "ps", "jobs"},
       .summary = "List the jobs with their newest checkpoints",
       .prepare = PrepareList},
      {.path = "job inspect",
       .arguments = "<JID>",
       .summary = "Show all that is known about a job",
       .arguments_min = 1,
       .arguments_max = 1,
       .completes = "jobs",
       .prepare = PrepareInspect},
      {.path = "job kill",
       .aliases = {"kill"},
       .arguments = "<JID>...",
       .summary = "Kill jobs",
       .arguments_max = -1,
       .completes = "jobs",
       .prepare = PrepareKill},
      {.path = "job delete",
       .aliases = {"delete"},
       .arguments = "<JID>...",
       .summary = "Forget jobs that have ended",
       .arguments_max = -1,
       .completes = "jobs",
       .prepare = PrepareDelete},
  };
}

}  // namespace cedana::cli
