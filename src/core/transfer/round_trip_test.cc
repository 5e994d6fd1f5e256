// A whole checkpoint there and back.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/base/thread.h"
#include "core/format/pack_reader.h"
#include "core/format/page_id.h"
#include "core/transfer/testing/checkpoint_fixture.h"

namespace cedana::transfer {
namespace {

using RoundTrip = CheckpointTest;

TEST_F(RoundTrip, EverySizeInEveryCodec) {
  Images images;
  for (size_t size : {0u, 1u, 4095u, 4096u, 4097u, 16383u, 16384u, 16385u, 255u << 10, 256u << 10,
                      257u << 10, 1u << 20, (1u << 20) + 1, 3u << 20, 5u << 20}) {
    images[absl::StrCat("file-", size, ".img")] = SomeMemory(size, static_cast<uint32_t>(size));
  }
  for (const char* codec : {"none", "tar", "lz4", "zstd", "gzip", "zlib"}) {
    SaveOptions options = OptionsFor(absl::StrCat("all/", codec));
    options.codec = codec;
    const auto info = SaveImages(options, images);
    ASSERT_TRUE(info.ok()) << info.status();
    EXPECT_EQ(info->codec, codec == std::string("tar") ? "none" : codec);
    EXPECT_EQ(info->facts.job_name, "my-job");
    ExpectImages(options.path, images);
  }
  // Every pack is what the format says, trailer included.
  for (const base::PackId& pack : store_.packs()) {
    const std::vector<uint8_t> bytes = store_.Bytes(pack);
    const auto trailer = format::CheckPack(TestKeys(), pack, bytes);
    EXPECT_TRUE(trailer.ok()) << trailer.status();
  }
}

TEST_F(RoundTrip, SparseMemoryCostsOnlyItsPages) {
  const Images images = {{"pages-1.img", SomeMemory(100 << 20, 7, 97)}};
  auto save = BeginSave(OptionsFor("sparse"));
  ASSERT_TRUE(save.ok());
  ASSERT_TRUE(StoreAll(**save, images).ok());
  const auto info = (*save)->Finish({}, absl::Seconds(10));
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->image_bytes, 100u << 20);
  EXPECT_LT(info->stored_bytes, 4u << 20);
  EXPECT_GT((*save)->progress().zero_bytes, 90u << 20);
  EXPECT_EQ((*save)->progress().stored_bytes, info->stored_bytes);
  ExpectImages("sparse", images);
}

TEST_F(RoundTrip, AllZeroFilesAreStoredNowhere) {
  const Images images = {{"pages-1.img", std::string(50 << 20, '\0')}};
  const auto info = SaveImages(OptionsFor("zero"), images);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_LT(info->stored_bytes, 1000u);
  ExpectImages("zero", images);
}

TEST_F(RoundTrip, ManySmallFilesEndInOnePack) {
  Images images;
  for (int i = 0; i < 300; ++i) {
    images[absl::StrCat("core-", i, ".img")] = SomeMemory(1 + i * 37, i, 0);
  }
  ASSERT_TRUE(SaveImages(OptionsFor("small"), images).ok());
  EXPECT_EQ(store_.packs().size(), 1u);
  ExpectImages("small", images);
  // One read opens the checkpoint and serves them all.
  EXPECT_EQ(faults_.calls("Read"), 1);
}

TEST_F(RoundTrip, SmallFilesOverTheirShareGoThroughThePipelines) {
  Images images;
  for (int i = 0; i < 30; ++i) {
    images[absl::StrCat("pages-", i, ".img")] = SomeMemory(700 << 10, i, 5);
  }
  ASSERT_TRUE(SaveImages(OptionsFor("many"), images).ok());
  EXPECT_GT(store_.packs().size(), 1u);
  ExpectImages("many", images);
}

TEST_F(RoundTrip, AnEmptyCheckpointIsOne) {
  ASSERT_TRUE(SaveImages(OptionsFor("empty"), {}).ok());
  ExpectImages("empty", {});
}

TEST_F(RoundTrip, FilesAreStoredInParallel) {
  Images images;
  for (int i = 0; i < 12; ++i) {
    images[absl::StrCat("pages-", i, ".img")] = SomeMemory((i % 4) * (3 << 20) + 1000, i);
  }
  SaveOptions options = OptionsFor("parallel");
  options.memory_limit_bytes = 128 << 20;
  auto save = BeginSave(options);
  ASSERT_TRUE(save.ok()) << save.status();
  {
    std::vector<base::Thread> threads;
    for (const auto& [name, bytes] : images) {
      threads.emplace_back("store", [&save, &name = name, &bytes = bytes] {
        StringSource source(bytes, 10000);
        EXPECT_TRUE((*save)->Store(name, source).ok());
      });
    }
  }
  ASSERT_TRUE((*save)->Finish({}, absl::Seconds(10)).ok());
  ExpectImages("parallel", images);
}

// Gives its first bytes, and the rest once the gate opens: a stream that CRIU keeps open.
class IdleSource : public ByteSource {
 public:
  IdleSource(const std::string& bytes, size_t first, absl::Notification* gate)
      : source_(bytes, 4096), first_(first), gate_(gate) {}
  absl::StatusOr<size_t> Read(std::span<uint8_t> out) override {
    if (given_ >= first_) gate_->WaitForNotification();
    absl::StatusOr<size_t> got = source_.Read(out);
    given_ += got.value_or(0);
    return got;
  }

 private:
  StringSource source_;
  const size_t first_;
  absl::Notification* const gate_;
  size_t given_ = 0;
};

TEST_F(RoundTrip, IdleStreamsDoNotKeepOthersWaiting) {
  Images images;
  SaveOptions options = OptionsFor("idle");
  options.memory_limit_bytes = 128 << 20;
  auto save = BeginSave(options);
  ASSERT_TRUE(save.ok());
  absl::Notification gate;
  std::vector<base::Thread> threads;
  for (int i = 0; i < 60; ++i) {
    const std::string name = absl::StrCat("idle-", i, ".img");
    images[name] = SomeMemory(900 << 10, i, 0);
    threads.emplace_back("idle", [&save, &gate, name, &bytes = images[name]] {
      IdleSource source(bytes, 800 << 10, &gate);
      EXPECT_TRUE((*save)->Store(name, source).ok());
    });
  }
  images["pages-1.img"] = SomeMemory(60 << 20, 1, 0);
  StringSource source(images["pages-1.img"]);
  EXPECT_TRUE((*save)->Store("pages-1.img", source).ok());
  gate.Notify();
  threads.clear();
  ASSERT_TRUE((*save)->Finish({}, absl::Seconds(10)).ok());
  ExpectImages("idle", images);
}

TEST_F(RoundTrip, PageMapStaysSmall) {
  const Images images = {{"pages-1.img", SomeMemory(64 << 20, 3, 30)}};
  ASSERT_TRUE(SaveImages(OptionsFor("map"), images).ok());
  EXPECT_LT(memory_catalog_.ManifestOf("map").size(), 2000u);
  // Nearly every second page is a hole here, and still: 12 bytes for each 64 KiB.
  ASSERT_TRUE(OpenLoad("map").ok());
  EXPECT_LT(store_.bytes_read(), 24u << 10);
}

TEST_F(RoundTrip, BadNamesAndTwiceTheSameAreRefused) {
  for (const char* name : {"", "a/b", ".."}) {
    auto save = BeginSave(OptionsFor("names"));
    ASSERT_TRUE(save.ok()) << save.status();
    const std::string bytes = "x";
    StringSource source(bytes);
    EXPECT_EQ((*save)->Store(name, source).code(), absl::StatusCode::kInvalidArgument);
  }
  auto save = BeginSave(OptionsFor("names"));
  ASSERT_TRUE(save.ok());
  const std::string bytes = "x";
  StringSource first(bytes);
  StringSource second(bytes);
  EXPECT_TRUE((*save)->Store("a.img", first).ok());
  EXPECT_FALSE((*save)->Store("a.img", second).ok());
  EXPECT_FALSE((*save)->Finish({}, absl::Seconds(1)).ok());
}

TEST_F(RoundTrip, OptionsAreCheckedBeforeAnythingHappens) {
  SaveOptions options = OptionsFor("options");
  options.codec = "brotli";
  EXPECT_EQ(BeginSave(options).status().code(), absl::StatusCode::kInvalidArgument);
  options = OptionsFor("options");
  options.memory_limit_bytes = 64 << 20;
  const absl::Status status = BeginSave(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("checkpoint.memory_limit"), absl::string_view::npos);
  EXPECT_EQ(faults_.calls("Begin"), 0);
}

}  // namespace
}  // namespace cedana::transfer
