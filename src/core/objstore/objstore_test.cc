#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "core/objstore/directory_store.h"
#include "core/objstore/fault_store.h"
#include "core/objstore/memory_store.h"
#include "core/objstore/testing/conformance.h"

namespace cedana::objstore {
namespace {

namespace fs = std::filesystem;

struct TemporaryFolder {
  TemporaryFolder() {
    char name[] = "/tmp/objstore_test.XXXXXX";
    path = mkdtemp(name);
  }
  ~TemporaryFolder() { fs::remove_all(path); }
  std::string path;
};

// A store and what it stands on, as one pointer to the store.
template <typename Ground>
std::shared_ptr<ObjectStore> On(std::shared_ptr<Ground> ground, ObjectStore* store) {
  return {std::move(ground), store};
}

std::shared_ptr<ObjectStore> MakeDirectory() {
  struct Ground {
    TemporaryFolder folder;
    std::unique_ptr<DirectoryStore> store = *DirectoryStore::Open(folder.path);
  };
  auto ground = std::make_shared<Ground>();
  return On(ground, ground->store.get());
}

std::shared_ptr<ObjectStore> MakeFault() {
  struct Ground {
    MemoryStore memory;
    FaultStore store{&memory};
  };
  auto ground = std::make_shared<Ground>();
  return On(ground, &ground->store);
}

INSTANTIATE_TEST_SUITE_P(Memory, ObjectStoreConformance, testing::Values(StoreMaker{[] {
                           return std::make_shared<MemoryStore>();
                         }}));
INSTANTIATE_TEST_SUITE_P(Directory, ObjectStoreConformance,
                         testing::Values(StoreMaker{MakeDirectory}));
INSTANTIATE_TEST_SUITE_P(Fault, ObjectStoreConformance, testing::Values(StoreMaker{MakeFault}));

TEST(ObjectKey, RefusesWhatCouldLeaveTheFolder) {
  for (const std::string& good :
       {std::string("a"), std::string("s/0123abcdef/p-1"), std::string("-"), std::string(255, 'a'),
        std::string(127, 'a') + "/" + std::string(128, 'b')}) {
    EXPECT_TRUE(ObjectKey::Parse(good).ok()) << good;
  }
  for (const std::string& bad :
       {std::string(), std::string("/"), std::string("/a"), std::string("a/"), std::string("a//b"),
        std::string("."), std::string(".."), std::string("a/../b"), std::string("A"),
        std::string("a b"), std::string("a\\b"), std::string("a%2fb"), std::string("a_b"),
        std::string("a\0b", 3), std::string("\xc3\xa4"), std::string(256, 'a'),
        std::string(128, 'a') + "/" + std::string(128, 'b'), std::string("a\n")}) {
    EXPECT_FALSE(ObjectKey::Parse(bad).ok()) << bad;
  }
}

TEST(DirectoryStore, FollowsNoLinkAndLeavesNoFolder) {
  TemporaryFolder folder;
  TemporaryFolder outside;
  const auto store = *DirectoryStore::Open(folder.path + "/store");
  ASSERT_TRUE(base::WriteFileAtomic(outside.path + "/secret", "x", 0600).ok());
  fs::create_directory(folder.path + "/store/s");
  fs::create_symlink(outside.path, folder.path + "/store/s/link");
  fs::create_symlink(outside.path + "/secret", folder.path + "/store/s/file");
  ASSERT_EQ(mkfifo((folder.path + "/store/s/pipe").c_str(), 0600), 0);

  EXPECT_FALSE(Fetch(*store, Key("s/link/secret")).ok());
  EXPECT_FALSE(Fetch(*store, Key("s/file")).ok());
  EXPECT_FALSE(Fetch(*store, Key("s/pipe")).ok());
  EXPECT_FALSE(store->Put({}, Key("s/link/new"), RandomBytes(10), {}).ok());
  EXPECT_FALSE(store->Put({}, Key("s/file"), RandomBytes(10), {}).ok());
  EXPECT_FALSE(store->Delete({}, Key("s/link/secret")).ok());
  EXPECT_TRUE(store->List({}, "", "", 100)->empty());
  EXPECT_EQ(*base::ReadFile(outside.path + "/secret"), "x");
  EXPECT_FALSE(fs::exists(outside.path + "/new"));

  ASSERT_TRUE(store->Put({}, Key("t/a/b/p"), RandomBytes(10), {}).ok());
  ASSERT_TRUE(store->Put({}, Key("t/c"), RandomBytes(10), {}).ok());
  ASSERT_TRUE(store->Delete({}, Key("t/a/b/p")).ok());
  EXPECT_FALSE(fs::exists(folder.path + "/store/t/a"));
  EXPECT_TRUE(fs::exists(folder.path + "/store/t/c"));
  EXPECT_FALSE(fs::exists(folder.path + "/store/t/a/b"));
  EXPECT_TRUE(store->Put({}, Key("t/a/b/p"), RandomBytes(10), {}).ok());
}

TEST(DirectoryStore, UploadsPieceByPieceOrNotAtAll) {
  TemporaryFolder folder;
  const auto store = *DirectoryStore::Open(folder.path);
  const auto bytes = RandomBytes(3000000);
  const auto temporaries = [&] {
    return std::distance(fs::directory_iterator(folder.path + "/.tmp"), fs::directory_iterator());
  };
  {
    auto upload = *store->BeginUpload(Key("s/a/p"), bytes.size(), {.crc32c = codec::Crc32c(bytes)});
    ASSERT_TRUE(upload->Append(std::span(bytes).first(1000000)).ok());
    EXPECT_EQ(upload->Commit().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(temporaries(), 1);
    EXPECT_FALSE(Fetch(*store, Key("s/a/p")).ok());
  }
  EXPECT_EQ(temporaries(), 0);
  auto upload = *store->BeginUpload(Key("s/a/p"), bytes.size(), {.crc32c = codec::Crc32c(bytes)});
  auto rival = *store->BeginUpload(Key("s/a/p"), 5, {});
  ASSERT_TRUE(upload->Append(bytes).ok());
  EXPECT_EQ(upload->Append(std::span(bytes).first(1)).code(), absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(upload->Commit().ok());
  EXPECT_FALSE(upload->Commit().ok());
  EXPECT_EQ(*Fetch(*store, Key("s/a/p")), bytes);
  ASSERT_TRUE(rival->Append(std::span(bytes).first(5)).ok());
  EXPECT_EQ(rival->Commit().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(store->BeginUpload(Key("s/a/p"), 1, {}).status().code(),
            absl::StatusCode::kAlreadyExists);
  upload.reset();
  rival.reset();
  EXPECT_EQ(temporaries(), 0);
}

TEST(DirectoryStore, SweepsWhatNobodyHoldsAtOpen) {
  TemporaryFolder folder;
  auto store = *DirectoryStore::Open(folder.path);
  auto alive = *store->BeginUpload(Key("a"), 3, {});
  ASSERT_TRUE(base::WriteFileAtomic(folder.path + "/.tmp/0123", "dead", 0600).ok());
  const auto second = *DirectoryStore::Open(folder.path);
  EXPECT_FALSE(fs::exists(folder.path + "/.tmp/0123"));
  const uint8_t bytes[] = {1, 2, 3};
  ASSERT_TRUE(alive->Append(bytes).ok());
  EXPECT_TRUE(alive->Commit().ok());
  EXPECT_TRUE(Fetch(*second, Key("a")).ok());
}

TEST(DirectoryStore, SaysFullBeforeTheFirstByte) {
  TemporaryFolder folder;
  const auto store = *DirectoryStore::Open(folder.path);
  // More than any disk of a test machine; a file may be so large on ext4 and tmpfs.
  const auto upload = store->BeginUpload(Key("huge"), uint64_t{8} << 40, {});
  EXPECT_EQ(upload.status().code(), absl::StatusCode::kResourceExhausted) << upload.status();
  EXPECT_TRUE(fs::is_empty(folder.path + "/.tmp"));
}

TEST(DirectoryStore, CreatorsAndDeletersOfOneFolderDoNotFail) {
  TemporaryFolder folder;
  const auto store = *DirectoryStore::Open(folder.path);
  std::vector<base::Thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back("worker", [&, i] {
      for (int round = 0; round < 30; ++round) {
        const ObjectKey key = Key(absl::StrCat("s/f/", i));
        const absl::Status status = store->Put({}, key, RandomBytes(10), {});
        EXPECT_TRUE(status.ok()) << status;
        EXPECT_TRUE(Fetch(*store, key).ok());
        EXPECT_TRUE(store->Delete({}, key).ok());
      }
    });
  }
  for (base::Thread& thread : threads) thread.Join();
  EXPECT_FALSE(fs::exists(folder.path + "/s"));
}

TEST(FaultStore, FailsTheOperationsThatAreNamed) {
  MemoryStore memory;
  FaultStore store(&memory);
  const auto bytes = RandomBytes(100);
  store.Add({.operation = Operation::kPut,
             .prefix = "s/",
             .skip = 1,
             .times = 2,
             .fail = absl::ResourceExhaustedError("full")});
  EXPECT_TRUE(store.Put({}, Key("s/1"), bytes, {}).ok());
  EXPECT_TRUE(store.Put({}, Key("t/1"), bytes, {}).ok());
  EXPECT_EQ(store.Put({}, Key("s/2"), bytes, {}).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(store.Put({}, Key("s/3"), bytes, {}).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(store.Put({}, Key("s/4"), bytes, {}).ok());
  EXPECT_EQ(store.hits(), 2);

  store.Add({.operation = Operation::kPut, .lose_reply = true});
  EXPECT_EQ(store.Put({}, Key("lost"), bytes, {}).code(), absl::StatusCode::kUnknown);
  EXPECT_EQ(*Fetch(store, Key("lost")), bytes);

  store.Add({.operation = Operation::kGet, .flip_bit = 8 * 50 + 3});
  auto bent = bytes;
  bent[50] ^= 8;
  EXPECT_EQ(*Fetch(store, Key("lost")), bent);
  store.Add({.operation = Operation::kGet, .cut_after = 10, .cut_status = absl::OkStatus()});
  EXPECT_EQ(Fetch(store, Key("lost"))->size(), 10u);
  store.Add({.operation = Operation::kGet, .cut_after = 10});
  EXPECT_EQ(Fetch(store, Key("lost")).status().code(), absl::StatusCode::kUnavailable);

  store.Add({.times = -1, .latency = absl::Hours(1)});
  const base::Context soon = base::Context{}.WithTimeout(absl::Milliseconds(20));
  EXPECT_EQ(store.Head(soon, Key("lost")).status().code(), absl::StatusCode::kDeadlineExceeded);
  store.Clear();
  EXPECT_TRUE(store.Head({}, Key("s/1")).ok());
}

}  // namespace
}  // namespace cedana::objstore
