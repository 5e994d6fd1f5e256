// Where a command reads and writes: results on `out`, everything else on `err`. Tests give their
// own descriptors.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace cedana::cli {

enum class Color { kNone, kRed, kGreen, kYellow, kBlue, kGrey, kBold };

// Borrows the descriptors. Thread-safe; a write to a closed pipe is dropped.
class Terminal {
 public:
  // Looks at what the descriptors are; colours need a terminal and no NO_COLOR.
  static Terminal Standard();
  // Tests: no colours, `terminal` says whether in and err count as one.
  Terminal(int in, int out, int err, bool terminal)
      : in_(in), out_(out), err_(err), in_is_terminal_(terminal), err_is_terminal_(terminal) {}

  int in() const { return in_; }
  int out() const { return out_; }
  int err() const { return err_; }
  bool err_is_terminal() const { return err_is_terminal_; }
  // Somebody can be asked.
  bool interactive() const { return in_is_terminal_ && err_is_terminal_; }
  bool color_out() const { return color_out_; }
  // Columns of the terminal behind err; 80 when nobody knows.
  int Columns() const;

  void Out(absl::string_view text) const;
  void Err(absl::string_view text) const;
  // The same with a newline.
  void OutLine(absl::string_view text) const;
  void ErrLine(absl::string_view text) const;

  std::string PaintOut(Color color, absl::string_view text) const;
  std::string PaintErr(Color color, absl::string_view text) const;

 private:
  int in_;
  int out_;
  int err_;
  bool in_is_terminal_ = false;
  bool err_is_terminal_ = false;
  bool color_out_ = false;
  bool color_err_ = false;
};

std::string Paint(Color color, absl::string_view text);

}  // namespace cedana::cli
