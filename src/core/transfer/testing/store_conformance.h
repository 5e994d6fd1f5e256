// What every pair of PackSink and PackSource must do. Include it in a test program and instantiate:
//
//   INSTANTIATE_TEST_SUITE_P(Memory, PackStoreConformance, ::testing::Values(&MakeStoreInTest));
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include "core/base/random.h"
#include "core/codec/crc32c.h"
#include "core/transfer/pack_sink.h"
#include "core/transfer/pack_source.h"

namespace cedana::transfer {

// `store` is whatever the ports stand on; it lives as long as they.
struct StoreInTest {
  std::shared_ptr<void> store;
  std::unique_ptr<PackSink> sink;
  // Called once, after every Put of a test: a source may exist only once the save is committed.
  std::function<std::unique_ptr<PackSource>()> open_source;
};

class PackStoreConformance : public ::testing::TestWithParam<std::function<StoreInTest()>> {
 protected:
  void SetUp() override { in_test_ = GetParam()(); }

  static std::vector<uint8_t> SomeBytes(size_t size) {
    std::vector<uint8_t> bytes(size);
    base::SystemRandom().Fill(bytes.data(), size);
    return bytes;
  }
  absl::StatusOr<std::vector<std::string>> Put(const base::PackId& pack,
                                               const std::vector<uint8_t>& bytes) {
    return in_test_.sink->Put({}, pack, bytes, codec::Crc32c(bytes));
  }

  StoreInTest in_test_;
  const base::PackId pack_ = base::DrawId<base::PackId>(base::SystemRandom());
};

TEST_P(PackStoreConformance, AnyRangeReadsBack) {
  const std::vector<uint8_t> bytes = SomeBytes(1 << 20);
  const auto providers = Put(pack_, bytes);
  ASSERT_TRUE(providers.ok()) << providers.status();
  EXPECT_FALSE(providers->empty());
  const std::unique_ptr<PackSource> source = in_test_.open_source();
  for (const auto& [offset, size] : std::vector<std::pair<size_t, size_t>>{
           {0, bytes.size()}, {0, 1}, {1000, 4096}, {bytes.size() - 1, 1}, {0, 100000}}) {
    std::vector<uint8_t> out(size);
    const auto provider = source->Read({}, pack_, offset, out, {});
    ASSERT_TRUE(provider.ok()) << provider.status();
    EXPECT_FALSE(provider->empty());
    EXPECT_TRUE(std::equal(out.begin(), out.end(), bytes.begin() + static_cast<long>(offset)));
  }
}

TEST_P(PackStoreConformance, APutRepeatedIsTheSamePut) {
  const std::vector<uint8_t> bytes = SomeBytes(50000);
  ASSERT_TRUE(Put(pack_, bytes).ok());
  EXPECT_TRUE(Put(pack_, bytes).ok());
}

TEST_P(PackStoreConformance, APackIsNeverChanged) {
  const std::vector<uint8_t> bytes = SomeBytes(50000);
  ASSERT_TRUE(Put(pack_, bytes).ok());
  EXPECT_FALSE(Put(pack_, SomeBytes(50000)).ok());
  const std::unique_ptr<PackSource> source = in_test_.open_source();
  std::vector<uint8_t> out(bytes.size());
  ASSERT_TRUE(source->Read({}, pack_, 0, out, {}).ok());
  EXPECT_EQ(out, bytes);
}

TEST_P(PackStoreConformance, AWrongChecksumIsRefused) {
  const std::vector<uint8_t> bytes = SomeBytes(50000);
  EXPECT_FALSE(in_test_.sink->Put({}, pack_, bytes, codec::Crc32c(bytes) ^ 1).ok());
}

TEST_P(PackStoreConformance, AMissingPackIsNotFound) {
  ASSERT_TRUE(Put(pack_, SomeBytes(10)).ok());
  const std::unique_ptr<PackSource> source = in_test_.open_source();
  std::vector<uint8_t> out(10);
  const auto missing = base::DrawId<base::PackId>(base::SystemRandom());
  EXPECT_EQ(source->Read({}, missing, 0, out, {}).status().code(), absl::StatusCode::kNotFound);
}

TEST_P(PackStoreConformance, AProviderToAvoidIsNotAsked) {
  const std::vector<uint8_t> bytes = SomeBytes(1000);
  const auto put = Put(pack_, bytes);
  ASSERT_TRUE(put.ok()) << put.status();
  const std::unique_ptr<PackSource> source = in_test_.open_source();
  std::vector<std::string> avoid;
  for (size_t i = 0; i < put->size(); ++i) {
    std::vector<uint8_t> out(500);
    const auto provider = source->Read({}, pack_, 100, out, avoid);
    ASSERT_TRUE(provider.ok()) << provider.status();
    EXPECT_TRUE(std::equal(out.begin(), out.end(), bytes.begin() + 100));
    EXPECT_EQ(std::count(avoid.begin(), avoid.end(), *provider), 0);
    source->ReportDamage(pack_, *provider, absl::DataLossError("block 0: not authentic"));
    avoid.push_back(*provider);
  }
  std::vector<uint8_t> out(500);
  EXPECT_EQ(source->Read({}, pack_, 100, out, avoid).status().code(), absl::StatusCode::kNotFound);
}

TEST_P(PackStoreConformance, ARangeBehindTheEndFails) {
  ASSERT_TRUE(Put(pack_, SomeBytes(1000)).ok());
  const std::unique_ptr<PackSource> source = in_test_.open_source();
  std::vector<uint8_t> out(500);
  EXPECT_FALSE(source->Read({}, pack_, 900, out, {}).ok());
}

TEST_P(PackStoreConformance, ACancelledContextDoesNothing) {
  base::Context context;
  context.cancel = std::make_shared<base::CancelSource>();
  context.cancel->Cancel(absl::CancelledError("not wanted"));
  const std::vector<uint8_t> bytes = SomeBytes(1000);
  EXPECT_FALSE(in_test_.sink->Put(context, pack_, bytes, codec::Crc32c(bytes)).ok());
}

}  // namespace cedana::transfer
