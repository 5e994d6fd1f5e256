#include "test/integration/service_process.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/fd.h"
#include "core/base/status.h"

namespace cedana::integration {
namespace {

constexpr char kListening[] = "listening on ";

// Starts the program with stdout at `out`. It dies with the calling thread, so that a test that is
// killed leaves nothing behind.
absl::StatusOr<pid_t> Run(std::vector<std::string> arguments, int out) {
  arguments.insert(arguments.begin(), STORAGE_PROGRAM);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0) return base::ErrnoStatus(errno, "fork");
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(out, STDOUT_FILENO);
    ::execv(STORAGE_PROGRAM, argv.data());
    ::_exit(127);
  }
  return pid;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ServiceProcess>> ServiceProcess::Start(
    const std::string& data_dir, std::vector<std::string> flags) {
  auto service = std::make_unique<ServiceProcess>();
  service->data_dir_ = data_dir;
  service->flags_ = std::move(flags);
  CEDANA_RETURN_IF_ERROR(service->Spawn("127.0.0.1:0"));
  return service;
}

absl::Status ServiceProcess::Spawn(const std::string& listen) {
  std::vector<std::string> arguments = {"serve", "--data",      data_dir_, "--listen",
                                        listen,  "--log-level", "error"};
  arguments.insert(arguments.end(), flags_.begin(), flags_.end());
  CEDANA_ASSIGN_OR_RETURN(base::Pipe pipe, base::MakePipe());
  CEDANA_ASSIGN_OR_RETURN(pid_, Run(std::move(arguments), pipe.write.get()));
  pipe.write.Reset();
  std::string line;
  char byte = 0;
  while (::read(pipe.read.get(), &byte, 1) == 1 && byte != '\n') line += byte;
  absl::string_view url = line;
  if (!absl::ConsumePrefix(&url, kListening)) {
    return absl::InternalError(absl::StrCat("cedana-storage does not listen: ", line));
  }
  url_ = std::string(url);
  return absl::OkStatus();
}

void ServiceProcess::Kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

absl::Status ServiceProcess::Restart() {
  Kill();
  return Spawn(std::string(absl::StripPrefix(url_, "http://")));
}

std::string ServiceProcess::token() const {
  return base::ReadFile(data_dir_ + "/token").value_or("");
}

absl::StatusOr<std::string> ServiceProcess::Admin(const std::vector<std::string>& arguments) const {
  std::vector<std::string> all = arguments;
  all.insert(all.end(), {"--url", url_, "--data", data_dir_});
  CEDANA_ASSIGN_OR_RETURN(base::Pipe pipe, base::MakePipe());
  CEDANA_ASSIGN_OR_RETURN(const pid_t pid, Run(std::move(all), pipe.write.get()));
  pipe.write.Reset();
  std::string output(4096, '\0');
  const absl::StatusOr<size_t> size =
      base::ReadFully(pipe.read.get(), reinterpret_cast<uint8_t*>(output.data()), output.size());
  int status = 0;
  ::waitpid(pid, &status, 0);
  CEDANA_RETURN_IF_ERROR(size.status());
  output.resize(*size);
  if (status != 0) return absl::InternalError(absl::StrCat("exit status ", status, ": ", output));
  return output;
}

}  // namespace cedana::integration
