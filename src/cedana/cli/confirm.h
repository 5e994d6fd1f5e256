// Asking: before something that cannot be undone, and which of several is meant.
#pragma once

#include <cstddef>
#include <optional>

#include "absl/strings/string_view.h"
#include "cedana/cli/terminal.h"

namespace cedana::cli {

// Prints `question` and reads a line; only "y" and "yes" are a yes, the end of the input is a no.
bool Confirm(const Terminal& terminal, absl::string_view question);

// Prints `question` to err and reads a number from 1 to `count`, asking again where it is none;
// returns it less one. Nothing: an empty line or the end of the input.
std::optional<size_t> Choose(const Terminal& terminal, absl::string_view question, size_t count);

}  // namespace cedana::cli
