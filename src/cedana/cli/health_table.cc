#include "cedana/cli/health_table.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cedana/cli/table.h"

namespace cedana::cli {
namespace {

constexpr size_t kNoteColumns = 60;

std::vector<std::string> Notes(const plugin::HealthItem& item) {
  std::vector<std::string> lines;
  for (const auto* texts : {&item.errors, &item.warnings}) {
    for (const std::string& text : *texts) {
      for (std::string& line : Wrap(text, kNoteColumns)) lines.push_back(std::move(line));
    }
  }
  return lines;
}

Cell Mark(const plugin::HealthItem& item) {
  if (!item.errors.empty()) return {"✖", Color::kRed};
  if (!item.warnings.empty()) return {"•", Color::kYellow};
  return {"✔", Color::kGreen};
}

}  // namespace

HealthCounts CountHealth(const std::vector<health::HealthGroup>& groups) {
  HealthCounts counts;
  for (const health::HealthGroup& group : groups) {
    for (const plugin::HealthItem& item : group.items) {
      counts.errors += static_cast<int>(item.errors.size());
      counts.warnings += static_cast<int>(item.warnings.size());
    }
  }
  return counts;
}

std::vector<std::string> Wrap(absl::string_view text, size_t width) {
  std::vector<std::string> lines;
  for (const absl::string_view word :
       absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty())) {
    if (lines.empty() || DisplayWidth(lines.back()) + 1 + DisplayWidth(word) > width) {
      lines.emplace_back(word);
    } else {
      absl::StrAppend(&lines.back(), " ", word);
    }
  }
  return lines;
}

std::string HealthTable(const std::vector<health::HealthGroup>& groups, bool color) {
  Table table({{""}, {""}, {""}, {""}});
  for (const health::HealthGroup& group : groups) {
    if (!table.empty()) table.Add({"", "", "", ""});
    table.Add({Cell(absl::AsciiStrToUpper(group.name), Color::kBold), "", "", ""});
    for (const plugin::HealthItem& item : group.items) {
      const std::vector<std::string> notes = Notes(item);
      table.Add({item.component, item.data, Mark(item),
                 Cell(notes.empty() ? "" : notes[0], Color::kGrey)});
      for (size_t i = 1; i < notes.size(); ++i) {
        table.Add({"", "", "", Cell(notes[i], Color::kGrey)});
      }
    }
  }
  return table.Render(color);
}

}  // namespace cedana::cli
