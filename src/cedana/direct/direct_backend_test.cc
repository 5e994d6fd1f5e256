#include "cedana/direct/direct_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "cedana/plugin/loader.h"
#include "core/base/fd.h"
#include "core/build_id.h"
#include "core/transfer/load.h"
#include "core/transfer/save.h"
#include "core/transfer/testing/image_fakes.h"

namespace cedana::direct {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

const plugin::HealthItem* Item(const std::vector<plugin::HealthItem>& items,
                               const std::string& component) {
  for (const plugin::HealthItem& item : items) {
    if (item.component == component) return &item;
  }
  return nullptr;
}

class FileBackend : public testing::Test {
 protected:
  FileBackend()
      : root_(absl::StrCat(testing::TempDir(), "direct-file-",
                           absl::Hex(base::SystemRandom().Next64()))) {
    fs::create_directories(root_);
    folder_ = root_.substr(1) + "/ckpt";
  }
  ~FileBackend() override { fs::remove_all(root_); }

  std::unique_ptr<DirectBackend> Open(const std::string& folder, const std::string& key_file = "") {
    auto backend = DirectBackend::Create("file", {.folder = folder, .key_file = key_file}, {});
    EXPECT_TRUE(backend.ok()) << backend.status();
    return backend.ok() ? *std::move(backend) : nullptr;
  }
  static absl::StatusOr<transfer::CheckpointInfo> Save(DirectBackend& backend,
                                                       const std::string& path) {
    transfer::SaveOptions options;
    options.save = base::DrawId<base::SaveId>(base::SystemRandom());
    options.checkpoint = base::DrawId<base::CheckpointId>(base::SystemRandom());
    options.path = path;
    auto save = transfer::Save::Begin({}, options, &backend.catalog(),
                                      [&](const base::SaveId& id) { return backend.OpenSink(id); });
    if (!save.ok()) return save.status();
    const std::string bytes = "memory of " + path;
    transfer::StringSource source(bytes);
    if (absl::Status status = (*save)->Store("pages-1.img", source); !status.ok()) return status;
    return (*save)->Finish({}, absl::Seconds(5));
  }
  static absl::StatusOr<std::string> Load(DirectBackend& backend, const std::string& path) {
    transfer::LoadOptions options;
    options.path = path;
    options.lease = base::DrawId<base::LeaseId>(base::SystemRandom());
    auto load = transfer::Load::Open({}, options, &backend.catalog(), [&](const base::LeaseId& id) {
      return backend.OpenSource(id);
    });
    if (!load.ok()) return load.status();
    return transfer::ReadImageFile(**load, "pages-1.img", 1 << 20);
  }
  std::string root_;
  std::string folder_;
};

TEST_F(FileBackend, PathsAreTheFoldersAndAName) {
  const auto backend = Open(folder_);
  const auto info = Save(*backend, folder_ + "/one");
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->path, folder_ + "/one");
  EXPECT_EQ(*Load(*backend, folder_ + "/one.tar"), "memory of " + folder_ + "/one");
  for (const std::string& prefix : {std::string(), folder_, folder_ + "/one", root_.substr(1)}) {
    transfer::ListQuery query;
    query.prefix = prefix;
    const auto list = backend->catalog().List({}, query);
    ASSERT_TRUE(list.ok() && list->size() == 1) << prefix;
    EXPECT_EQ((*list)[0].path, folder_ + "/one");
  }
  transfer::ListQuery elsewhere;
  elsewhere.prefix = folder_ + "2";
  EXPECT_TRUE(backend->catalog().List({}, elsewhere)->empty());
  EXPECT_TRUE(backend->catalog().Delete({}, folder_ + "/one").ok());
  const auto report = backend->Collect({}, /*dry_run=*/true);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->kept_checkpoints, 0u);
  EXPECT_EQ(report->packs, 0u);  // younger than a day
}

TEST_F(FileBackend, RefusesPathsThatItCannotKeep) {
  const auto backend = Open(folder_);
  EXPECT_THAT(std::string(Save(*backend, folder_ + "/a/b").status().message()), HasSubstr("--dir"));
  EXPECT_TRUE(absl::IsInvalidArgument(Save(*backend, "elsewhere/a").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Save(*backend, folder_ + "/..").status()));
  EXPECT_FALSE(fs::exists(root_ + "/ckpt"));
  for (const char* folder : {"a/../b", "a//b", "a?region=x"}) {
    EXPECT_TRUE(
        absl::IsInvalidArgument(DirectBackend::Create("file", {.folder = folder}, {}).status()))
        << folder;
  }
  EXPECT_THAT(std::string(Load(*Open(""), "x").status().message()), HasSubstr("names no folder"));
}

TEST_F(FileBackend, AskingAboutAFolderThatIsNotThereDoesNotMakeIt) {
  const auto backend = Open(folder_);
  EXPECT_TRUE(backend->catalog().List({}, {})->empty());
  EXPECT_TRUE(absl::IsNotFound(Load(*backend, folder_ + "/x").status()));
  EXPECT_TRUE(absl::IsNotFound(backend->catalog().Delete({}, folder_ + "/x")));
  EXPECT_TRUE(absl::IsNotFound(backend->Collect({}, false).status()));
  EXPECT_FALSE(fs::exists(root_ + "/ckpt"));
  const auto deep = Open(folder_ + "/not/there");
  EXPECT_THAT(std::string(Save(*deep, folder_ + "/not/there/x").status().message()),
              HasSubstr("there is no folder"));
  ASSERT_TRUE(base::WriteFileAtomic(root_ + "/ckpt", "a file", 0600).ok());
  EXPECT_THAT(std::string(Save(*backend, folder_ + "/x").status().message()),
              HasSubstr("not a folder"));
}

TEST_F(FileBackend, KeyFiles) {
  const std::string file = root_ + "/key";
  ASSERT_TRUE(base::WriteFileAtomic(file, std::string(64, 'a') + "\n", 0600).ok());
  EXPECT_TRUE(Save(*Open(folder_, file), folder_ + "/one").ok());
  EXPECT_TRUE(Load(*Open(folder_, file), folder_ + "/one").ok());
  EXPECT_THAT(std::string(Load(*Open(folder_), folder_ + "/one").status().message()),
              HasSubstr("storage.key_file"));
  ASSERT_TRUE(base::WriteFileAtomic(file, "short", 0600).ok());
  const absl::Status bad =
      DirectBackend::Create("file", {.folder = folder_, .key_file = file}, {}).status();
  EXPECT_THAT(std::string(bad.message()),
              AllOf(HasSubstr("64 hex digits"), testing::Not(HasSubstr("short"))));
  EXPECT_THAT(
      std::string(
          DirectBackend::Create("file", {.key_file = root_ + "/none"}, {}).status().message()),
      HasSubstr("storage.key_file"));
}

TEST_F(FileBackend, CheckProbesTheFolderAndLeavesNothing) {
  const auto backend = Open(folder_);
  auto items = backend->Check({}, /*full=*/true);
  ASSERT_NE(Item(items, "storage probe"), nullptr);
  EXPECT_TRUE(Item(items, "storage probe")->errors.empty());
  EXPECT_THAT(Item(items, "storage probe")->data, HasSubstr("ms"));
  ASSERT_NE(Item(items, "key"), nullptr);
  EXPECT_THAT(Item(items, "key")->warnings.at(0), HasSubstr("integrity only, not secret"));
  EXPECT_FALSE(fs::exists(root_ + "/ckpt/cedana"));
  items = Open("")->Check({}, /*full=*/true);
  EXPECT_EQ(Item(items, "storage probe"), nullptr);
  EXPECT_THAT(Item(items, "folder")->warnings.at(0), HasSubstr("checkpoint.dir"));
  // A folder that is none is an error in one line.
  ASSERT_TRUE(base::WriteFileAtomic(root_ + "/file", "", 0600).ok());
  items = Open(root_.substr(1) + "/file")->Check({}, /*full=*/true);
  EXPECT_THAT(Item(items, "storage probe")->errors.at(0), HasSubstr("not a folder"));
}

// As `cedana check --full` opens the plugins of the schemes that checkpoint.dir does not name.
TEST(DirectBackend, WithoutAFolderTheSettingsAreCheckedAndAreNoErrors) {
  struct Scheme {
    std::string name;
    std::vector<std::string> settings;
  };
  ::unsetenv("AWS_SHARED_CREDENTIALS_FILE");
  for (const Scheme& scheme :
       {Scheme{"s3", {"AWS AccessKeyID", "AWS SecretAccessKey"}},
        Scheme{"gcs", {"credentials file"}}, Scheme{"azure", {"account", "key or SAS"}}}) {
    plugin::StorageConfig config;
    for (const bool set : {false, true}) {
      const auto backend = DirectBackend::Create(scheme.name, config, {});
      ASSERT_TRUE(backend.ok()) << scheme.name << ": " << backend.status();
      const std::vector<plugin::HealthItem> items = (*backend)->Check({}, /*full=*/true);
      for (const plugin::HealthItem& item : items) EXPECT_THAT(item.errors, IsEmpty());
      for (const std::string& setting : scheme.settings) {
        const plugin::HealthItem* const item = Item(items, setting);
        ASSERT_NE(item, nullptr) << setting;
        EXPECT_EQ(item->data, set ? "set" : "not set") << setting;
        EXPECT_EQ(item->warnings.size(), set ? 0u : 1u) << setting;
      }
      ASSERT_NE(Item(items, "folder"), nullptr);
      EXPECT_THAT(Item(items, "folder")->warnings.at(0), HasSubstr("checkpoint.dir"));
      EXPECT_TRUE(absl::IsInvalidArgument((*backend)->Collect({}, /*dry_run=*/true).status()));
      EXPECT_TRUE(absl::IsInvalidArgument((*backend)->catalog().Delete({}, "x")));
      config.aws = {"id", "secret"};
      config.gcs.credentials_file = "/some/file";
      config.azure = {"account", "a2V5"};
    }
  }
}

TEST(DirectBackend, KeysOfAnIniFileAreSet) {
  const std::string file = testing::TempDir() + "direct-credentials";
  ASSERT_TRUE(base::WriteFileAtomic(
                  file, "[default]\naws_access_key_id = id\naws_secret_access_key = secret\n", 0600)
                  .ok());
  ::setenv("AWS_SHARED_CREDENTIALS_FILE", file.c_str(), 1);
  for (const char* folder : {"", "bucket/folder"}) {
    const auto backend = DirectBackend::Create("s3", {.folder = folder}, {});
    ASSERT_TRUE(backend.ok()) << backend.status();
    const auto items = (*backend)->Check(base::Context{}.WithTimeout(absl::ZeroDuration()), false);
    for (const char* key : {"AWS AccessKeyID", "AWS SecretAccessKey"}) {
      ASSERT_NE(Item(items, key), nullptr);
      EXPECT_EQ(Item(items, key)->data, "set");
      EXPECT_THAT(Item(items, key)->warnings, IsEmpty());
    }
  }
  // A file that is no use is named.
  ::setenv("AWS_SHARED_CREDENTIALS_FILE", "/not/there", 1);
  const auto none = DirectBackend::Create("s3", {}, {});
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_THAT(Item((*none)->Check({}, false), "AWS AccessKeyID")->warnings,
              testing::ElementsAre(HasSubstr("/not/there")));
  // One key without the other is taken from nowhere else.
  plugin::StorageConfig config;
  config.aws.access_key_id = "id";
  const auto half = DirectBackend::Create("s3", config, {});
  ASSERT_TRUE(half.ok()) << half.status();
  EXPECT_EQ(Item((*half)->Check({}, false), "AWS SecretAccessKey")->data, "not set");
  ::unsetenv("AWS_SHARED_CREDENTIALS_FILE");
}

TEST(DirectBackend, SettingsOfOtherS3ServersAreShownAndChecked) {
  plugin::StorageConfig config;
  config.aws.endpoint = "https://minio:9000";
  config.aws.style = "virtual";
  config.aws.checksum = false;
  const auto backend = DirectBackend::Create("s3", config, {});
  ASSERT_TRUE(backend.ok()) << backend.status();
  const auto items = (*backend)->Check({}, false);
  for (const char* setting : {"endpoint", "style", "checksum"}) {
    EXPECT_NE(Item(items, setting), nullptr) << setting;
  }
  config.folder = "bucket/folder";
  config.aws = {.access_key_id = "id", .secret_access_key = "secret", .style = "sideways"};
  const absl::Status bad = DirectBackend::Create("s3", config, {}).status();
  EXPECT_TRUE(absl::IsInvalidArgument(bad)) << bad;
  EXPECT_THAT(std::string(bad.message()), HasSubstr("style= is path or virtual"));
}

// The shared objects as they are installed.
TEST_F(FileBackend, ThePluginsLoadUnderTheirSchemes) {
  plugin::StoragePlugins plugins(STORAGE_PLUGIN_FOLDER);
  for (const std::string scheme : {"azure", "file", "gcs", "s3"}) {
    const auto found = plugins.Find(scheme);
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ((*found)->name, absl::StrCat("storage/", scheme));
    EXPECT_EQ((*found)->scheme, scheme);
    EXPECT_STREQ((*found)->version, BuildVersion());
  }
  const auto backend = plugins.Open("file", {.folder = folder_});
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_TRUE((*backend)->catalog().List({}, {})->empty());
  EXPECT_THAT(std::string(plugins.Open("azure", {.folder = "c/f"}).status().message()),
              HasSubstr("azure.account (AZURE_STORAGE_ACCOUNT)"));
  EXPECT_THAT(std::string(plugins.Open("gcs", {.folder = "b/f"}).status().message()),
              HasSubstr("GOOGLE_APPLICATION_CREDENTIALS"));
}

}  // namespace
}  // namespace cedana::direct
