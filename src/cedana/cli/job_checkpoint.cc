// `job checkpoint list|delete`.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "cedana/cli/client_internal.h"
#include "cedana/cli/command.h"
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
// Deleting asks the storage.
constexpr absl::Duration kDeleteTimeout = absl::Minutes(1);

std::string SizeOrNone(int64_t bytes) { return bytes > 0 ? SizeText(bytes) : kNone; }

absl::StatusOr<int> List(Session& session, const std::string& output, const std::string& jid) {
  CEDANA_ASSIGN_OR_RETURN(std::unique_ptr<Client> client, Client::Connect(session.config));
  daemon_api::ListCheckpointsReq request;
  request.set_jid(jid);
  request.set_defaultdir(DefaultDir(session.config));
  daemon_api::ListCheckpointsResp response;
  CEDANA_RETURN_IF_ERROR(
      client->Call(&Daemon::Stub::ListCheckpoints, request, &response, kJobTimeout));
  for (const std::string& message : response.messages()) session.terminal.ErrLine(message);
  auto& checkpoints = *response.mutable_checkpoints();
  std::stable_sort(checkpoints.begin(), checkpoints.end(),
                   [](const auto& a, const auto& b) { return a.time() > b.time(); });
  if (IsJson(output)) {
    Json list = Json::array();
    for (const auto& checkpoint : checkpoints) list.push_back(MessageToJson(checkpoint));
    session.terminal.Out(ToJsonText(list));
    return 0;
  }
  if (checkpoints.empty()) {
    session.terminal.OutLine(absl::StrCat("No checkpoints found for job ", jid));
    return 0;
  }
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"id"}, {"time"}, {"size", kRight}, {"path"}, {"new", kRight}, {"durability"}});
  for (const daemon_api::Checkpoint& checkpoint : checkpoints) {
    const std::string& durability = checkpoint.durability();
    table.Add({checkpoint.id(), TimeText(checkpoint.time()), SizeOrNone(checkpoint.size()),
               checkpoint.path(), SizeOrNone(checkpoint.newbytes()),
               Cell(durability.empty() ? kNone : durability,
                    IsDurable(durability) ? Color::kGreen : Color::kYellow)});
  }
  session.terminal.Out(table.Render(session.terminal.color_out()));
  session.terminal.OutLine("");
  session.terminal.OutLine("Use `cedana restore job --path <PATH> <JID>` to restore one of them.");
  return 0;
}

absl::StatusOr<int> Delete(Session& session, const std::vector<std::string>& ids) {
  CEDANA_ASSIGN_OR_RETURN(std::unique_ptr<Client> client, Client::Connect(session.config));
  size_t failed = 0;
  absl::Status last;
  for (const std::string& id : ids) {
    daemon_api::DeleteCheckpointReq request;
    request.set_id(id);
    request.set_defaultdir(DefaultDir(session.config));
    daemon_api::DeleteCheckpointResp response;
    const absl::Status status =
        client->Call(&Daemon::Stub::DeleteCheckpoint, request, &response, kDeleteTimeout);
    if (status.ok()) {
      session.terminal.OutLine(absl::StrCat("Deleted checkpoint ", id));
      continue;
    }
    ++failed;
    last = status;
    if (ids.size() > 1) {
      session.terminal.OutLine(
          absl::StrCat("Failed to delete checkpoint ", id, ": ", status.message()));
    }
  }
  if (failed == 0) return 0;
  if (ids.size() == 1) return last;
  return absl::Status(last.code(), absl::StrCat("Deleted ", ids.size() - failed, " checkpoint(s), ",
                                                failed, " failed"));
}

RunCommand PrepareList(CLI::App& app) {
  auto output = std::make_shared<std::string>("text");
  AddOutput(app, output.get());
  return [output](Session& session, const std::vector<std::string>& arguments) {
    return List(session, *output, arguments[0]);
  };
}

}  // namespace

std::vector<Command> CheckpointCommands() {
  return {
      {.path = "job checkpoint list",
       .aliases = {"job checkpoint ls", "job checkpoints", "checkpoint list", "checkpoint ls",
                   "checkpoints"},
       .arguments = "<JID>",
       .summary = "List the checkpoints of a job, newest first, also those of other hosts",
       .arguments_min = 1,
       .arguments_max = 1,
       .completes = "jobs",
       .prepare = PrepareList},
      {.path = "job checkpoint delete",
       .aliases = {"checkpoint delete"},
       .arguments = "<ID|PATH>...",
       .summary = "Delete checkpoints with their data, also those of other hosts",
       .arguments_min = 1,
       .arguments_max = -1,
       .prepare = [](CLI::App&) -> RunCommand { return Delete; }},
  };
}

}  // namespace cedana::cli
