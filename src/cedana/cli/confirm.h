// Asking before something that cannot be undone.
#pragma once

#include "absl/strings/string_view.h"
#include "cedana/cli/terminal.h"

namespace cedana::cli {

// Prints `question` and reads a line; only "y" and "yes" are a yes, the end of the input is a no.
bool Confirm(const Terminal& terminal, absl::string_view question);

}  // namespace cedana::cli
