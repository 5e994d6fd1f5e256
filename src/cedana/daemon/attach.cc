#include "cedana/daemon/attach.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cedana/runtime/procfs.h"
#include "core/base/context.h"
#include "core/base/fd.h"
#include "core/base/status.h"
#include "core/base/thread.h"

namespace cedana::daemon {
namespace {

constexpr absl::Duration kLogPoll = absl::Milliseconds(30);
constexpr size_t kChunkBytes = 64 << 10;
// After the exit code the caller closes his side; hanging up at once could cut the code off.
constexpr absl::Duration kCloseTimeout = absl::Seconds(3);

// The thread that takes a caller's input. Ends with the caller, at the latest when destroyed.
class InputThread {
 public:
  using Handle = std::function<void(const AttachPort::Input&)>;
  // `handle` gets every message, kGone as the last.
  InputThread(const AttachPort& port, Handle handle) : port_(port) {
    thread_ = base::Thread("attach-in", [this, handle = std::move(handle)] {
      while (true) {
        const AttachPort::Input message = port_.receive();
        handle(message);
        if (message.kind == AttachPort::InputKind::kGone) break;
      }
      gone_.Cancel(absl::CancelledError("the caller has gone"));
    });
  }
  ~InputThread() {
    if (!gone_.WaitFor(kCloseTimeout)) port_.hang_up();
  }
  bool gone() const { return gone_.cancelled(); }

 private:
  const AttachPort& port_;
  base::CancelSource gone_;
  base::Thread thread_;
};

// To the whole group where the job leads one, as a terminal's ^C does.
void SendSignal(const JobRecord& record, int signal) {
  if (!runtime::IsAlive(record.process) || signal <= 0 || signal >= NSIG) return;
  const auto stat = runtime::ReadStat(record.process.pid);
  const bool leads = stat.ok() && stat->pgrp == record.process.pid;
  ::kill(leads ? -record.process.pid : record.process.pid, signal);
}

absl::Status AttachPipes(const std::shared_ptr<Job>& job, const AttachPort& port) {
  const JobRecord record = job->record();
  auto shim = runtime::ShimAttach::Connect(record.folder);
  if (!shim.ok()) {
    if (!record.ended) return shim.status();
    port.send_exit(record.exit.ShellCode());
    return absl::OkStatus();
  }
  const InputThread input(port, [&](const AttachPort::Input& message) {
    // A job that reads no input any more may still give output, so its errors are nothing here.
    switch (message.kind) {
      case AttachPort::InputKind::kStdin:
        (*shim)->SendStdin(message.bytes).IgnoreError();
        break;
      case AttachPort::InputKind::kStdinClosed:
        (*shim)->CloseStdin().IgnoreError();
        break;
      case AttachPort::InputKind::kSignal:
        SendSignal(job->record(), message.signal);
        break;
      case AttachPort::InputKind::kGone:
        (*shim)->Close();
        break;
    }
  });
  absl::Status status;
  while (true) {
    const auto output = (*shim)->Next();
    if (!output.ok()) {
      status = output.status();
      break;
    }
    if (output->stream == 0) {
      port.send_exit(output->exit.ShellCode());
      break;
    }
    if (!port.send(output->stream, output->bytes)) break;
  }
  return absl::IsCancelled(status) ? absl::OkStatus() : status;
}

// Sends what the log has past `offset`; false when the caller has left.
bool SendNewLog(int fd, int64_t* offset, const AttachPort& port) {
  std::string chunk(kChunkBytes, '\0');
  while (true) {
    const ssize_t got = ::pread(fd, chunk.data(), chunk.size(), *offset);
    if (got <= 0) return true;
    *offset += got;
    if (!port.send(1, chunk.substr(0, static_cast<size_t>(got)))) return false;
  }
}

absl::Status AttachLog(Jobs& jobs, const std::shared_ptr<Job>& job, const AttachPort& port) {
  const JobRecord record = job->record();
  if (record.log.empty() || record.log_offset < 0) {
    return absl::NotFoundError(absl::StrCat("process ", record.process.pid, " has no IO slave"));
  }
  base::UniqueFd log(::open(record.log.c_str(), O_RDONLY | O_CLOEXEC));
  if (!log.valid()) return base::ErrnoStatus(errno, record.log);
  const InputThread input(port, [&](const AttachPort::Input& message) {
    if (message.kind == AttachPort::InputKind::kSignal) SendSignal(record, message.signal);
  });
  int64_t offset = record.log_offset;
  while (!input.gone()) {
    const bool running = Jobs::IsRunning(job->record());
    if (!SendNewLog(log.get(), &offset, port)) break;
    if (running) {
      absl::SleepFor(kLogPoll);
      continue;
    }
    // Ended, and everything it wrote before was just sent. Its exit status is written down soon.
    const absl::Time limit = absl::Now() + absl::Seconds(5);
    while (!job->record().ended && absl::Now() < limit) {
      if (job->Lock(absl::Milliseconds(100))) {
        jobs.Refresh(*job);
        job->Unlock();
      }
    }
    port.send_exit(job->record().exit.ShellCode());
    break;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Attach(Jobs& jobs, const std::shared_ptr<Job>& job, const AttachPort& port) {
  return job->record().attachable ? AttachPipes(job, port) : AttachLog(jobs, job, port);
}

}  // namespace cedana::daemon
