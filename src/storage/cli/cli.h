// The command line of cedana-storage.
#pragma once

namespace cedana::cli {

// Runs the command; returns the program's exit code. Errors are one line on stderr: `Error: ...`.
int Main(int argc, char** argv);

}  // namespace cedana::cli
