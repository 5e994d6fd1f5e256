#include "cedana/criu/testing/criu_trial.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "cedana/criu/unix_socket_internal.h"
#include "core/base/fd.h"
#include "core/base/status.h"

namespace cedana::criu {
namespace {

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& text : strings) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// Fields of /proc/PID/stat from the state on; empty when there is no such process.
std::vector<std::string> Stat(pid_t pid) {
  const std::string text = base::ReadFile(absl::StrCat("/proc/", pid, "/stat")).value_or("");
  const size_t end = text.rfind(") ");
  if (end == std::string::npos) return {};
  return absl::StrSplit(text.substr(end + 2), ' ');
}

}  // namespace

absl::Status ImageMap::Store(const std::string& name, transfer::ByteSource& source) {
  std::string content;
  std::vector<uint8_t> buffer(256 << 10);
  while (true) {
    CEDANA_ASSIGN_OR_RETURN(const size_t got, source.Read(buffer));
    if (got == 0) break;
    content.append(reinterpret_cast<const char*>(buffer.data()), got);
  }
  absl::MutexLock lock(&mutex_);
  if (!files_.emplace(name, std::move(content)).second) {
    return absl::AlreadyExistsError(name);
  }
  return absl::OkStatus();
}

absl::Status ImageMap::Serve(const std::string& name, transfer::ByteSink& sink) const {
  const std::string* content;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = files_.find(name);
    if (found == files_.end()) return absl::NotFoundError(name);
    content = &found->second;
  }
  return sink.Write({reinterpret_cast<const uint8_t*>(content->data()), content->size()});
}

bool ImageMap::Has(const std::string& name) const {
  absl::MutexLock lock(&mutex_);
  return files_.count(name) != 0;
}

std::vector<std::string> ImageMap::Names() const {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> names;
  for (const auto& [name, content] : files_) names.push_back(name);
  return names;
}

size_t ImageMap::Bytes(const std::string& name) const {
  absl::MutexLock lock(&mutex_);
  const auto found = files_.find(name);
  return found == files_.end() ? 0 : found->second.size();
}

void ImageMap::Truncate(const std::string& name, size_t bytes) {
  absl::MutexLock lock(&mutex_);
  files_[name].resize(bytes);
}

CriuTrial::CriuTrial() {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  char pattern[] = "/tmp/criu-trial.XXXXXX";
  folder_ = ::mkdtemp(pattern);
}

CriuTrial::~CriuTrial() {
  Kill(started_);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

absl::StatusOr<CriuProgram> CriuTrial::Find() {
  if (::geteuid() != 0) return absl::FailedPreconditionError("CRIU needs root");
  return FindCriu("", "");
}

std::string CriuTrial::NewFolder() {
  const std::string folder = absl::StrCat(folder_, "/", next_++);
  ::mkdir(folder.c_str(), 0700);
  return folder;
}

CriuTrial::Process CriuTrial::Start(const std::vector<std::string>& argv) {
  Process process;
  process.log = absl::StrCat(folder_, "/log", next_++);
  std::vector<char*> pointers = Pointers(argv);
  process.pid = ::fork();
  if (process.pid == 0) {
    ::setsid();
    const int in = ::open("/dev/null", O_RDONLY);
    const int out = ::open(process.log.c_str(), O_WRONLY | O_APPEND | O_CREAT, 0644);
    ::dup2(in, 0);
    ::dup2(out, 1);
    ::dup2(out, 2);
    ::closefrom(3);
    ::execv(pointers[0], pointers.data());
    ::_exit(127);
  }
  started_.push_back(process.pid);
  return process;
}

int CriuTrial::RunCriu(const std::vector<std::string>& argv, const std::string& folder,
                       std::vector<std::string> environment,
                       const std::function<void(pid_t)>& while_running) {
  for (const std::string& line : HookEnvironment(folder)) environment.push_back(line);
  environment.push_back("PATH=/usr/sbin:/usr/bin:/sbin:/bin");
  std::vector<char*> environment_pointers = Pointers(environment);
  std::vector<char*> pointers = Pointers(argv);
  const std::string errors = absl::StrCat(folder, "/criu.stderr");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, errors.c_str(), O_WRONLY | O_APPEND | O_CREAT,
                                   0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, pointers[0], &actions, nullptr, pointers.data(),
                                  environment_pointers.data());
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return -error;
  if (while_running) while_running(pid);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

CriuTrial::Outcome CriuTrial::Dump(DumpRun run) {
  Outcome outcome;
  outcome.folder = run.flags.folder = NewFolder();
  run.flags.hook = CEDANA_CRIU_HOOK;
  if (!run.store) {
    run.store = [this](const std::string& name, transfer::ByteSource& source) {
      return images_.Store(name, source);
    };
  }
  auto capture = ImageCapture::Listen(outcome.folder, run.store).value();
  const HookServer::Decide decide = [&](const std::string& action, int pid) {
    if (action != "post-dump") return absl::InternalError(action);
    outcome.hook_pid = pid;
    outcome.drained = capture->WaitDrained(absl::Seconds(60));
    outcome.files = capture->files();
    return run.decide ? run.decide(action, pid) : outcome.drained;
  };
  std::unique_ptr<HookServer> hook;
  base::UniqueFd deaf;
  if (run.hook_hangs) {
    deaf = ListenUnix(absl::StrCat(outcome.folder, "/hook.sock")).value();
  } else {
    hook = HookServer::Listen(outcome.folder, decide).value();
  }
  outcome.exit_code =
      RunCriu(DumpCommand(*Find(), run.flags), outcome.folder, run.environment, [&](pid_t criu) {
        if (run.while_running) run.while_running(*capture, criu);
      });
  outcome.telling = TellingError(outcome.folder, false);
  return outcome;
}

CriuTrial::Outcome CriuTrial::Restore(RestoreRun run) {
  Outcome outcome;
  outcome.folder = run.flags.folder = NewFolder();
  run.flags.hook = CEDANA_CRIU_HOOK;
  if (!run.serve) {
    run.serve = [this](const std::string& name, transfer::ByteSink& sink) {
      return images_.Serve(name, sink);
    };
  }
  if (!run.exists) run.exists = [this](const std::string& name) { return images_.Has(name); };
  auto serve = ImageServe::Listen(outcome.folder, run.exists, run.serve).value();
  auto hook = HookServer::Listen(outcome.folder, [&](const std::string& action, int pid) {
                if (action == "pre-resume") return absl::OkStatus();
                if (action != "post-restore") return absl::InternalError(action);
                outcome.hook_pid = pid;
                outcome.drained = serve->WaitServed(absl::Seconds(60));
                return run.decide ? run.decide(action, pid) : outcome.drained;
              }).value();
  outcome.exit_code =
      RunCriu(RestoreCommand(*Find(), run.flags), outcome.folder, {}, [&](pid_t criu) {
        if (run.while_running) run.while_running(*serve, criu);
      });
  outcome.telling = TellingError(outcome.folder, true);
  if (outcome.exit_code == 0) started_.push_back(outcome.hook_pid);
  return outcome;
}

bool CriuTrial::WaitLog(const std::string& log, const std::string& text, size_t skip,
                        absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (absl::Now() < deadline) {
    const std::string content = base::ReadFile(log).value_or("");
    if (content.size() > skip && absl::StrContains(absl::string_view(content).substr(skip), text)) {
      return true;
    }
    absl::SleepFor(absl::Milliseconds(20));
  }
  return false;
}

size_t CriuTrial::LogBytes(const std::string& log) {
  return base::ReadFile(log).value_or("").size();
}

bool CriuTrial::Alive(pid_t pid) {
  const std::vector<std::string> stat = Stat(pid);
  return !stat.empty() && stat[0] != "Z" && stat[0] != "X";
}

std::vector<pid_t> CriuTrial::Tree(pid_t root) {
  std::map<pid_t, pid_t> parents;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    int pid = 0;
    int parent = 0;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &pid)) continue;
    const std::vector<std::string> stat = Stat(pid);
    if (stat.size() > 1 && absl::SimpleAtoi(stat[1], &parent)) parents[pid] = parent;
  }
  std::set<pid_t> tree = {root};
  for (size_t before = 0; before != tree.size();) {
    before = tree.size();
    for (const auto& [pid, parent] : parents) {
      if (tree.count(parent) != 0) tree.insert(pid);
    }
  }
  return {tree.begin(), tree.end()};
}

bool CriuTrial::Gone(const std::vector<pid_t>& pids, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  for (const pid_t pid : pids) {
    while (!Stat(pid).empty()) {
      ::waitpid(pid, nullptr, WNOHANG);
      if (absl::Now() > deadline) return false;
      absl::SleepFor(absl::Milliseconds(5));
    }
  }
  return true;
}

void CriuTrial::Kill(const std::vector<pid_t>& pids) {
  for (const pid_t root : pids) {
    if (!Alive(root)) continue;
    const std::vector<pid_t> tree = Tree(root);
    for (const pid_t pid : tree) ::kill(pid, SIGKILL);
    Gone(tree);
  }
}

}  // namespace cedana::criu
