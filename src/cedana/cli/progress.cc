#include "cedana/cli/progress.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "cedana/cli/format.h"

namespace cedana::cli {
namespace {

// Ten times a second is what an eye can follow.
constexpr absl::Duration kRedraw = absl::Milliseconds(100);
constexpr absl::string_view kClearLine = "\r\x1b[K";

}  // namespace

std::string ProgressText(const ProgressState& state, absl::Duration elapsed) {
  std::string text = state.stage;
  if (state.bytes > 0) {
    absl::StrAppend(&text, "  ", SizeText(state.bytes));
    if (state.total_bytes > 0) absl::StrAppend(&text, " of ", SizeText(state.total_bytes));
  }
  if (state.stored_bytes > 0) absl::StrAppend(&text, "  stored ", SizeText(state.stored_bytes));
  const std::string rate = RateText(state.bytes, elapsed);
  if (state.bytes > 0 && !rate.empty()) absl::StrAppend(&text, "  ", rate);
  return text;
}

Progress::Progress(const Terminal& terminal, base::Clock& clock, std::string label)
    : terminal_(terminal),
      clock_(clock),
      label_(std::move(label)),
      start_(clock.Monotonic()),
      last_drawn_(start_ - kRedraw) {}

void Progress::Update(const ProgressState& state) {
  absl::MutexLock lock(&mutex_);
  const bool new_stage = state.stage != state_.stage;
  state_ = state;
  if (closed_ || !terminal_.err_is_terminal()) return;
  if (!new_stage && clock_.Monotonic() - last_drawn_ < kRedraw) return;
  Draw();
}

void Progress::Note(absl::string_view line) {
  absl::MutexLock lock(&mutex_);
  if (!shown_) {
    terminal_.ErrLine(line);
    return;
  }
  terminal_.Err(absl::StrCat(kClearLine, line, "\n"));
  Draw();
}

void Progress::Clear() {
  absl::MutexLock lock(&mutex_);
  closed_ = true;
  if (shown_) terminal_.Err(kClearLine);
  shown_ = false;
}

void Progress::Draw() {
  last_drawn_ = clock_.Monotonic();
  std::string text = absl::StrCat(label_, ": ", ProgressText(state_, last_drawn_ - start_));
  // A line that wraps could not be rewritten.
  text.resize(std::min<size_t>(text.size(), terminal_.Columns() - 1));
  terminal_.Err(absl::StrCat("\r", text, "\x1b[K"));
  shown_ = true;
}

}  // namespace cedana::cli
