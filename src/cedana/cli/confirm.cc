#include "cedana/cli/confirm.h"

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/fd.h"

namespace cedana::cli {

bool Confirm(const Terminal& terminal, absl::string_view question) {
  terminal.Out(absl::StrCat(question, " [y/n]: "));
  std::string line;
  uint8_t c = 0;
  // Byte by byte, so that nothing behind the line is taken from whoever reads on.
  while (line.size() < 100) {
    const absl::StatusOr<size_t> count = base::ReadFully(terminal.in(), &c, 1);
    if (!count.ok() || *count == 0 || c == '\n') break;
    line.push_back(static_cast<char>(c));
  }
  const std::string answer = absl::AsciiStrToLower(absl::StripAsciiWhitespace(line));
  return answer == "y" || answer == "yes";
}

}  // namespace cedana::cli
