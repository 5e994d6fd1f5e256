// What keeps transfers through the service within bounds: shares for those that depend on each
// other together, and how slow they may be while others wait.
#include "storage/api/bulk_slots.h"

#include <gtest/gtest.h>

#include <atomic>
#include <list>
#include <optional>
#include <vector>

#include "absl/time/clock.h"
#include "core/base/random.h"
#include "core/base/thread.h"
#include "storage/metadata/testing/fake_catalog.h"

namespace cedana::api {
namespace {

const auto kStays = [] { return false; };

base::OrgId Org() { return base::DrawId<base::OrgId>(base::SystemRandom()); }

class BulkSlotsTest : public ::testing::Test {
 protected:
  // Shares of one organisation are half of these.
  BulkSlots Slots(int shares, int waiting = 8, absl::Duration wait_max = absl::Milliseconds(100)) {
    return BulkSlots(&clock_, {.shares = shares,
                               .waiting = waiting,
                               .wait_max = wait_max,
                               .slow_bytes = 100,
                               .slow_time = absl::Minutes(1),
                               .silent_max = absl::Minutes(10),
                               .ask_every = absl::Milliseconds(10)});
  }
  static BulkSlots::Want Alone(const base::OrgId& organisation, int shares = 1) {
    return {.organisation = organisation, .shares = shares};
  }
  static BulkSlots::Want Streams(const base::OrgId& organisation, const std::string& group,
                                 int shares) {
    return {.organisation = organisation, .group = group, .shares = shares};
  }
  // Somebody waits from its making to its end.
  class Waiting {
   public:
    Waiting(BulkSlots& slots, const BulkSlots::Want& want)
        : thread_("waiting", [this, &slots, want] {
            const auto slot = slots.Take(want, [this] {
              asked_ = true;
              return ended_.load();
            });
            got_ = slot.ok();
          }) {
      while (!asked_ && !got_) absl::SleepFor(absl::Milliseconds(1));
    }
    ~Waiting() { End(); }
    bool End() {
      ended_ = true;
      thread_.Join();
      return got_;
    }

   private:
    std::atomic<bool> asked_{false};
    std::atomic<bool> ended_{false};
    std::atomic<bool> got_{false};
    base::Thread thread_;
  };

  metadata::FakeClock clock_;
};

TEST_F(BulkSlotsTest, GivesSharesBackAndWaitsForThem) {
  BulkSlots slots = Slots(2, 2, absl::Seconds(20));
  const base::OrgId org = Org();
  auto first = slots.Take(Alone(org), kStays);
  ASSERT_TRUE(first.ok());
  std::optional<BulkSlots::Slot> held(*std::move(first));
  base::Thread waiter("waiter", [&] { EXPECT_TRUE(slots.Take(Alone(org), kStays).ok()); });
  absl::SleepFor(absl::Milliseconds(50));
  // As many of one organisation wait as may.
  EXPECT_TRUE(absl::IsUnavailable(slots.Take(Alone(org), kStays).status()));
  held.reset();
  waiter.Join();
  EXPECT_TRUE(slots.Take(Alone(org), kStays).ok());
}

TEST_F(BulkSlotsTest, GivesUpInTimeAndWhenNobodyWaitsForTheAnswer) {
  BulkSlots slots = Slots(2, 4, absl::Milliseconds(400));
  const base::OrgId org = Org();
  const auto held = slots.Take(Alone(org), kStays);
  ASSERT_TRUE(held.ok());
  const absl::Time begin = absl::Now();
  EXPECT_TRUE(absl::IsUnavailable(slots.Take(Alone(org), kStays).status()));
  EXPECT_TRUE(absl::IsUnavailable(slots.Take(Alone(org), [] { return true; }).status()));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(5));
}

TEST_F(BulkSlotsTest, LeavesHalfToOtherOrganisations) {
  BulkSlots slots = Slots(4);
  const base::OrgId one = Org();
  const auto a = slots.Take(Alone(one), kStays);
  const auto b = slots.Take(Alone(one), kStays);
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_FALSE(slots.Take(Alone(one), kStays).ok());
  const base::OrgId other = Org();
  const auto c = slots.Take(Alone(other, 100), kStays);  // more than half of all: half
  EXPECT_TRUE(c.ok());
  EXPECT_FALSE(slots.Take(Alone(Org()), kStays).ok());
}

TEST_F(BulkSlotsTest, TheFirstStreamTakesTheSharesOfAll) {
  BulkSlots slots = Slots(16);
  const base::OrgId org = Org();
  std::list<BulkSlots::Slot> streams;
  const auto join = [&](const std::string& group) {
    auto slot = slots.Take(Streams(org, group, 6), kStays);
    if (slot.ok()) streams.push_back(*std::move(slot));
    return slot.ok();
  };
  ASSERT_TRUE(join("a"));
  // Two shares are left to the organisation, four others are the group's already.
  EXPECT_FALSE(slots.Take(Alone(org, 3), kStays).ok());
  EXPECT_FALSE(slots.Take(Streams(org, "b", 6), kStays).ok());
  auto two = slots.Take(Alone(org, 2), kStays);
  ASSERT_TRUE(two.ok());
  for (int i = 1; i < 6; ++i) EXPECT_TRUE(join("a")) << i;
  // One more than was foreseen wants a share of its own.
  EXPECT_FALSE(join("a"));
  { const BulkSlots::Slot ended = *std::move(two); }
  EXPECT_TRUE(join("a"));
  // The same folder of another organisation is another group.
  EXPECT_TRUE(slots.Take(Streams(Org(), "a", 8), kStays).ok());
  while (streams.size() > 1) streams.pop_front();
  EXPECT_FALSE(slots.Take(Streams(org, "b", 6), kStays).ok());  // kept to the last of it
  streams.clear();
  EXPECT_TRUE(slots.Take(Streams(org, "b", 6), kStays).ok());
}

TEST_F(BulkSlotsTest, AGroupThatWaitsComesInAsAWhole) {
  BulkSlots slots = Slots(16, 16, absl::Seconds(20));
  const base::OrgId org = Org();
  auto first = slots.Take(Streams(org, "a", 8), kStays);
  ASSERT_TRUE(first.ok());
  std::optional<BulkSlots::Slot> held(*std::move(first));
  std::atomic<int> in{0};
  std::vector<base::Thread> streams;
  for (int i = 0; i < 8; ++i) {
    streams.emplace_back("stream", [&] {
      const auto slot = slots.Take(Streams(org, "b", 8), kStays);
      ++in;
      while (in < 8) absl::SleepFor(absl::Milliseconds(1));  // as interleaved shards do
      EXPECT_TRUE(slot.ok()) << slot.status();
    });
  }
  absl::SleepFor(absl::Milliseconds(50));
  EXPECT_EQ(in, 0);
  held.reset();
  streams.clear();
  EXPECT_EQ(in, 8);
}

TEST_F(BulkSlotsTest, ManySmallOnesKeepNoLargeOneOut) {
  BulkSlots slots = Slots(8, 8, absl::Seconds(20));
  const base::OrgId org = Org();
  auto small = slots.Take(Alone(org, 1), kStays);
  ASSERT_TRUE(small.ok());
  std::optional<BulkSlots::Slot> held(*std::move(small));
  std::atomic<bool> got{false};
  base::Thread large("large", [&] {
    EXPECT_TRUE(slots.Take(Alone(org, 4), kStays).ok());
    got = true;
  });
  absl::SleepFor(absl::Milliseconds(50));
  {
    const Waiting later(slots, Alone(org, 1));  // there would be room for it
    // Another organisation is not held up by that.
    EXPECT_TRUE(slots.Take(Alone(Org(), 4), kStays).ok());
    EXPECT_FALSE(got);
  }
  held.reset();
  large.Join();
}

TEST_F(BulkSlotsTest, WhoIsSlowGivesWayToWhoWaits) {
  BulkSlots slots = Slots(8, 8, absl::Seconds(20));
  const base::OrgId org = Org();
  auto slot = *slots.Take(Alone(org, 4), kStays);
  const auto move = [&](uint64_t bytes, absl::Duration took) {
    slot.BeginWait();
    clock_.Advance(took);
    return slot.EndWait(bytes);
  };
  // Nobody waits: it may take its time.
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(move(1, absl::Minutes(1)).ok());
  // Of another organisation, which has room of its own, nobody waits for this one.
  { const auto other = slots.Take(Alone(Org(), 4), kStays); }
  const Waiting other(slots, Alone(org, 1));
  EXPECT_TRUE(absl::IsDeadlineExceeded(move(1, absl::Seconds(1))));
  EXPECT_TRUE(absl::IsDeadlineExceeded(slot.Judge()));  // and for good
}

TEST_F(BulkSlotsTest, FourHundredBytesAMinuteAreEnoughForFourShares) {
  BulkSlots slots = Slots(8, 8, absl::Seconds(20));
  const base::OrgId org = Org();
  auto slot = *slots.Take(Alone(org, 4), kStays);
  const Waiting other(slots, Alone(org, 1));
  const auto move = [&](uint64_t bytes, absl::Duration took) {
    slot.BeginWait();
    clock_.Advance(took);
    return slot.EndWait(bytes);
  };
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(move(7, absl::Seconds(1)).ok());
  // Time in which it was not its peer that held it up does not count.
  clock_.Advance(absl::Hours(1));
  EXPECT_TRUE(move(7, absl::Seconds(1)).ok());
  // One step that took long is judged by its length.
  EXPECT_TRUE(move(4100, absl::Minutes(10)).ok());
  EXPECT_FALSE(move(3900, absl::Minutes(10)).ok());
}

TEST_F(BulkSlotsTest, AStreamMayBeSilentWhileTheOthersMove) {
  BulkSlots slots = Slots(8, 8, absl::Seconds(20));
  const base::OrgId org = Org();
  auto silent = *slots.Take(Streams(org, "a", 4), kStays);
  auto moving = *slots.Take(Streams(org, "a", 4), kStays);
  const Waiting other(slots, Alone(org, 1));
  silent.BeginWait();
  for (int i = 0; i < 100; ++i) {
    moving.BeginWait();
    clock_.Advance(absl::Minutes(1));
    EXPECT_TRUE(moving.EndWait(400).ok());
    EXPECT_TRUE(silent.Judge().ok());
  }
  // All of them are slow.
  moving.BeginWait();
  clock_.Advance(absl::Minutes(1));
  EXPECT_TRUE(absl::IsDeadlineExceeded(silent.Judge()));
  EXPECT_TRUE(absl::IsDeadlineExceeded(moving.EndWait(10)));
}

TEST_F(BulkSlotsTest, PeersThatAreGoneAreGivenUpThoughNobodyWaits) {
  BulkSlots slots = Slots(8);
  auto slot = *slots.Take(Alone(Org(), 4), kStays);
  slot.BeginWait();
  clock_.Advance(absl::Minutes(9));
  EXPECT_TRUE(slot.Judge().ok());
  EXPECT_TRUE(slot.EndWait(1).ok());
  slot.BeginWait();
  clock_.Advance(absl::Minutes(9));
  EXPECT_TRUE(slot.Judge().ok());
  clock_.Advance(absl::Minutes(1));
  EXPECT_TRUE(absl::IsDeadlineExceeded(slot.Judge()));
}

TEST_F(BulkSlotsTest, AStreamGrowsWhereThereIsRoom) {
  BulkSlots slots = Slots(8, 2);
  const base::OrgId org = Org();
  auto one = *slots.Take(Streams(org, "a", 2), kStays);
  EXPECT_TRUE(absl::IsUnavailable(one.Grow(3)));
  EXPECT_TRUE(one.Grow(2).ok());
  // Not for others of its group.
  const auto two = slots.Take(Streams(org, "a", 2), kStays);
  EXPECT_TRUE(two.ok());
  EXPECT_FALSE(slots.Take(Streams(org, "a", 2), kStays).ok());
}

TEST(FolderOfStream, KnowsTheShardsOfAStreamedDump) {
  for (const auto& [name, folder] :
       std::vector<std::pair<const char*, const char*>>{{"a/b/img-0", "a/b"},
                                                        {"a/b/img-12.lz4", "a/b"},
                                                        {"a/img-3.gz", "a"},
                                                        {"/a/img-3.gz", "a"},
                                                        {"img-1.zlib", ""}}) {
    EXPECT_EQ(FolderOfStream(name), folder) << name;
  }
  for (const char* name : {"a/img-", "a/img-x", "a/img-1.tar.gz", "a/img-1.", "a/img-1/b", "img",
                           "a/dump.tar", "a/my-img-1", ""}) {
    EXPECT_EQ(FolderOfStream(name), std::nullopt) << name;
  }
}

}  // namespace
}  // namespace cedana::api
