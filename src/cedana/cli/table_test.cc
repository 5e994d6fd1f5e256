#include "cedana/cli/table.h"

#include <gtest/gtest.h>

#include "cedana/cli/health_table.h"

namespace cedana::cli {
namespace {

TEST(Table, PadsColumnsByTwoSpacesAndCapitalisesHeaders) {
  Table table({{"id"}, {"pid", Table::Align::kRight}, {"log"}});
  table.Add({"my-job-1", "7", "-"});
  table.Add({"a", "12345", "/var/log/a.log"});
  EXPECT_EQ(table.Render(false),
            "ID          PID  LOG\n"
            "my-job-1      7  -\n"
            "a         12345  /var/log/a.log\n");
}

TEST(Table, ColoursDoNotChangeTheWidth) {
  Table table({{"s"}, {"t"}});
  table.Add({Cell("ok", Color::kGreen), "x"});
  EXPECT_EQ(table.Render(true),
            "\x1b[1mS\x1b[0m   \x1b[1mT\x1b[0m\n"
            "\x1b[32mok\x1b[0m  x\n");
}

TEST(Table, CountsCodePoints) {
  Table table({{""}, {""}});
  table.Add({"✔", "a"});
  table.Add({"xx", "b"});
  EXPECT_EQ(table.Render(false), "✔   a\nxx  b\n");
}

TEST(HealthTable, ShowsSectionsMarksAndWrappedNotes) {
  const std::string long_text = std::string(40, 'a') + " " + std::string(40, 'b');
  const std::vector<health::HealthGroup> groups{
      {"criu", {{"version", "40201", {}, {}}, {"features", "unavailable", {long_text}, {}}}},
      {"storage/cedana", {{"URL", "http://x", {}, {"plain"}}}}};
  EXPECT_EQ(HealthTable(groups, false),
            "CRIU\n"
            "version         40201        ✔\n"
            "features        unavailable  ✖  " +
                std::string(40, 'a') + "\n" + std::string(32, ' ') + std::string(40, 'b') +
                "\n"
                "\n"
                "STORAGE/CEDANA\n"
                "URL             http://x     •  plain\n");
  EXPECT_EQ(CountHealth(groups).errors, 1);
  EXPECT_EQ(CountHealth(groups).warnings, 1);
}

}  // namespace
}  // namespace cedana::cli
