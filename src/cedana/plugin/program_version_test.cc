#include "cedana/plugin/program_version.h"

#include <gtest/gtest.h>

#include "core/base/fd.h"

namespace cedana::plugin {
namespace {

std::string Script(const std::string& name, const std::string& body) {
  const std::string path = testing::TempDir() + "cedana_version_" + name;
  EXPECT_TRUE(base::WriteFileAtomic(path, "#!/bin/sh\n" + body, 0755).ok());
  return path;
}

TEST(ProgramVersion, IsTheLastWordOfTheFirstLine) {
  EXPECT_EQ(ProgramVersion(Script("criu", "echo 'Version: 4.2.1'; echo 'GitID: x'\n")), "4.2.1");
}

TEST(ProgramVersion, IsEmptyWhenTheProgramFailsOrIsNone) {
  EXPECT_EQ(ProgramVersion(Script("fails", "echo 1.0; exit 3\n")), "");
  EXPECT_EQ(ProgramVersion(Script("silent", "exit 0\n")), "");
  EXPECT_EQ(ProgramVersion("/nonexistent/program"), "");
}

}  // namespace
}  // namespace cedana::plugin
