#include "cedana/config/config_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "core/base/fd.h"

namespace cedana::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string Folder(const std::string& name) {
  const std::string folder = testing::TempDir() + "cedana_config_file_" + name;
  std::filesystem::remove_all(folder);
  return folder;
}

mode_t Mode(const std::string& path) {
  struct stat st {};
  return ::stat(path.c_str(), &st) == 0 ? st.st_mode & 0777 : 0;
}

TEST(ConfigFile, NestedAndDottedKeysInAnyCapitalisationSayTheSame) {
  for (const char* text :
       {R"({"Checkpoint": {"Dir": "cedana://a"}})", R"({"Checkpoint.Dir": "cedana://a"})",
        R"({"CHECKPOINT": {"dir": "cedana://a"}})"}) {
    const absl::StatusOr<ParsedFile> parsed = ParseConfig("file", text);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(parsed->values.at("checkpoint.dir"), base::Json("cedana://a")) << text;
    EXPECT_TRUE(parsed->warnings.empty());
  }
}

TEST(ConfigFile, UnknownKeysWarnAndNameTheNearest) {
  const absl::StatusOr<ParsedFile> parsed =
      ParseConfig("c.json", R"({"checkpoint": {"dri": "x", "streams": 2}, "colour": true})");
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->values.at("checkpoint.streams"), base::Json(2));
  EXPECT_THAT(
      parsed->warnings,
      ElementsAre("c.json: unknown key \"checkpoint.dri\", did you mean \"checkpoint.dir\"?",
                  HasSubstr("unknown key \"colour\"")));
}

TEST(ConfigFile, BadJsonIsOneLineWithNameAndByteOffset) {
  const absl::Status status = ParseConfig("/etc/c.json", "{\"address\": }").status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_EQ(status.message(), "/etc/c.json: not JSON, at byte 13");
  EXPECT_FALSE(ParseConfig("c", "[]").ok());
  EXPECT_FALSE(ParseConfig("c", "").ok());
}

TEST(ConfigFile, WrongTypeNamesFileAndKey) {
  EXPECT_EQ(ParseConfig("c.json", R"({"checkpoint.async": "often"})").status().message(),
            "c.json: checkpoint.async must be true or false");
}

TEST(ConfigFile, HoldingSecretsIsReadableByItsOwnerOnly) {
  const std::string folder = Folder("secrets");
  const std::string path = folder + "/sub/config.json";
  ASSERT_TRUE(WriteConfigFile(path, {{"connection.auth_token", ""}}, {}).ok());
  EXPECT_EQ(Mode(path), 0644u);
  ASSERT_TRUE(WriteConfigFile(path, {{"connection.auth_token", "t"}}, {}).ok());
  EXPECT_EQ(Mode(path), 0600u);
}

TEST(ConfigFile, IsWrittenNestedAndReadBack) {
  const std::string path = Folder("nested") + "/config.json";
  const Values values = {
      {"checkpoint.dir", "cedana://a"}, {"checkpoint.streams", 3}, {"address", ""}};
  ASSERT_TRUE(WriteConfigFile(path, values, {{"Future.Key", 1}}).ok());
  EXPECT_EQ(*base::ReadFile(path),
            "{\n  \"Future.Key\": 1,\n  \"address\": \"\",\n  \"checkpoint\": {\n"
            "    \"dir\": \"cedana://a\",\n    \"streams\": 3\n  }\n}\n");
  const absl::StatusOr<ParsedFile> parsed = ReadConfigFile(path);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->values, values);
  EXPECT_EQ(parsed->unknown.size(), 1u);
}

TEST(ConfigFile, MissingIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(ReadConfigFile(Folder("none") + "/config.json").status()));
}

}  // namespace
}  // namespace cedana::config
