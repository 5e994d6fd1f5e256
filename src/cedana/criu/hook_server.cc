#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <list>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "cedana/criu/criu.h"
#include "cedana/criu/unix_socket_internal.h"
#include "core/base/status.h"
#include "core/base/thread.h"

namespace cedana::criu {
namespace {

constexpr absl::Duration kBeat = absl::Seconds(1);
constexpr size_t kLineBytesMax = 64;
constexpr size_t kCallsMax = 16;  // CRIU makes one at a time

struct Question {
  std::string action;
  int init_pid = 0;
};

absl::StatusOr<Question> ParseLine(absl::string_view line) {
  Question question;
  const std::vector<std::string> parts = absl::StrSplit(line, ' ');
  if (parts.size() != 2 || parts[0].empty() || !absl::SimpleAtoi(parts[1], &question.init_pid)) {
    return absl::InvalidArgumentError("malformed line from CRIU's hook");
  }
  question.action = parts[0];
  return question;
}

// One run of the hook.
struct Call {
  base::UniqueFd socket;
  std::string line;  // as far as it has come
  bool deciding = false;
  bool done = false;    // answered, or to be dropped
  base::Thread thread;  // runs `decide`
};

class HookServing final : public HookServer {
 public:
  HookServing(Decide decide, base::UniqueFd listener, base::UniqueFd wake)
      : decide_(std::move(decide)), listener_(std::move(listener)), wake_(std::move(wake)) {
    control_ = base::Thread("hook-control", [this] { Run(); });
  }
  ~HookServing() override {
    Close();
    control_.Join();
    // Outside the lock: their threads take it at their end.
    std::list<Call> calls;
    {
      absl::MutexLock lock(&mutex_);
      calls.swap(calls_);
    }
  }

  void Close() override {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    for (Call& call : calls_) Answer(call, 'n');
    Signal(wake_.get());
  }

 private:
  void Run();
  void Accept();
  void ReadLine(Call& call) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Answer(Call& call, char byte) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::list<Call> TakeDone();

  const Decide decide_;
  base::UniqueFd listener_;    // control thread
  const base::UniqueFd wake_;  // readable for ever once closed
  absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::list<Call> calls_ ABSL_GUARDED_BY(mutex_);  // grows and shrinks on the control thread only
  base::Thread control_;
};

void HookServing::Run() {
  absl::Time next_beat = absl::Now() + kBeat;
  while (true) {
    std::vector<pollfd> polled = {{wake_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    {
      absl::MutexLock lock(&mutex_);
      if (closed_) break;
      for (const Call& call : calls_) {
        if (!call.deciding && !call.done) polled.push_back({call.socket.get(), POLLIN, 0});
      }
    }
    const int64_t wait_ms = absl::ToInt64Milliseconds(next_beat - absl::Now());
    ::poll(polled.data(), polled.size(), static_cast<int>(std::clamp<int64_t>(wait_ms, 1, 1000)));
    TakeDone();
    Accept();
    absl::MutexLock lock(&mutex_);
    for (Call& call : calls_) {
      if (!call.deciding && !call.done) ReadLine(call);
    }
    if (absl::Now() < next_beat) continue;
    next_beat = absl::Now() + kBeat;
    for (Call& call : calls_) {
      // A hook that has gone is noticed by CRIU; the decision is taken to its end all the same.
      if (call.deciding && !call.done)
        ::send(call.socket.get(), "b", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
  }  // Who asks from now on, or waits to be accepted, is refused at once.
  listener_.Reset();
}

void HookServing::Accept() {
  base::UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!socket.valid()) return;
  absl::MutexLock lock(&mutex_);
  // Too many, or closed: the socket closes, which is a no.
  if (closed_ || calls_.size() >= kCallsMax) return;
  calls_.emplace_back().socket = std::move(socket);
}

void HookServing::ReadLine(Call& call) {
  char bytes[kLineBytesMax];
  const ssize_t got = ::recv(call.socket.get(), bytes, sizeof(bytes), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got > 0) call.line.append(bytes, static_cast<size_t>(got));
  const bool complete = absl::EndsWith(call.line, "\n");
  if (got > 0 && !complete && call.line.size() < kLineBytesMax) return;
  absl::StatusOr<Question> question = ParseLine(absl::StripSuffix(call.line, "\n"));
  if (!complete || !question.ok()) return Answer(call, 'n');
  try {
    call.thread = base::Thread("hook-decide", [this, &call, question = *std::move(question)] {
      const absl::Status verdict = decide_(question.action, question.init_pid);
      absl::MutexLock lock(&mutex_);
      Answer(call, verdict.ok() ? 'y' : 'n');
    });
    call.deciding = true;
  } catch (const std::system_error&) {  // no more threads
    Answer(call, 'n');
  }
}

// The first answer stays: after Close a late yes finds the socket closed.
void HookServing::Answer(Call& call, char byte) {
  if (call.done) return;
  ::send(call.socket.get(), &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
  call.socket.Reset();
  call.done = true;
}

std::list<Call> HookServing::TakeDone() {
  std::list<Call> done;
  absl::MutexLock lock(&mutex_);
  for (auto it = calls_.begin(); it != calls_.end();) {
    const auto next = std::next(it);
    if (it->done) done.splice(done.end(), calls_, it);
    it = next;
  }
  return done;
}

}  // namespace

absl::StatusOr<std::unique_ptr<HookServer>> HookServer::Listen(const std::string& folder,
                                                               Decide decide) {
  CEDANA_ASSIGN_OR_RETURN(base::UniqueFd wake, MakeEvent());
  CEDANA_ASSIGN_OR_RETURN(base::UniqueFd listener, ListenUnix(absl::StrCat(folder, "/hook.sock")));
  return std::make_unique<HookServing>(std::move(decide), std::move(listener), std::move(wake));
}

}  // namespace cedana::criu
