#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cedana/criu/criu.h"
#include "cedana/criu/program_internal.h"
#include "core/base/fd.h"

namespace cedana::criu {
namespace {

constexpr absl::string_view kMark = "Error (";
constexpr size_t kLogBytesMax = 16 << 20;
constexpr size_t kLineBytesMax = 500;

// The first is always there without CAP_SYS_RESOURCE; the others follow from an earlier error, or
// from our closing the pipes.
constexpr std::array<absl::string_view, 9> kSaysNothing = {
    "rlimit: Can't setup RLIMIT_NOFILE",
    "Dumping FAILED",
    "Restoring FAILED",
    "exited, status=",
    "killed by signal 9",
    "Unable to open fd=",
    "bfd: Error flushing image: Broken",
    "action scripts failed",
    "Failed to communicate with the",
};

bool SaysNothing(absl::string_view line) {
  for (absl::string_view text : kSaysNothing) {
    if (absl::StrContains(line, text)) return true;
  }
  return (absl::StrContains(line, "Dump files (pid: ") &&
          absl::StrContains(line, "failed with -1")) ||
         (absl::StrContains(line, "Script ") && absl::StrContains(line, " exited with"));
}

// "(00.012345)    123: Error (criu/files.c:12): text" is "text (criu/files.c:12)".
std::string Message(absl::string_view line) {
  const size_t mark = line.find(kMark);
  const size_t end = line.find(')', mark);
  if (end == absl::string_view::npos) return std::string(line);
  const absl::string_view place = line.substr(mark + kMark.size(), end - mark - kMark.size());
  absl::string_view text = absl::StripLeadingAsciiWhitespace(line.substr(end + 1));
  if (!text.empty() && text.front() == ':') text.remove_prefix(1);
  return absl::StrCat(absl::StripAsciiWhitespace(text).substr(0, kLineBytesMax), " (", place, ")");
}

std::string ReadOrEmpty(const std::string& path) {
  return base::ReadFile(path, kLogBytesMax).value_or("");
}

}  // namespace

std::string FirstTellingLine(absl::string_view log) {
  for (absl::string_view line : absl::StrSplit(log, '\n')) {
    if (absl::StrContains(line, kMark) && !SaysNothing(line)) return Message(line);
  }
  return "";
}

std::string TellingError(const std::string& folder, bool restore) {
  const std::string log = ReadOrEmpty(absl::StrCat(folder, restore ? "/r.log" : "/d.log"));
  if (std::string line = FirstTellingLine(log); !line.empty()) return line;
  // Before it has a log, and without a streamer's socket, CRIU writes to stderr only.
  const std::string stderr_text = ReadOrEmpty(absl::StrCat(folder, "/criu.stderr"));
  if (std::string line = FirstTellingLine(stderr_text); !line.empty()) return line;
  for (absl::string_view line : absl::StrSplit(stderr_text, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    // A bad option has no "Error (".
    if (!line.empty() && !absl::StrContains(line, kMark)) {
      return std::string(line.substr(0, kLineBytesMax));
    }
  }
  return "";
}

}  // namespace cedana::criu
