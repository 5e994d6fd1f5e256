// Shell completion: the scripts ask the program itself, through the hidden command `__complete`.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cedana/cli/command.h"

namespace cedana::cli {

// kInvalidArgument: only bash, zsh and fish are known.
absl::StatusOr<std::string> CompletionScript(const std::string& shell);

// `cedana __complete jobs`: all job ids. `cedana __complete line -- WORDS…`: what may stand in the
// place of the last word. One on a line; nothing when the daemon does not answer.
void Complete(const std::vector<std::string>& words, const std::vector<std::string>& line,
              Session& session);

}  // namespace cedana::cli
