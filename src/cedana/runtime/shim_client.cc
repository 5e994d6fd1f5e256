#include "cedana/runtime/shim_client.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "cedana/runtime/procfs.h"
#include "cedana/runtime/shim_wire.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/base/thread.h"

namespace cedana::runtime {
namespace {

using base::Json;

constexpr absl::Duration kBeat = absl::Seconds(1);
// An answer that needs longer means a shim that hangs. A start may take 10 s (spawn.cc).
constexpr absl::Duration kAnswerTimeout = absl::Seconds(30);
constexpr absl::Duration kReapPoll = absl::Milliseconds(5);

// A reader thread hands each packet to whom it belongs: answers by their number, CRIU's end by the
// number of the request that started it.
class Client : public ShimClient {
 public:
  Client(std::string folder, base::UniqueFd socket)
      : folder_(std::move(folder)), socket_(std::move(socket)) {}
  ~Client() override {
    ::shutdown(socket_.get(), SHUT_RDWR);
    reader_.Join();
  }

  absl::Status Hello() {
    CEDANA_RETURN_IF_ERROR(SendMessage(socket_.get(), Json{{"role", "control"}}));
    CEDANA_ASSIGN_OR_RETURN(const Json reply, ReceiveMessage(socket_.get()));
    CEDANA_RETURN_IF_ERROR(StatusOfReply(reply));
    reader_ = base::Thread("shim-client", [this] { Read(); });
    return absl::OkStatus();
  }

  absl::StatusOr<ShimState> State() override {
    CEDANA_ASSIGN_OR_RETURN(const Json reply, Call("state", Json::object()));
    return ShimStateFromJson(reply.value("state", Json::object()));
  }

  absl::StatusOr<ProcessIdentity> Start(const StartRequest& request) override {
    CEDANA_ASSIGN_OR_RETURN(const Json reply, Call("start", Json{{"start", ToJson(request)}}));
    return ProcessIdentity{static_cast<int>(base::IntOr(reply, "pid", 0)),
                           static_cast<uint64_t>(base::IntOr(reply, "start_ticks", 0))};
  }

  absl::Status Adopt(const ProcessIdentity& process, bool child) override {
    return Call("adopt",
                Json{{"pid", process.pid}, {"start_ticks", process.start_ticks}, {"child", child}})
        .status();
  }

  absl::StatusOr<CriuExit> RunCriu(const CriuRequest& request,
                                   std::function<void(int)> on_started) override;
  absl::Status RestoreYes() override { return Call("restore_yes", Json::object()).status(); }
  absl::StatusOr<std::optional<ExitStatus>> WaitExit(absl::Duration timeout) override;
  absl::Status ReapAll(const std::vector<int>& pids, absl::Duration timeout) override;
  void Release() override { Send(Json{{"op", "release"}}).IgnoreError(); }
  const std::string& folder() const override { return folder_; }

 private:
  void Read();
  absl::Status Send(const Json& message) {
    absl::MutexLock lock(&send_mutex_);
    return SendMessage(socket_.get(), message);
  }
  int64_t NextId() {
    absl::MutexLock lock(&mutex_);
    return next_id_++;
  }
  absl::StatusOr<Json> CallWithId(int64_t id, absl::string_view name, Json message);
  absl::StatusOr<Json> Call(absl::string_view name, Json message) {
    return CallWithId(NextId(), name, std::move(message));
  }
  absl::Status Gone() const {
    return absl::UnavailableError(absl::StrCat("the shim in ", folder_, " is gone"));
  }

  const std::string folder_;
  const base::UniqueFd socket_;
  absl::Mutex send_mutex_;
  absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  absl::flat_hash_map<int64_t, std::optional<Json>> replies_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<int64_t, std::optional<CriuExit>> operations_ ABSL_GUARDED_BY(mutex_);
  int job_exits_ ABSL_GUARDED_BY(mutex_) = 0;  // counts the shim's notices
  base::Thread reader_;
};

void Client::Read() {
  while (true) {
    auto message = ReceiveMessage(socket_.get());
    absl::MutexLock lock(&mutex_);
    if (!message.ok()) {
      closed_ = true;
      return;
    }
    const std::string event = base::StringOr(*message, "event", "");
    if (event == "job_exit") {
      ++job_exits_;
    } else if (event == "criu_exit") {
      const auto it = operations_.find(base::IntOr(*message, "operation", 0));
      if (it == operations_.end()) continue;
      it->second = CriuExit{static_cast<int>(base::IntOr(*message, "code", 0)),
                            static_cast<int>(base::IntOr(*message, "signal", 0))};
    } else if (const auto it = replies_.find(base::IntOr(*message, "id", 0));
               it != replies_.end()) {
      it->second = *std::move(message);
    }
  }
}

absl::StatusOr<Json> Client::CallWithId(int64_t id, absl::string_view name, Json message) {
  message["op"] = std::string(name);
  message["id"] = id;
  {
    absl::MutexLock lock(&mutex_);
    replies_[id] = std::nullopt;
  }
  const absl::Status sent = Send(message);
  absl::MutexLock lock(&mutex_);
  if (sent.ok()) {
    const auto answered = [this, id]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return closed_ || replies_[id].has_value();
    };
    mutex_.AwaitWithTimeout(absl::Condition(&answered), kAnswerTimeout);
  }
  const std::optional<Json> reply = std::move(replies_[id]);
  replies_.erase(id);
  if (absl::IsInvalidArgument(sent)) return sent;
  if (!sent.ok() || (closed_ && !reply)) return Gone();
  if (!reply) {
    return absl::UnavailableError(absl::StrCat("the shim in ", folder_, " does not answer"));
  }
  CEDANA_RETURN_IF_ERROR(StatusOfReply(*reply));
  return *reply;
}

absl::StatusOr<CriuExit> Client::RunCriu(const CriuRequest& request,
                                         std::function<void(int)> on_started) {
  const int64_t id = NextId();
  {
    absl::MutexLock lock(&mutex_);
    operations_[id] = std::nullopt;
  }
  const auto started = CallWithId(id, "criu", Json{{"criu", ToJson(request)}});
  if (started.ok() && on_started) on_started(static_cast<int>(base::IntOr(*started, "pid", 0)));
  absl::MutexLock lock(&mutex_);
  const auto ended = [this, id]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return closed_ || operations_[id].has_value();
  };
  while (started.ok() && !mutex_.AwaitWithTimeout(absl::Condition(&ended), kBeat)) {
    mutex_.Unlock();
    Send(Json{{"op", "beat"}}).IgnoreError();
    mutex_.Lock();
  }
  const std::optional<CriuExit> exit = operations_[id];
  operations_.erase(id);
  CEDANA_RETURN_IF_ERROR(started.status());
  if (!exit) return Gone();
  return *exit;
}

absl::StatusOr<std::optional<ExitStatus>> Client::WaitExit(absl::Duration timeout) {
  base::Clock& clock = base::SystemClock();
  const absl::Duration deadline = clock.Monotonic() + timeout;
  while (true) {
    int seen;
    {
      absl::MutexLock lock(&mutex_);
      seen = job_exits_;
    }
    CEDANA_ASSIGN_OR_RETURN(const ShimState state, State());
    if (state.exit) return state.exit;
    const absl::Duration left = deadline - clock.Monotonic();
    if (left <= absl::ZeroDuration()) return std::nullopt;
    absl::MutexLock lock(&mutex_);
    const auto changed = [this, seen]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return closed_ || job_exits_ != seen;
    };
    mutex_.AwaitWithTimeout(absl::Condition(&changed), left);
    if (closed_) return Gone();
  }
}

absl::Status Client::ReapAll(const std::vector<int>& pids, absl::Duration timeout) {
  // The shim reaps whatever ends below it at once; what is left to do is to see it gone.
  base::Clock& clock = base::SystemClock();
  const absl::Duration deadline = clock.Monotonic() + timeout;
  for (const int pid : pids) {
    while (ReadStat(pid).ok()) {
      if (clock.Monotonic() >= deadline) {
        return absl::DeadlineExceededError(absl::StrCat("process ", pid, " is still there"));
      }
      clock.Sleep(kReapPoll);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ShimClient>> Open(const std::string& folder) {
  CEDANA_ASSIGN_OR_RETURN(base::UniqueFd socket, ConnectAt(folder));
  auto client = std::make_unique<Client>(folder, std::move(socket));
  CEDANA_RETURN_IF_ERROR(client->Hello());
  return client;
}

// Runs the program with `listener` as its descriptor 3 until it has detached itself.
absl::Status SpawnShim(const std::string& program, const std::vector<std::string>& arguments,
                       const base::UniqueFd& listener) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  for (int fd = 0; fd < 3; ++fd) {
    posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
  }
  posix_spawn_file_actions_adddup2(&actions, listener.get(), kShimListenFd);
  sigset_t signals;
  sigfillset(&signals);
  posix_spawnattr_setsigdefault(&attributes, &signals);
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&attributes, &signals);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  pid_t pid = -1;
  const int error =
      ::posix_spawn(&pid, program.c_str(), &actions, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return base::ErrnoStatus(error, program);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno == EINTR) continue;
    return absl::OkStatus();  // somebody else reaped it: the connection will tell
  }
  if (status != 0) return absl::InternalError(absl::StrCat(program, " did not start"));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<ShimClient>> ShimClient::Launch(
    const std::string& shim_program, const std::string& folder,
    const std::vector<std::string>& options) {
  CEDANA_RETURN_IF_ERROR(base::MakeDirs(folder, 0700));
  CEDANA_ASSIGN_OR_RETURN(base::UniqueFd bound, ListenAt(folder));
  // Away from the number it is to have: there posix_spawn would leave its close-on-exec flag on.
  const base::UniqueFd listener(::fcntl(bound.get(), F_DUPFD_CLOEXEC, kShimListenFd + 1));
  if (!listener.valid()) return base::ErrnoStatus(errno, "dup");
  bound.Reset();
  std::vector<std::string> arguments = options;
  arguments.push_back(folder);
  CEDANA_RETURN_IF_ERROR(SpawnShim(shim_program, arguments, listener));
  // It listens already, so connecting cannot come too early.
  return Open(folder);
}

absl::StatusOr<std::unique_ptr<ShimClient>> ShimClient::Connect(const std::string& folder) {
  return Open(folder);
}

absl::StatusOr<std::optional<ExitStatus>> ReadExitFile(const std::string& folder) {
  const auto text = base::ReadFile(absl::StrCat(folder, "/", kShimExitFile), 64 << 10);
  if (absl::IsNotFound(text.status())) return std::nullopt;
  CEDANA_RETURN_IF_ERROR(text.status());
  CEDANA_ASSIGN_OR_RETURN(const Json json, base::ParseJson(*text));
  return ExitStatusFromJson(json);
}

}  // namespace cedana::runtime
