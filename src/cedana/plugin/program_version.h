// Asks a program for its version.
#pragma once

#include <string>

namespace cedana::plugin {

// The last word of the first line that `<path> --version` prints: "4.2.1" of "Version: 4.2.1".
// Empty when it does not run, fails, or takes more than five seconds (it is killed then).
std::string ProgramVersion(const std::string& path);

}  // namespace cedana::plugin
