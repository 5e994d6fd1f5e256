// The program `cedana`: from the command line to an exit code. docs/user-guide.md is its page.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "cedana/cli/terminal.h"
#include "cedana/config/config.h"

namespace cedana::cli {

// `arguments` without the program's name. `run_daemon` is what `daemon start` does. Errors are one
// line on stderr and exit code 1; SIGPIPE is ignored from here on.
int Main(std::span<const std::string> arguments, const Terminal& terminal,
         std::function<absl::Status(const config::Config&)> run_daemon);

}  // namespace cedana::cli
