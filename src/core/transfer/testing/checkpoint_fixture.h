// A test that saves and loads checkpoints over a catalog and a store in memory, with faults.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>

#include "core/transfer/load.h"
#include "core/transfer/save.h"
#include "core/transfer/testing/faults.h"
#include "core/transfer/testing/image_fakes.h"
#include "core/transfer/testing/memory_catalog.h"
#include "core/transfer/testing/memory_store.h"
#include "core/transfer/testing/seeded_random.h"

namespace cedana::transfer {

using Images = std::map<std::string, std::string>;

// Pages of five kinds: zero, noise, text, half and half, equal to the one before.
inline std::string SomeMemory(size_t bytes, uint32_t seed, uint32_t zero_percent = 20) {
  std::mt19937_64 random(seed);
  std::string memory(bytes, '\0');
  for (size_t page = 0; page < bytes; page += 4096) {
    if (random() % 100 < zero_percent) continue;
    const uint64_t kind = random() % 4;
    const uint64_t word = random();
    for (size_t i = page; i < std::min(page + 4096, bytes); i += 8) {
      uint64_t value = word;
      if (kind == 0 || (kind == 1 && i % 64 < 32)) value = random();
      if (kind == 2 && page > 0) std::memcpy(&value, &memory[i - 4096], 8);
      std::memcpy(&memory[i], &value, std::min<size_t>(8, bytes - i));
    }
  }
  return memory;
}

class CheckpointTest : public ::testing::Test {
 protected:
  SaveOptions OptionsFor(const std::string& path) {
    SaveOptions options;
    options.save = base::DrawId<base::SaveId>(random_);
    options.checkpoint = base::DrawId<base::CheckpointId>(random_);
    options.path = path;
    options.codec = "lz4";
    options.pipelines = 2;
    options.random = &random_;
    return options;
  }
  absl::StatusOr<std::unique_ptr<Save>> BeginSave(const SaveOptions& options,
                                                  const base::Context& context = {}) {
    return Save::Begin(context, options, &catalog_, [this](const base::SaveId&) {
      return std::make_unique<FaultySink>(store_.OpenSink(), &faults_);
    });
  }
  static absl::Status StoreAll(Save& save, const Images& images) {
    for (const auto& [name, bytes] : images) {
      StringSource source(bytes, 60000);
      if (absl::Status status = save.Store(name, source); !status.ok()) return status;
    }
    return absl::OkStatus();
  }
  static absl::Status StoreAndFinish(Save& save, const Images& images) {
    if (absl::Status status = StoreAll(save, images); !status.ok()) return status;
    return save.Finish({}, absl::Seconds(10)).status();
  }
  absl::StatusOr<CheckpointInfo> SaveImages(const SaveOptions& options, const Images& images,
                                            absl::Duration commit_timeout = absl::Seconds(10)) {
    auto save = BeginSave(options);
    if (!save.ok()) return save.status();
    if (absl::Status status = StoreAll(**save, images); !status.ok()) return status;
    JobFacts facts;
    facts.job_name = "my-job";
    return (*save)->Finish(facts, commit_timeout);
  }

  absl::StatusOr<std::unique_ptr<Load>> OpenLoad(const std::string& path,
                                                 size_t memory_limit_bytes = 0,
                                                 const base::Context& context = {}) {
    LoadOptions options;
    options.path = path;
    options.lease = base::DrawId<base::LeaseId>(random_);
    options.memory_limit_bytes = memory_limit_bytes;
    return Load::Open(context, options, &catalog_, [this](const base::LeaseId&) {
      return std::make_unique<FaultySource>(store_.OpenSource(), &faults_);
    });
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
  MemoryCatalog memory_catalog_;
  MemoryStore store_;
  FaultPlan faults_;
  FaultyCatalog catalog_{&memory_catalog_, &faults_};
};

}  // namespace cedana::transfer
