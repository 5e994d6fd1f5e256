// The program `cedana`.
#include <string>
#include <vector>

#include "cedana/cli/cli.h"
#include "cedana/daemon/daemon.h"

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  return cedana::cli::Main(arguments, cedana::cli::Terminal::Standard(), cedana::daemon::RunDaemon);
}
