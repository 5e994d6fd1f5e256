#include <string>

#include "absl/strings/cord.h"

#include "cedana/daemon/messages_internal.h"
#include "cedana/daemon/newest.h"
#include "cedana/runtime/procfs.h"

namespace cedana::daemon {
namespace {

const char* StateName(char state) {
  switch (state) {
    case 'R':
      return "running";
    case 'S':
      return "sleep";
    case 'D':
      return "blocked";
    case 'I':
      return "idle";
    case 'T':
    case 't':
      return "stop";
    case 'Z':
      return "zombie";
    default:
      return "unknown";
  }
}

}  // namespace

grpc::Status ToGrpc(const absl::Status& status) {
  const auto details = status.GetPayload(kDetailsPayload);
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()),
                      details.has_value() ? std::string(*details) : "");
}

daemon_api::Checkpoint ToMessage(const CheckpointRecord& record, const std::string& job_name) {
  daemon_api::Checkpoint message;
  message.set_id(record.id);
  message.set_jid(job_name);
  message.set_path(record.url);
  message.set_time(record.time_ms);
  message.set_size(record.size);
  message.set_newbytes(record.new_bytes);
  message.set_durability(record.durability);
  return message;
}

daemon_api::Job ToMessage(const JobRecord& record, const CheckpointRecord* latest) {
  daemon_api::Job message;
  const bool running = Jobs::IsRunning(record);
  message.set_jid(record.name);
  message.set_type(record.type);
  message.set_log(record.attachable ? "" : record.log);
  message.set_uuid(record.uuid);
  message.set_attachable(record.attachable);
  message.set_exited(record.ended);
  message.set_exitcode(record.exit.ShellCode());
  message.set_note(record.note);
  daemon_api::Process* process = message.mutable_details()->mutable_process();
  message.mutable_details()->set_jid(record.name);
  process->set_pid(static_cast<uint32_t>(record.process.pid));
  process->set_workingdir(record.working_dir);
  daemon_api::ProcessState* state = message.mutable_state();
  state->set_pid(static_cast<uint32_t>(record.process.pid));
  state->set_cmdline(record.command_line);
  state->set_workingdir(record.working_dir);
  state->set_isrunning(running);
  state->add_uids(record.uid);
  state->add_gids(record.gid);
  state->set_status("halted");
  if (running) {
    const auto stat = runtime::ReadStat(record.process.pid);
    if (stat.ok()) {
      state->set_status(StateName(stat->state));
      state->set_sid(static_cast<uint32_t>(stat->session));
    }
  }
  state->mutable_host()->set_hostname(runtime::HostName());
  if (latest != nullptr) *message.mutable_latest() = ToMessage(*latest, record.name);
  return message;
}

}  // namespace cedana::daemon
