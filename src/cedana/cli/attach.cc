#include <poll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <atomic>
#include <cerrno>
#include <optional>

#include "absl/strings/str_cat.h"
#include "cedana/cli/attach_internal.h"
#include "cedana/cli/command.h"
#include "cedana/cli/flags.h"
#include "core/base/fd.h"
#include "core/base/status.h"
#include "core/base/thread.h"

namespace cedana::cli {
namespace {

using Stream = grpc::ClientReaderWriter<daemon_api::AttachReq, daemon_api::AttachResp>;

constexpr size_t kStdinBytes = 64 << 10;

// The sending half: stdin and signals come on two threads, gRPC wants one writer at a time.
class Sender {
 public:
  explicit Sender(Stream* stream) : stream_(stream) {}

  // The first message, which names the job; a failure shows when we read.
  void Start(uint32_t pid) {
    daemon_api::AttachReq first;
    first.set_pid(pid);
    absl::MutexLock lock(&mutex_);
    stream_->Write(first);
    started_ = true;
    for (const int signal : early_signals_) WriteSignal(signal);
  }
  bool Send(const daemon_api::AttachReq& request) {
    absl::MutexLock lock(&mutex_);
    return stream_->Write(request);
  }
  void SendSignal(int signal) {
    absl::MutexLock lock(&mutex_);
    if (started_) {
      WriteSignal(signal);
    } else {
      early_signals_.push_back(signal);
    }
  }

 private:
  void WriteSignal(int signal) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    daemon_api::AttachReq request;
    request.set_signal(signal);
    stream_->Write(request);
  }

  absl::Mutex mutex_;
  Stream* const stream_ ABSL_PT_GUARDED_BY(mutex_);
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<int> early_signals_ ABSL_GUARDED_BY(mutex_);
};

// Copies `fd` to the job until its end, or until `stop` is closed at the other end.
void CopyStdin(int fd, int stop, Sender* sender) {
  std::array<char, kStdinBytes> buffer;
  while (true) {
    pollfd fds[] = {{fd, POLLIN, 0}, {stop, POLLIN, 0}};
    if (::poll(fds, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return;
    }
    if (fds[1].revents != 0) return;
    if (fds[0].revents == 0) continue;
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count < 0) return;  // a terminal that we are not in the foreground of: not its end
    daemon_api::AttachReq request;
    if (count == 0) {
      request.set_stdinclosed(true);
    } else {
      request.set_stdin(buffer.data(), count);
    }
    if (!sender->Send(request) || count == 0) return;
  }
}

absl::StatusOr<int> AttachByPid(Session& session, uint32_t pid) {
  CEDANA_ASSIGN_OR_RETURN(std::unique_ptr<Client> client, Client::Connect(session.config));
  daemon_api::ListReq request;
  daemon_api::ListResp response;
  CEDANA_RETURN_IF_ERROR(
      client->Call(&daemon_api::Daemon::Stub::List, request, &response, kJobTimeout));
  AttachOptions options;
  for (const daemon_api::Job& job : response.jobs()) {
    if (job.state().pid() == pid && job.state().isrunning())
      options.forward_stdin = job.attachable();
  }
  return Attach(*client, session.terminal, pid, options);
}

absl::StatusOr<int> AttachByJob(Session& session, const std::string& jid) {
  CEDANA_ASSIGN_OR_RETURN(std::unique_ptr<Client> client, Client::Connect(session.config));
  daemon_api::GetReq request;
  request.set_jid(jid);
  daemon_api::GetResp response;
  CEDANA_RETURN_IF_ERROR(
      client->Call(&daemon_api::Daemon::Stub::Get, request, &response, kJobTimeout));
  const daemon_api::Job& job = response.job();
  AttachOptions options;
  options.forward_stdin = job.attachable();
  return Attach(*client, session.terminal, job.state().pid(), options);
}

}  // namespace

absl::StatusOr<int> Attach(Client& client, const Terminal& terminal, uint32_t pid,
                           const AttachOptions& options) {
  CEDANA_ASSIGN_OR_RETURN(base::Pipe stop, base::MakePipe());
  Client::Context context(&client, kNoTimeout);
  const std::unique_ptr<Stream> stream = client.stub().Attach(context.get());
  Sender sender(stream.get());
  std::atomic<bool> detached = false;
  client.signals().SetHandler([&](int signal) {
    if (options.forward_signals) {
      sender.SendSignal(signal);
      return;
    }
    detached = true;
    context.get()->TryCancel();
  });
  sender.Start(pid);
  base::Thread stdin_thread;
  if (options.forward_stdin) {
    stdin_thread =
        base::Thread("attach stdin", [&] { CopyStdin(terminal.in(), stop.read.get(), &sender); });
  }

  std::optional<int> exit_code;
  daemon_api::AttachResp response;
  while (!exit_code.has_value() && stream->Read(&response)) {
    if (response.has_stdout()) terminal.Out(response.stdout());
    if (response.has_stderr()) terminal.Err(response.stderr());
    if (response.has_exitcode()) exit_code = response.exitcode();
  }
  // Nothing more is wanted: this frees a sender that waits for room. A stream that the daemon ended
  // fails every write by itself, and still has its status to tell.
  if (exit_code.has_value()) context.get()->TryCancel();
  stop.write.Reset();
  stdin_thread.Join();
  client.signals().SetHandler([&client](int) { client.CancelAll(); });
  const absl::Status status = client.FromGrpc(stream->Finish());
  if (exit_code.has_value()) return *exit_code;
  if (detached) return absl::CancelledError("Detached");
  CEDANA_RETURN_IF_ERROR(status);
  return absl::UnknownError("the daemon ended the connection without an exit code");
}

absl::StatusOr<int> AttachToNewJob(Client& client, const Terminal& terminal, uint32_t pid,
                                   const std::string& jid) {
  AttachOptions options;
  options.forward_signals = true;
  daemon_api::GetReq request;
  request.set_jid(jid);
  daemon_api::GetResp response;
  // A job that has ended meanwhile is still known; if not, attaching says so.
  const absl::Status known =
      client.Call(&daemon_api::Daemon::Stub::Get, request, &response, kJobTimeout);
  if (known.ok()) options.forward_stdin = response.job().attachable();
  return Attach(client, terminal, pid, options);
}

std::vector<Command> AttachCommands() {
  Command by_pid;
  by_pid.path = "attach";
  by_pid.arguments = "<PID>";
  by_pid.summary = "Attach to a job by its PID; Ctrl+C detaches, the job runs on";
  by_pid.arguments_min = by_pid.arguments_max = 1;
  by_pid.prepare = [](CLI::App&) -> RunCommand {
    return [](Session& session, const std::vector<std::string>& arguments) -> absl::StatusOr<int> {
      CEDANA_ASSIGN_OR_RETURN(const uint32_t pid, ParsePid(arguments[0]));
      return AttachByPid(session, pid);
    };
  };
  Command by_job;
  by_job.path = "job attach";
  by_job.arguments = "<JID>";
  by_job.summary = "Attach to a job; Ctrl+C detaches, the job runs on";
  by_job.arguments_min = by_job.arguments_max = 1;
  by_job.completes = "jobs";
  by_job.prepare = [](CLI::App&) -> RunCommand {
    return [](Session& session, const std::vector<std::string>& arguments) {
      return AttachByJob(session, arguments[0]);
    };
  };
  return {by_pid, by_job};
}

}  // namespace cedana::cli
