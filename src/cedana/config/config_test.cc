#include "cedana/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <map>

#include "core/base/fd.h"

namespace cedana::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ConfigTest : public testing::Test {
 protected:
  ConfigTest() {
    root_ = testing::TempDir() + "cedana_config_" +
            testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(root_);
    options_.system_dir = root_ + "/etc";
    options_.is_root = true;
    options_.get_env = [this](const std::string& name) -> std::optional<std::string> {
      const auto it = env_.find(name);
      if (it == env_.end() || it->second.empty()) return std::nullopt;
      return it->second;
    };
  }

  void Write(const std::string& path, const std::string& text) {
    ASSERT_TRUE(base::MakeDirs(std::filesystem::path(path).parent_path(), 0755).ok());
    ASSERT_TRUE(base::WriteFileAtomic(path, text, 0644).ok());
  }
  Loaded Load() {
    absl::StatusOr<Loaded> loaded = Config::Load(options_);
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    return loaded.ok() ? *loaded : Loaded{Config::Defaults(), "", "", {}};
  }

  std::string root_;
  std::map<std::string, std::string> env_;
  LoadOptions options_;
};

TEST_F(ConfigTest, WithoutAFileHasDefaults) {
  const Loaded loaded = Load();
  EXPECT_EQ(loaded.file, "");
  EXPECT_EQ(loaded.dir, root_ + "/etc");
  EXPECT_EQ(loaded.config.Text("connection.url"), "");
  EXPECT_EQ(loaded.config.Text("db.path"), "/var/lib/cedana/cedana.db");
  EXPECT_EQ(loaded.config.Int("checkpoint.memory_limit"), 256);
  EXPECT_EQ(loaded.config.Duration("checkpoint.commit_timeout"), absl::Seconds(30));
  EXPECT_FALSE(loaded.config.Bool("profiling.enabled"));
  EXPECT_EQ(loaded.config.DaemonAddress(), "/run/cedana.sock");
}

TEST_F(ConfigTest, FlagBeatsEnvironmentBeatsJsonBeatsFileBeatsDefault) {
  Write(root_ + "/etc/config.json",
        R"({"address": "file", "protocol": "file", "log_level": "file", "run_dir": "file"})");
  options_.flags.config_json = R"({"address": "json", "protocol": "json", "log_level": "json"})";
  env_ = {{"CEDANA_ADDRESS", "env"}, {"CEDANA_PROTOCOL", "env"}};
  Loaded loaded = Load();
  ASSERT_TRUE(loaded.config.Set("address", "flag").ok());
  EXPECT_EQ(loaded.config.Text("address"), "flag");
  EXPECT_EQ(loaded.config.Text("protocol"), "env");
  EXPECT_EQ(loaded.config.Text("log_level"), "json");
  EXPECT_EQ(loaded.config.Text("run_dir"), "file");
  EXPECT_EQ(loaded.config.Text("db.path"), "/var/lib/cedana/cedana.db");
}

TEST_F(ConfigTest, EmptyEnvironmentIsUnsetAndAliasesComeAfterTheName) {
  Write(root_ + "/etc/config.json", R"({"connection": {"url": "http://file"}})");
  env_ = {{"CEDANA_CONNECTION_URL", ""}, {"CEDANA_URL", ""}};
  EXPECT_EQ(Load().config.Text("connection.url"), "http://file");
  env_["CEDANA_URL"] = "http://alias";
  EXPECT_EQ(Load().config.Text("connection.url"), "http://alias");
  env_["CEDANA_CONNECTION_URL"] = "http://name";
  EXPECT_EQ(Load().config.Text("connection.url"), "http://name");
}

TEST_F(ConfigTest, WrongValueInTheEnvironmentNamesTheVariable) {
  env_["CEDANA_CHECKPOINT_STREAMS"] = "x";
  EXPECT_EQ(Config::Load(options_).status().message(),
            "CEDANA_CHECKPOINT_STREAMS: checkpoint.streams must be an integer");
}

TEST_F(ConfigTest, FolderIsTheFlagThenTheEnvironmentThenTheUsersOwn) {
  options_.is_root = false;
  env_["HOME"] = "/home/a";
  EXPECT_EQ(Load().dir, "/home/a/.config/cedana");
  env_["XDG_CONFIG_HOME"] = "/xdg";
  EXPECT_EQ(Load().dir, "/xdg/cedana");
  env_["CEDANA_CONFIG_DIR"] = "/env";
  EXPECT_EQ(Load().dir, "/env");
  options_.flags.config_dir = "/flag";
  EXPECT_EQ(Load().dir, "/flag");
}

TEST_F(ConfigTest, SystemFileIsReadWhenTheUserHasNone) {
  Write(root_ + "/etc/config.json", R"({"log_level": "debug"})");
  options_.flags.config_dir = root_ + "/user";
  EXPECT_EQ(Load().config.Text("log_level"), "debug");
  Write(root_ + "/user/config.json", "{}");
  EXPECT_EQ(Load().config.Text("log_level"), "info");
}

TEST_F(ConfigTest, UnknownKeysWarnAndTheProgramGoesOn) {
  Write(root_ + "/etc/config.json", R"({"adress": "x"})");
  EXPECT_THAT(Load().warnings, ElementsAre(HasSubstr("did you mean \"address\"?")));
}

TEST_F(ConfigTest, InitWritesDefaultsAndEnvironmentAndIgnoresTheFile) {
  Write(root_ + "/etc/config.json", "this is not JSON");
  env_["CEDANA_AUTH_TOKEN"] = "secret";
  options_.flags.init_config = true;
  const Loaded loaded = Load();
  EXPECT_EQ(loaded.file, root_ + "/etc/config.json");
  EXPECT_EQ(loaded.config.Text("connection.auth_token"), "secret");
  struct stat st {};
  ASSERT_EQ(::stat(loaded.file.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);

  env_.clear();
  options_.flags.init_config = false;
  const Loaded again = Load();
  EXPECT_EQ(again.config.Text("connection.auth_token"), "secret");
  EXPECT_THAT(again.warnings, IsEmpty());
  EXPECT_EQ(again.config.values(), loaded.config.values());
}

TEST_F(ConfigTest, MergeKeepsTheFilesValues) {
  Write(root_ + "/etc/config.json", R"({"Checkpoint": {"Dir": "cedana://a"}, "future": 1})");
  env_["CEDANA_LOG_LEVEL"] = "debug";
  options_.flags.merge_config = true;
  Load();
  const absl::StatusOr<ParsedFile> written = ReadConfigFile(root_ + "/etc/config.json");
  ASSERT_TRUE(written.ok());
  EXPECT_EQ(written->values.at("checkpoint.dir"), base::Json("cedana://a"));
  EXPECT_EQ(written->values.at("log_level"), base::Json("debug"));
  EXPECT_EQ(written->unknown.at("future"), base::Json(1));
}

StartupFlags Scan(std::vector<std::string> arguments) {
  absl::StatusOr<StartupFlags> flags = ScanStartupFlags(arguments);
  EXPECT_TRUE(flags.ok()) << flags.status();
  return flags.value_or(StartupFlags{});
}

TEST(StartupFlags, AreFoundAnywhereInBothForms) {
  EXPECT_EQ(Scan({"job", "list", "--config", "{}"}).config_json, "{}");
  EXPECT_EQ(Scan({"--config={\"a\":1}", "job"}).config_json, "{\"a\":1}");
  EXPECT_EQ(Scan({"--config-dir", "/x", "job"}).config_dir, "/x");
  EXPECT_EQ(Scan({"--config-dir=/x"}).config_dir, "/x");
  EXPECT_EQ(Scan({"--config-dir=/x"}).config_json, "");
  EXPECT_TRUE(Scan({"version", "--init-config"}).init_config);
  EXPECT_FALSE(Scan({"version", "--init-config=false"}).init_config);
  EXPECT_TRUE(Scan({"--merge-config"}).merge_config);
}

TEST(StartupFlags, BelongToTheProgramAfterTwoDashes) {
  EXPECT_EQ(Scan({"run", "process", "--", "./work", "--config", "x"}).config_json, "");
}

TEST(StartupFlags, MissingValuesAndContradictionsAreRefused) {
  const std::vector<std::string> missing{"--config"};
  EXPECT_FALSE(ScanStartupFlags(missing).ok());
  const std::vector<std::string> both{"--config={}", "--config-dir=/x"};
  EXPECT_FALSE(ScanStartupFlags(both).ok());
}

}  // namespace
}  // namespace cedana::config
