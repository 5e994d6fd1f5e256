#include "cedana/config/key_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/fd.h"

namespace cedana::config {
namespace {

TEST(KeyTable, IsSortedAndEveryDefaultIsOfItsType) {
  EXPECT_TRUE(std::is_sorted(KnownKeys().begin(), KnownKeys().end(),
                             [](const KeySpec& a, const KeySpec& b) { return a.key < b.key; }));
  for (const KeySpec& spec : KnownKeys()) {
    EXPECT_TRUE(ParseValue(spec, spec.default_text).ok()) << spec.key;
    EXPECT_FALSE(spec.help.empty()) << spec.key;
  }
}

TEST(KeyTable, FindsKeysInAnyCapitalisation) {
  ASSERT_NE(FindKey("Checkpoint.Dir"), nullptr);
  EXPECT_EQ(FindKey("Checkpoint.Dir")->key, "checkpoint.dir");
  EXPECT_EQ(FindKey("checkpoint.folder"), nullptr);
}

TEST(KeyTable, NamesTheNearestKey) {
  EXPECT_EQ(NearestKey("chekpoint.dir"), "checkpoint.dir");
  EXPECT_EQ(NearestKey("auth_token"), "connection.auth_token");
  EXPECT_EQ(NearestKey("connection.authtoken"), "connection.auth_token");
}

TEST(KeyTable, EnvironmentNamesAreTheKeyThenTheAliases) {
  EXPECT_EQ(EnvNames(*FindKey("connection.url")),
            (std::vector<std::string>{"CEDANA_CONNECTION_URL", "CEDANA_URL"}));
  EXPECT_EQ(EnvNames(*FindKey("db.path")), std::vector<std::string>{"CEDANA_DB_PATH"});
}

TEST(KeyTable, RefusesValuesOfAnotherType) {
  const KeySpec& streams = *FindKey("checkpoint.streams");
  EXPECT_EQ(ParseValue(streams, "many").status().message(),
            "checkpoint.streams must be an integer");
  EXPECT_TRUE(CoerceValue(streams, base::Json("4")).ok());
  EXPECT_FALSE(CoerceValue(streams, base::Json(4.5)).ok());
  EXPECT_FALSE(ParseValue(*FindKey("checkpoint.memory_limit"), "-1").ok());
  EXPECT_FALSE(ParseValue(*FindKey("checkpoint.commit_timeout"), "soon").ok());
  EXPECT_FALSE(CoerceValue(*FindKey("checkpoint.dir"), base::Json(7)).ok());
  EXPECT_FALSE(CoerceValue(*FindKey("checkpoint.dir"), base::Json::object()).ok());
}

// All of the program's text but this folder's and the tests'.
std::string ProgramText() {
  std::string text;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(CEDANA_PROGRAM_DIR)) {
    const std::string path = entry.path().string();
    if (!absl::EndsWith(path, ".cc") || absl::EndsWith(path, "_test.cc") ||
        absl::StrContains(path, "/config/key_table")) {
      continue;
    }
    const absl::StatusOr<std::string> file = base::ReadFile(path);
    EXPECT_TRUE(file.ok()) << file.status();
    if (file.ok()) absl::StrAppend(&text, *file);
  }
  return text;
}

TEST(KeyTable, AKeyIsCalledWithoutEffectWhereNobodyReadsIt) {
  const std::string program = ProgramText();
  for (const KeySpec& spec : KnownKeys()) {
    EXPECT_EQ(absl::StrContains(program, absl::StrCat("(\"", spec.key, "\")")), !spec.unused)
        << spec.key;
  }
}

TEST(KeyTable, IsTheTableOfTheDocumentation) {
  const absl::StatusOr<std::string> page =
      base::ReadFile(std::string(CEDANA_DOCS_DIR) + "/configuration.md");
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_NE(page->find(KeyTableMarkdown()), std::string::npos)
      << "docs/configuration.md must hold this table:\n"
      << KeyTableMarkdown();
}

}  // namespace
}  // namespace cedana::config
