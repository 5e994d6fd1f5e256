#include "cedana/health/health.h"

#include <gtest/gtest.h>

#include "cedana/health/health_wire.h"

namespace cedana::health {
namespace {

config::Config EmptyMachine() {
  config::Config config = config::Config::Defaults();
  EXPECT_TRUE(config.Set("plugins.lib_dir", testing::TempDir() + "/no-such-folder").ok());
  EXPECT_TRUE(config.Set("criu.binary_path", "/no/such/criu").ok());
  return config;
}

TEST(Health, MissingCriuIsAnErrorOfItsVersion) {
  const std::vector<HealthGroup> groups = CheckAll(EmptyMachine(), /*full=*/false);
  ASSERT_EQ(groups.size(), 1u);
  EXPECT_EQ(groups[0].name, "criu");
  ASSERT_EQ(groups[0].items.size(), 1u);
  EXPECT_EQ(groups[0].items[0].component, "version");
  EXPECT_EQ(groups[0].items[0].errors.size(), 1u);
}

TEST(Health, FullSaysThatNoStoragePluginIsInstalled) {
  config::Config config = EmptyMachine();
  plugin::StoragePlugins plugins(config.Text("plugins.lib_dir"));
  const std::vector<HealthGroup> groups = CheckAll(config, /*full=*/true, plugins, {});
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[1].name, "storage");
  EXPECT_EQ(groups[1].items[0].warnings.size(), 1u);
}

TEST(Health, MissingPluginOfTheConfiguredStorageIsAnError) {
  config::Config config = EmptyMachine();
  ASSERT_TRUE(config.Set("checkpoint.dir", "cedana://my-checkpoints").ok());
  plugin::StoragePlugins plugins(config.Text("plugins.lib_dir"));
  const std::vector<HealthGroup> groups = CheckAll(config, /*full=*/true, plugins, {});
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[1].name, "storage/cedana");
  EXPECT_EQ(groups[1].items[0].errors.size(), 1u);
}

TEST(HealthWire, GroupsComeBackAsTheyWere) {
  const std::vector<HealthGroup> groups{
      {"criu", {{"version", "40201", {}, {"old"}}, {"features", "unavailable", {"a", "b"}, {}}}},
      {"storage/cedana", {}}};
  daemon_api::HealthCheckResp response;
  ToWire(groups, &response);
  const std::vector<HealthGroup> back = FromWire(response);
  ASSERT_EQ(back.size(), 2u);
  EXPECT_EQ(back[0].items[0].warnings, std::vector<std::string>{"old"});
  EXPECT_EQ(back[0].items[1].errors, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(back[1].name, "storage/cedana");
}

}  // namespace
}  // namespace cedana::health
