#include "cedana/cli/testing/cli_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>

#include "cedana/cli/cli.h"

namespace cedana::cli {
namespace {

// Before any thread starts, so that a signal sent to this process reaches the command's handler.
const bool blocked = [] {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) sigaddset(&set, signal);
  return ::pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0;
}();

std::string MakeFolder() {
  std::string path = "/tmp/cedana-cli-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) abort();
  return path;
}

int OpenFile(const std::string& path) {
  return ::open(path.c_str(), O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
}

}  // namespace

CliTest::CliTest() : folder_(MakeFolder()), daemon_(std::make_unique<FakeDaemon>(socket())) {
  EXPECT_TRUE(blocked);
  // Nothing of the machine that runs the test counts.
  for (const char* name : {"CEDANA_ADDRESS", "CEDANA_CHECKPOINT_DIR", "CEDANA_URL",
                           "CEDANA_AUTH_TOKEN", "CEDANA_CHECKPOINT_COMPRESSION"}) {
    ::unsetenv(name);
  }
  ::setenv("CEDANA_CONFIG_DIR", folder_.c_str(), 1);
  ::setenv("TZ", "UTC", 1);
}

CliTest::~CliTest() {
  daemon_.reset();
  std::filesystem::remove_all(folder_);
}

CliTest::Result CliTest::Cedana(std::vector<std::string> arguments, const std::string& input,
                                bool terminal) {
  const std::string in_path = folder_ + "/in";
  EXPECT_TRUE(base::WriteFileAtomic(in_path, input, 0600).ok());
  const base::UniqueFd in(::open(in_path.c_str(), O_RDONLY | O_CLOEXEC));
  const base::UniqueFd out(OpenFile(folder_ + "/out"));
  const base::UniqueFd err(OpenFile(folder_ + "/err"));
  arguments.insert(arguments.begin(), "--address=" + socket());
  Result result;
  result.code =
      Main(arguments, Terminal(stdin_fd >= 0 ? stdin_fd : in.get(), out.get(), err.get(), terminal),
           [this](const config::Config& config) {
             started_db = config.Text("db.path");
             return absl::OkStatus();
           });
  result.out = *base::ReadFile(folder_ + "/out");
  result.err = *base::ReadFile(folder_ + "/err");
  return result;
}

}  // namespace cedana::cli
