#include "cedana/cli/table.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace cedana::cli {

size_t DisplayWidth(absl::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::string Table::Render(bool color) const {
  std::vector<std::vector<Cell>> rows;
  std::vector<Cell> header;
  bool has_header = false;
  for (const Column& column : columns_) {
    header.emplace_back(absl::AsciiStrToUpper(column.header), Color::kBold);
    has_header |= !column.header.empty();
  }
  if (has_header) rows.push_back(std::move(header));
  rows.insert(rows.end(), rows_.begin(), rows_.end());

  std::vector<size_t> widths(columns_.size(), 0);
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], DisplayWidth(row[i].text));
    }
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string pad(widths[i] - DisplayWidth(row[i].text), ' ');
      const std::string cell = color ? Paint(row[i].color, row[i].text) : row[i].text;
      const bool right = columns_[i].align == Align::kRight;
      absl::StrAppend(&line, right ? pad : "", cell, right ? "" : pad, "  ");
    }
    absl::StrAppend(&text, absl::StripTrailingAsciiWhitespace(line), "\n");
  }
  return text;
}

}  // namespace cedana::cli
