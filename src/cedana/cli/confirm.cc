#include "cedana/cli/confirm.h"

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/fd.h"

namespace cedana::cli {

namespace {

// Without white space around it; empty at the end of the input.
std::string ReadAnswer(const Terminal& terminal) {
  std::string line;
  uint8_t c = 0;
  // Byte by byte, so that nothing behind the line is taken from whoever reads on.
  while (line.size() < 100) {
    const absl::StatusOr<size_t> count = base::ReadFully(terminal.in(), &c, 1);
    if (!count.ok() || *count == 0 || c == '\n') break;
    line.push_back(static_cast<char>(c));
  }
  return std::string(absl::StripAsciiWhitespace(line));
}

}  // namespace

bool Confirm(const Terminal& terminal, absl::string_view question) {
  terminal.Out(absl::StrCat(question, " [y/n]: "));
  const std::string answer = absl::AsciiStrToLower(ReadAnswer(terminal));
  return answer == "y" || answer == "yes";
}

std::optional<size_t> Choose(const Terminal& terminal, absl::string_view question, size_t count) {
  while (true) {
    terminal.Err(absl::StrCat(question, " [1-", count, "]: "));
    const std::string answer = ReadAnswer(terminal);
    if (answer.empty()) return std::nullopt;
    size_t number = 0;
    if (absl::SimpleAtoi(answer, &number) && number >= 1 && number <= count) return number - 1;
  }
}

}  // namespace cedana::cli
