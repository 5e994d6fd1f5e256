#include "cedana/cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "core/base/environment.h"
#include "core/base/fd.h"

namespace cedana::cli {

Terminal Terminal::Standard() {
  Terminal terminal(STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, ::isatty(STDERR_FILENO) == 1);
  terminal.in_is_terminal_ = ::isatty(STDIN_FILENO) == 1;
  const bool color = !base::GetEnv("NO_COLOR").has_value() && base::GetEnv("TERM") != "dumb";
  terminal.color_out_ = color && ::isatty(STDOUT_FILENO) == 1;
  terminal.color_err_ = color && terminal.err_is_terminal_;
  return terminal;
}

int Terminal::Columns() const {
  winsize size{};
  if (::ioctl(err_, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

// A reader that went away is no failure of the command, so errors of writing are dropped.
void Terminal::Out(absl::string_view text) const { base::WriteAll(out_, text).IgnoreError(); }
void Terminal::Err(absl::string_view text) const { base::WriteAll(err_, text).IgnoreError(); }
void Terminal::OutLine(absl::string_view text) const { Out(absl::StrCat(text, "\n")); }
void Terminal::ErrLine(absl::string_view text) const { Err(absl::StrCat(text, "\n")); }

std::string Terminal::PaintOut(Color color, absl::string_view text) const {
  return color_out_ ? Paint(color, text) : std::string(text);
}
std::string Terminal::PaintErr(Color color, absl::string_view text) const {
  return color_err_ ? Paint(color, text) : std::string(text);
}

std::string Paint(Color color, absl::string_view text) {
  absl::string_view code;
  switch (color) {
    case Color::kNone:
      return std::string(text);
    case Color::kRed:
      code = "31";
      break;
    case Color::kGreen:
      code = "32";
      break;
    case Color::kYellow:
      code = "33";
      break;
    case Color::kBlue:
      code = "94";
      break;
    case Color::kGrey:
      code = "90";
      break;
    case Color::kBold:
      code = "1";
      break;
  }
  return absl::StrCat("\x1b[", code, "m", text, "\x1b[0m");
}

}  // namespace cedana::cli
