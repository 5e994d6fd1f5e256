// A whole checkpoint there and back over a store and a catalog in memory.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/thread.h"
#include "core/transfer/load.h"
#include "core/transfer/save.h"
#include "core/transfer/testing/image_fakes.h"
#include "core/transfer/testing/memory_catalog.h"
#include "core/transfer/testing/memory_store.h"
#include "core/transfer/testing/seeded_random.h"

namespace cedana::transfer {
namespace {

using Images = std::map<std::string, std::string>;

// Pages of five kinds: zero, noise, text, half and half, equal to the one before.
std::string SomeMemory(size_t bytes, uint32_t seed, int zero_percent = 20) {
  std::mt19937 random(seed);
  std::string memory(bytes, '\0');
  for (size_t page = 0; page < bytes; page += 4096) {
    const size_t size = std::min<size_t>(4096, bytes - page);
    if (static_cast<int>(random() % 100) < zero_percent) continue;
    switch (random() % 4) {
      case 0:
        for (size_t i = 0; i < size; ++i) memory[page + i] = static_cast<char>(random());
        break;
      case 1:
        for (size_t i = 0; i < size; ++i) memory[page + i] = static_cast<char>('a' + i % 7);
        break;
      case 2:
        for (size_t i = 0; i < size; i += 2) memory[page + i] = static_cast<char>(random());
        break;
      default:
        if (page > 0) memory.replace(page, size, memory.substr(page - 4096, size));
        break;
    }
  }
  return memory;
}

class RoundTrip : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<Save>> BeginSave(const std::string& path,
                                                  const std::string& codec = "lz4") {
    SaveOptions options;
    options.save = base::DrawId<base::SaveId>(random_);
    options.checkpoint = base::DrawId<base::CheckpointId>(random_);
    options.path = path;
    options.codec = codec;
    options.pipelines = 2;
    options.random = &random_;
    return Save::Begin({}, options, &catalog_,
                       [this](const base::SaveId&) { return store_.OpenSink(); });
  }

  absl::StatusOr<CheckpointInfo> SaveImages(const std::string& path, const Images& images,
                                            const std::string& codec = "lz4") {
    auto save = BeginSave(path, codec);
    if (!save.ok()) return save.status();
    for (const auto& [name, bytes] : images) {
      StringSource source(bytes, 60000);
      if (absl::Status status = (*save)->Store(name, source); !status.ok()) return status;
    }
    JobFacts facts;
    facts.job_name = "my-job";
    return (*save)->Finish(facts, absl::Seconds(10));
  }

  absl::StatusOr<std::unique_ptr<Load>> OpenLoad(const std::string& path) {
    LoadOptions options;
    options.path = path;
    options.lease = base::DrawId<base::LeaseId>(random_);
    return Load::Open({}, options, &catalog_,
                      [this](const base::LeaseId&) { return store_.OpenSource(); });
  }

  void ExpectImages(const std::string& path, const Images& images) {
    auto load = OpenLoad(path);
    ASSERT_TRUE(load.ok()) << load.status();
    ASSERT_EQ((*load)->files().size(), images.size());
    for (const auto& [name, bytes] : images) {
      StringSink sink;
      const absl::Status status = (*load)->Serve(name, sink);
      ASSERT_TRUE(status.ok()) << status;
      ASSERT_EQ(sink.text().size(), bytes.size()) << name;
      ASSERT_TRUE(sink.text() == bytes) << name;
    }
  }

  SeededRandom random_{1};
  MemoryCatalog catalog_;
  MemoryStore store_;
};

TEST_F(RoundTrip, EverySizeInEveryCodec) {
  Images images;
  for (size_t size : {0u, 1u, 4095u, 4096u, 4097u, 16384u, 255u << 10, 256u << 10, 257u << 10,
                      1u << 20, (1u << 20) + 1, 3u << 20, 20u << 20}) {
    images[absl::StrCat("file-", size, ".img")] = SomeMemory(size, static_cast<uint32_t>(size));
  }
  for (const char* codec : {"none", "tar", "lz4", "zstd", "gzip", "zlib"}) {
    const auto info = SaveImages(absl::StrCat("all/", codec), images, codec);
    ASSERT_TRUE(info.ok()) << info.status();
    EXPECT_EQ(info->codec, codec == std::string("tar") ? "none" : codec);
    ExpectImages(absl::StrCat("all/", codec), images);
  }
}

}  // namespace
}  // namespace cedana::transfer
