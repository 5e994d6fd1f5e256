#include "cedana/plugin/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "core/base/fd.h"
#include "core/build_id.h"

namespace cedana::plugin {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

constexpr char kLibrary[] = "libcedana-storage-cedana.so";

class RegistryTest : public testing::Test {
 protected:
  RegistryTest() {
    root_ = testing::TempDir() + "cedana_registry_" +
            testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(root_);
    options_.bin_dir = root_ + "/installed/bin";
    options_.lib_dir = root_ + "/installed/lib";
    options_.program_dir = root_ + "/build/bin";
    options_.program_version = [](const std::string&) { return std::string("4.2.1"); };
  }

  void Put(const std::string& folder, const std::string& name, const std::string& bytes) {
    fs::create_directories(root_ + "/" + folder);
    ASSERT_TRUE(base::WriteFileAtomic(root_ + "/" + folder + "/" + name, bytes, 0644).ok());
  }
  void PutPlugin(const std::string& folder, const char* built) {
    const absl::StatusOr<std::string> bytes = base::ReadFile(built, 512u << 20);
    ASSERT_TRUE(bytes.ok());
    Put(folder, kLibrary, *bytes);
  }
  PluginInfo Info(absl::string_view name = "storage/cedana") {
    return *Registry(options_).Find(name);
  }

  std::string root_;
  RegistryOptions options_;
};

TEST_F(RegistryTest, KnowsItsPluginsAndNamesThemForAnUnknownOne) {
  EXPECT_EQ(Registry(options_).List().size(), KnownPlugins().size());
  const absl::Status status = Registry(options_).Install("storage/tape").status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("storage/tape"), HasSubstr("criu"), HasSubstr("storage/cedana")));
}

TEST_F(RegistryTest, InstallsFromBesideTheProgram) {
  PutPlugin("build/lib", FAKE_PLUGIN_ONE);
  EXPECT_EQ(Info().status, PluginStatus::kAvailable);
  EXPECT_EQ(Info().available_version, std::string("v") + BuildVersion());
  const Registry registry(options_);
  ASSERT_EQ(*registry.Install("storage/cedana"), InstallOutcome::kInstalled);
  EXPECT_EQ(Info().status, PluginStatus::kInstalled);
  EXPECT_EQ(Info().installed_version, std::string("v") + BuildVersion());
  EXPECT_GT(Info().bytes, 0u);
  struct stat st {};
  ASSERT_EQ(::stat((options_.lib_dir + "/" + kLibrary).c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0755u);
  EXPECT_EQ(*registry.Install("storage/cedana"), InstallOutcome::kAlreadyInstalled);
}

TEST_F(RegistryTest, LocalSearchPathComesFirstAndInItsOrder) {
  PutPlugin("build/lib", FAKE_PLUGIN_ONE);
  PutPlugin("second", FAKE_PLUGIN_TWO);
  options_.local_search_path = root_ + "/first:" + root_ + "/second";
  EXPECT_EQ(Info().available_in, root_ + "/second");
  PutPlugin("first", FAKE_PLUGIN_ONE);
  EXPECT_EQ(Info().available_in, root_ + "/first");
}

TEST_F(RegistryTest, AnotherContentAtHandMakesItOutdatedAndInstallReplacesIt) {
  PutPlugin("build/lib", FAKE_PLUGIN_ONE);
  ASSERT_TRUE(Registry(options_).Install("storage/cedana").ok());
  PutPlugin("build/lib", FAKE_PLUGIN_TWO);
  EXPECT_EQ(Info().status, PluginStatus::kOutdated);
  EXPECT_EQ(*Registry(options_).Install("storage/cedana"), InstallOutcome::kInstalled);
  EXPECT_EQ(Info().status, PluginStatus::kInstalled);
}

TEST_F(RegistryTest, AnotherBuildIsNotInstalled) {
  PutPlugin("build/lib", FAKE_PLUGIN_OTHER);
  const absl::Status status = Registry(options_).Install("storage/cedana").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("0123456789abcdef"), HasSubstr(BuildId())));
  EXPECT_EQ(Info().status, PluginStatus::kAvailable);
}

TEST_F(RegistryTest, NothingAtHandSaysWhereItLooked) {
  const absl::Status status = Registry(options_).Install("storage/cedana").status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(root_ + "/build/lib"), HasSubstr("plugins.local_search_path")));
  EXPECT_EQ(Info().status, PluginStatus::kMissing);
}

TEST_F(RegistryTest, AVersionMustBeTheOneAtHand) {
  PutPlugin("build/lib", FAKE_PLUGIN_ONE);
  EXPECT_TRUE(absl::IsNotFound(Registry(options_).Install("storage/cedana@9.9").status()));
  EXPECT_TRUE(Registry(options_).Install(std::string("storage/cedana@v") + BuildVersion()).ok());
}

TEST_F(RegistryTest, RemovesWhatIsInstalled) {
  PutPlugin("build/lib", FAKE_PLUGIN_ONE);
  const Registry registry(options_);
  ASSERT_TRUE(registry.Install("storage/cedana").ok());
  EXPECT_TRUE(registry.Remove("storage/cedana").ok());
  EXPECT_FALSE(fs::exists(options_.lib_dir + "/" + kLibrary));
  EXPECT_TRUE(absl::IsNotFound(registry.Remove("storage/cedana")));
  EXPECT_TRUE(absl::IsInvalidArgument(registry.Remove("storage/tape")));
}

TEST_F(RegistryTest, ProgramsGoToTheBinFolderWithTheirOwnVersion) {
  Put("build/criu", "criu", "#!/bin/sh\n");
  ASSERT_TRUE(Registry(options_).Install("criu").ok());
  EXPECT_TRUE(fs::exists(options_.bin_dir + "/criu"));
  EXPECT_EQ(Info("criu").installed_version, "v4.2.1");
}

}  // namespace
}  // namespace cedana::plugin
