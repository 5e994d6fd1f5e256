#include "cedana/plugin/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/base/fd.h"
#include "core/build_id.h"

namespace cedana::plugin {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class StoragePluginsTest : public testing::Test {
 protected:
  StoragePluginsTest() {
    folder_ = testing::TempDir() + "cedana_loader_" +
              testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }

  std::string Path(const std::string& scheme) {
    return folder_ + "/libcedana-storage-" + scheme + ".so";
  }
  // As `plugin install` does it: a new file under the old name.
  void Install(const char* built, const std::string& scheme) {
    const absl::StatusOr<std::string> bytes = base::ReadFile(built, 512u << 20);
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    ASSERT_TRUE(base::WriteFileAtomic(Path(scheme), *bytes, 0755).ok());
  }
  static std::string Mark(StorageBackend& backend) { return backend.Check({}, false)[0].data; }
  std::unique_ptr<StorageBackend> Open(StoragePlugins& plugins) {
    absl::StatusOr<std::unique_ptr<StorageBackend>> backend = plugins.Open("cedana", {.url = "x"});
    EXPECT_TRUE(backend.ok()) << backend.status();
    return backend.ok() ? *std::move(backend) : nullptr;
  }

  std::string folder_;
};

TEST_F(StoragePluginsTest, NotInstalledSaysHowToInstall) {
  StoragePlugins plugins(folder_);
  const absl::Status status = plugins.Find("cedana").status();
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_EQ(status.message(),
            "storage plugin storage/cedana is not installed: run \"cedana plugin install "
            "storage/cedana\"");
}

TEST_F(StoragePluginsTest, UnknownSchemeNamesTheKnownOnes) {
  StoragePlugins plugins(folder_);
  const absl::Status status = plugins.Find("ftp").status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("ftp://"), HasSubstr("cedana://")));
}

TEST_F(StoragePluginsTest, LoadsAnInstalledPluginOnceAndListsIt) {
  Install(FAKE_PLUGIN_ONE, "cedana");
  StoragePlugins plugins(folder_);
  const absl::StatusOr<const StoragePluginV1*> first = plugins.Find("cedana");
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_STREQ((*first)->build_id, BuildId());
  EXPECT_EQ(*plugins.Find("cedana"), *first);
  EXPECT_THAT(plugins.Installed(), ElementsAre("cedana"));
  EXPECT_EQ(plugins.Open("cedana", {}).status().message(), "no URL");
  EXPECT_EQ(Mark(*Open(plugins)), "one");
}

TEST_F(StoragePluginsTest, InstallationRemovalAndReplacementCountAtOnce) {
  StoragePlugins plugins(folder_);
  ASSERT_FALSE(plugins.Find("cedana").ok());
  Install(FAKE_PLUGIN_ONE, "cedana");
  const std::unique_ptr<StorageBackend> one = Open(plugins);
  ASSERT_NE(one, nullptr);
  Install(FAKE_PLUGIN_TWO, "cedana");
  const std::unique_ptr<StorageBackend> two = Open(plugins);
  ASSERT_NE(two, nullptr);
  fs::remove(Path("cedana"));
  EXPECT_TRUE(absl::IsUnavailable(plugins.Find("cedana").status()));
  // What is in use stays as it was.
  EXPECT_EQ(Mark(*one), "one");
  EXPECT_EQ(Mark(*two), "two");
}

TEST_F(StoragePluginsTest, OverwritingInPlaceHarmsNothingInUseAndIsNoticed) {
  Install(FAKE_PLUGIN_ONE, "cedana");
  StoragePlugins plugins(folder_);
  const std::unique_ptr<StorageBackend> one = Open(plugins);
  ASSERT_NE(one, nullptr);
  fs::copy_file(FAKE_PLUGIN_TWO, Path("cedana"), fs::copy_options::overwrite_existing);
  EXPECT_EQ(Mark(*Open(plugins)), "two");
  EXPECT_EQ(Mark(*one), "one");
}

TEST_F(StoragePluginsTest, AnotherBuildIsRefusedNamingBoth) {
  Install(FAKE_PLUGIN_OTHER, "cedana");
  StoragePlugins plugins(folder_);
  const absl::Status status = plugins.Find("cedana").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("0123456789abcdef"), HasSubstr(BuildId()),
                    HasSubstr("cedana plugin install storage/cedana")));
}

TEST_F(StoragePluginsTest, AFileThatIsNoPluginIsRefused) {
  ASSERT_TRUE(base::WriteFileAtomic(Path("cedana"), "not ELF", 0755).ok());
  StoragePlugins plugins(folder_);
  EXPECT_TRUE(absl::IsFailedPrecondition(plugins.Find("cedana").status()));
}

}  // namespace
}  // namespace cedana::plugin
