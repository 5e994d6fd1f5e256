// Packs of a provider that binds no checksum count for a commit once the service has read them
// back: ahead of it or at it, or from a copy elsewhere.
#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "core/base/status.h"
#include "core/codec/crc32c.h"
#include "storage/replica/health.h"
#include "storage/replica/read_ahead.h"
#include "storage/replica/testing/placement_fixture.h"

namespace cedana::replica {
namespace {

using objstore::Operation;
using Names = std::vector<std::string>;

class ReadBackTest : public PlacementTest {};

// A store whose listings and heads tell no checksum.
class NoChecksums : public objstore::ObjectStore {
 public:
  explicit NoChecksums(ObjectStore* inner) : inner_(inner) {}
  absl::Status Put(const base::Context& context, const objstore::ObjectKey& key,
                   std::span<const uint8_t> bytes, const objstore::PutOptions& options) override {
    return inner_->Put(context, key, bytes, options);
  }
  absl::Status Get(const base::Context& context, const objstore::ObjectKey& key, uint64_t offset,
                   std::optional<uint64_t> length,
                   const std::function<absl::Status(std::span<const uint8_t>)>& sink) override {
    return inner_->Get(context, key, offset, length, sink);
  }
  absl::StatusOr<std::optional<objstore::ObjectInfo>> Head(
      const base::Context& context, const objstore::ObjectKey& key) override {
    auto info = inner_->Head(context, key);
    if (info.ok() && info->has_value()) (*info)->crc32c.reset();
    return info;
  }
  absl::StatusOr<std::vector<objstore::ObjectInfo>> List(const base::Context& context,
                                                         const std::string& prefix,
                                                         const std::string& after,
                                                         size_t limit) override {
    auto list = inner_->List(context, prefix, after, limit);
    if (list.ok()) {
      for (objstore::ObjectInfo& info : *list) info.crc32c.reset();
    }
    return list;
  }
  absl::Status Delete(const base::Context& context, const objstore::ObjectKey& key) override {
    return inner_->Delete(context, key);
  }
  objstore::Capabilities capabilities() const override { return {}; }

 private:
  ObjectStore* const inner_;
};

// From now on p1 says nothing of checksums.
void VouchForNothing(TestVault& test) {
  Provider lax = *test.providers.Find("p1");
  lax.capabilities = {};
  lax.store = std::make_shared<NoChecksums>(test.stores[1].get());
  test.providers.Put(lax);
}

TEST_F(ReadBackTest, WhereNobodyTellsTheChecksumThePackIsReadBack) {
  VouchForNothing(test_);
  SetPolicy(3, 3);
  transfer::CommitRequest commit = Begin("a");
  commit.packs.push_back(test_.StorePack(commit.save));
  test_.providers.read_backs().Forget("p1");  // as if a client had uploaded it
  test_.stores[1]->Add({.operation = Operation::kGet, .times = -1, .flip_bit = 3});
  const absl::Status wrong = catalog_.Commit({}, commit).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(wrong)) << wrong;
  test_.stores[1]->Clear();
  EXPECT_TRUE(catalog_.Commit({}, commit).ok());
}

TEST_F(ReadBackTest, AReadBackThatTakesTooLongIsRetryableAndGoesOn) {
  constexpr int kPacks = 40;  // of which eight are read at once
  VouchForNothing(test_);
  test_.vault.times.patience.healthy = absl::Milliseconds(300);
  test_.vault.times.patience.read_back = absl::Milliseconds(300);
  SetPolicy(2, 2);
  transfer::CommitRequest commit = Begin("a");
  const auto put = [&](size_t store, const transfer::StoredPack& pack, absl::string_view text) {
    const auto key = *objstore::ObjectKey::Parse(PackKey(commit.save, pack.id));
    EXPECT_TRUE(test_.memories[store]
                    ->Put({}, key, {reinterpret_cast<const uint8_t*>(text.data()), text.size()}, {})
                    .ok());
  };
  for (int i = 0; i < kPacks; ++i) {
    transfer::StoredPack pack;  // as a client uploads it
    pack.id = base::DrawId<base::PackId>(base::SystemRandom());
    pack.bytes = 4;
    pack.crc32c = codec::Crc32c(std::vector<uint8_t>{'p', 'a', 'c', 'k'});
    pack.key_epoch = 1;
    pack.providers = {"p0", "p1"};
    put(0, pack, "pack");
    put(1, pack, "pack");
    commit.packs.push_back(pack);
  }
  test_.stores[1]->Add(
      {.operation = Operation::kGet, .times = -1, .latency = absl::Milliseconds(120)});
  int unavailable = 0;
  absl::Status status;
  for (int attempt = 0; attempt < 10; ++attempt) {
    status = catalog_.Commit({}, commit).status();
    if (!absl::IsUnavailable(status)) break;
    EXPECT_NE(status.message().find("still being read back"), std::string::npos) << status;
    ++unavailable;
  }
  EXPECT_TRUE(status.ok()) << status;
  // 40 packs, two times eight in each attempt.
  EXPECT_GE(unavailable, 2);
  EXPECT_LE(unavailable, 6);
  // One that is wrong ends it clearly as soon as it was read, however many are not read yet.
  SetPolicy(3, 3);
  commit.save = base::DrawId<base::SaveId>(base::SystemRandom());
  commit.checkpoint = base::DrawId<base::CheckpointId>(base::SystemRandom());
  commit.path = "b";
  ASSERT_TRUE(catalog_.Begin({}, {commit.save, commit.checkpoint, commit.path, false}).ok());
  for (int i = 0; i < kPacks; ++i) {
    put(0, commit.packs[i], "pack");
    put(1, commit.packs[i], i == 0 ? "pick" : "pack");
    put(2, commit.packs[i], "pack");
  }
  for (int attempt = 0; attempt < 10; ++attempt) {
    status = catalog_.Commit({}, commit).status();
    if (!absl::IsUnavailable(status)) break;
  }
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_NE(status.message().find("provider p1"), std::string::npos) << status;
}

TEST_F(ReadBackTest, WhatCannotBeReadBackInTimeIsCopiedElsewhere) {
  VouchForNothing(test_);
  test_.vault.times.patience.healthy = absl::Milliseconds(300);
  test_.vault.times.patience.read_back = absl::Milliseconds(300);
  SetPolicy(2, 2);
  transfer::CommitRequest commit = Begin("a");
  for (int i = 0; i < 3; ++i) commit.packs.push_back(test_.StorePack(commit.save));
  ASSERT_EQ(commit.packs[0].providers, (Names{"p0", "p1"}));
  test_.providers.read_backs().Forget("p1");  // as if a client had uploaded them
  // One was read while the provider was well.
  ASSERT_TRUE(test_.providers.read_backs()
                  .Check({}, "p1", *test_.stores[1], PackKey(commit.save, commit.packs[0].id),
                         {commit.packs[0].bytes, commit.packs[0].crc32c})
                  .ok());
  test_.stores[1]->Add({.operation = Operation::kGet, .times = -1, .latency = absl::Seconds(5)});
  const auto info = catalog_.Commit({}, commit);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(test_.Keys(2, absl::StrCat(SavePrefix(commit.save), "p-")).size(), 2u);
  // Where there is no other, it is waited for.
  transfer::CommitRequest waits = Begin("b");
  waits.packs.push_back(test_.StorePack(waits.save));
  ASSERT_EQ(waits.packs[0].providers, (Names{"p0", "p1"}));
  test_.providers.read_backs().Forget("p1");
  test_.Darken(2);
  const absl::Status slow = catalog_.Commit({}, waits).status();
  EXPECT_TRUE(absl::IsUnavailable(slow)) << slow;
}

// Its word does not count, but neither does its silence against the dump.
TEST_F(ReadBackTest, AProviderThatVouchesForNothingAndGoesDarkIsReplacedOrAwaited) {
  VouchForNothing(test_);
  transfer::CommitRequest commit = Begin("a");
  commit.packs = {test_.StorePack(commit.save), test_.StorePack(commit.save)};
  EXPECT_EQ(commit.packs[1].providers, (Names{"p0", "p1"}));
  test_.providers.read_backs().Forget("p1");  // as if a client had uploaded them
  test_.Darken(1);
  test_.Darken(2);
  const absl::Status awaited = catalog_.Commit({}, commit).status();
  EXPECT_TRUE(absl::IsUnavailable(awaited)) << awaited;
  EXPECT_NE(awaited.message().find("provider p1 has to show it (provider p1: dark)"),
            std::string::npos)
      << awaited;
  // Another one takes a copy.
  test_.stores[2]->Clear();
  ProbeTimes(2);
  auto info = catalog_.Commit({}, commit);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->durability, "fully replicated");
  EXPECT_EQ(test_.Keys(2, absl::StrCat(SavePrefix(commit.save), "p-")).size(), 2u);
  // Even where it still takes what it does not show: whoever just did not answer is not asked.
  commit = Begin("c");
  test_.stores[1]->Clear();
  ProbeTimes(2);
  commit.packs.push_back(test_.StorePack(commit.save));
  EXPECT_EQ(commit.packs[0].providers, (Names{"p0", "p1"}));
  test_.providers.read_backs().Forget("p1");
  test_.stores[1]->Add(
      {.operation = Operation::kList, .times = -1, .fail = absl::UnavailableError("dark")});
  ASSERT_TRUE(catalog_.Commit({}, commit).ok());
  EXPECT_EQ(test_.Keys(2, absl::StrCat(SavePrefix(commit.save), "p-")).size(), 1u);
  // Without any other, it is there again in time.
  commit = Begin("b");
  test_.stores[1]->Clear();
  ProbeTimes(2);
  commit.packs.push_back(test_.StorePack(commit.save));
  EXPECT_EQ(commit.packs[0].providers, (Names{"p0", "p1"}));
  test_.providers.read_backs().Forget("p1");
  test_.Darken(1);
  test_.Darken(2);
  EXPECT_TRUE(absl::IsUnavailable(catalog_.Commit({}, commit).status()));
  test_.stores[1]->Clear();
  info = catalog_.Commit({}, commit);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->durability, "fully replicated");
}

TEST_F(ReadBackTest, WhoMayNotListIsNotAwaited) {
  VouchForNothing(test_);
  SetPolicy(3, 3);
  transfer::CommitRequest commit = Begin("a");
  commit.packs.push_back(test_.StorePack(commit.save));
  test_.providers.read_backs().Forget("p1");
  test_.stores[1]->Add({.times = -1, .fail = absl::PermissionDeniedError("revoked")});
  const absl::Status refused = catalog_.Commit({}, commit).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
}

TEST_F(ReadBackTest, WhatWasReadAheadCountsWhenItsProviderGoesDark) {
  VouchForNothing(test_);
  transfer::CommitRequest commit = Begin("a");
  commit.packs.push_back(test_.StorePack(commit.save));
  test_.providers.read_backs().Forget("p1");
  EXPECT_EQ(*ReadAheadRound({}, test_.vault), 1u);
  test_.Darken(1);
  test_.Darken(2);
  auto info = catalog_.Commit({}, commit);
  EXPECT_TRUE(absl::IsUnavailable(info.status())) << info.status();  // the manifest has one place
  test_.stores[2]->Clear();
  ProbeTimes(2);
  info = catalog_.Commit({}, commit);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->durability, "durable");
  EXPECT_EQ(PacksInDebt(), 1u);
  EXPECT_EQ(test_.Keys(2, absl::StrCat(SavePrefix(commit.save), "p-")).size(), 0u);
}

TEST_F(ReadBackTest, WhatWasReadAheadIsNotReadAtTheCommit) {
  VouchForNothing(test_);
  SetPolicy(2, 2);
  transfer::CommitRequest commit = Begin("a");
  commit.packs.push_back(test_.StorePack(commit.save));
  commit.packs.push_back(test_.StorePack(commit.save));
  test_.providers.read_backs().Forget("p1");  // as if a client had uploaded them
  EXPECT_EQ(*ReadAheadRound({}, test_.vault), 2u);
  EXPECT_EQ(*ReadAheadRound({}, test_.vault), 0u);
  test_.stores[1]->Add(
      {.operation = Operation::kGet, .times = -1, .fail = absl::UnavailableError("read again")});
  const auto info = catalog_.Commit({}, commit);
  EXPECT_TRUE(info.ok()) << info.status();
  // Of a save that has ended nothing is read; a provider that vouches is not asked.
  test_.providers.read_backs().Forget("p1");
  EXPECT_EQ(*ReadAheadRound({}, test_.vault), 0u);
}

TEST_F(ReadBackTest, NothingThatLiesThereHoldsUpTheReadingAheadOfOthers) {
  VouchForNothing(test_);
  SetPolicy(2, 2);
  test_.vault.times.read_ahead_save = absl::Milliseconds(200);
  const transfer::CommitRequest slow = Begin("slow");
  const transfer::CommitRequest large = Begin("large");
  const transfer::CommitRequest good = Begin("good");
  for (const auto* commit : {&slow, &good}) test_.StorePack(commit->save);
  test_.providers.read_backs().Forget("p1");
  // Under a grant that binds no size; no pack is so large.
  const std::vector<uint8_t> huge(base::kPackBytesMax + 1);
  const auto pack = base::DrawId<base::PackId>(base::SystemRandom());
  const auto key = objstore::ObjectKey::Parse(PackKey(large.save, pack));
  ASSERT_TRUE(test_.memories[1]->Put({}, *key, huge, {}).ok());
  test_.stores[1]->Add({.operation = Operation::kGet,
                        .prefix = SavePrefix(slow.save),
                        .times = -1,
                        .latency = absl::Seconds(20)});
  const absl::Time begin = absl::Now();
  EXPECT_EQ(*ReadAheadRound({}, test_.vault), 1u);
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
}

TEST_F(ReadBackTest, AWrongPackThatWasReadAheadIsRefused) {
  VouchForNothing(test_);
  SetPolicy(3, 3);
  transfer::CommitRequest commit = Begin("a");
  commit.packs.push_back(test_.StorePack(commit.save));
  test_.providers.read_backs().Forget("p1");
  test_.stores[1]->Add({.operation = Operation::kGet, .times = -1, .flip_bit = 3});
  EXPECT_EQ(*ReadAheadRound({}, test_.vault), 1u);
  EXPECT_TRUE(absl::IsFailedPrecondition(catalog_.Commit({}, commit).status()));
}

TEST_F(ReadBackTest, WhatTheServiceWroteItselfIsNotReadBack) {
  VouchForNothing(test_);
  test_.stores[1]->Add(
      {.operation = Operation::kGet, .times = -1, .fail = absl::UnavailableError("no reads")});
  const auto info = test_.Save(catalog_, "a");
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->durability, "fully replicated");
}

}  // namespace
}  // namespace cedana::replica
