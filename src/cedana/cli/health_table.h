// How the results of a health check look.
#pragma once

#include <string>
#include <vector>

#include "cedana/health/health.h"

namespace cedana::cli {

struct HealthCounts {
  int errors = 0;
  int warnings = 0;
};
HealthCounts CountHealth(const std::vector<health::HealthGroup>& groups);

// A section for each group; rows of component, data, mark and notes.
std::string HealthTable(const std::vector<health::HealthGroup>& groups, bool color);

// At most `width` columns a line, broken between words.
std::vector<std::string> Wrap(absl::string_view text, size_t width);

}  // namespace cedana::cli
