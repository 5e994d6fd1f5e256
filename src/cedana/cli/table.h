// Tables without borders: each cell is followed by two spaces, a column is as wide as its widest
// cell, headers are in capitals.
#pragma once

#include <string>
#include <vector>

#include "cedana/cli/terminal.h"

namespace cedana::cli {

struct Cell {
  Cell(std::string t, Color c = Color::kNone) : text(std::move(t)), color(c) {}  // NOLINT
  Cell(const char* t) : text(t) {}                                               // NOLINT
  std::string text;
  Color color = Color::kNone;
};

class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string header;
    Align align = Align::kLeft;
  };

  // Headers that are all empty are not printed.
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // Requires: as many cells as columns.
  void Add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }
  bool empty() const { return rows_.empty(); }
  std::string Render(bool color) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// Code points, which is what a terminal shows as columns for the texts that we print.
size_t DisplayWidth(absl::string_view text);

}  // namespace cedana::cli
