// What keeps transfers through the service within bounds: places, and how slow a peer may be.
#include "storage/api/bulk_slots.h"

#include <gtest/gtest.h>

#include <optional>

#include "absl/time/clock.h"
#include "core/base/random.h"
#include "core/base/thread.h"
#include "storage/api/rate_floor.h"

namespace cedana::api {
namespace {

const auto kStays = [] { return false; };

base::OrgId Org() { return base::DrawId<base::OrgId>(base::SystemRandom()); }

TEST(BulkSlots, GivesPlacesBackAndWaitsForOne) {
  BulkSlots slots(1, 1, absl::Seconds(20));
  const base::OrgId org = Org();
  auto first = slots.Take(org, kStays);
  ASSERT_TRUE(first.ok());
  std::optional<BulkSlots::Slot> held(*std::move(first));
  base::Thread waiter("waiter", [&] { EXPECT_TRUE(slots.Take(org, kStays).ok()); });
  absl::SleepFor(absl::Milliseconds(50));
  // As many wait as may.
  EXPECT_TRUE(absl::IsUnavailable(slots.Take(org, kStays).status()));
  held.reset();
  waiter.Join();
  EXPECT_TRUE(slots.Take(org, kStays).ok());
}

TEST(BulkSlots, GivesUpInTimeAndWhenNobodyWaitsForTheAnswer) {
  BulkSlots slots(1, 4, absl::Milliseconds(400));
  const auto held = slots.Take(Org(), kStays);
  ASSERT_TRUE(held.ok());
  const absl::Time begin = absl::Now();
  EXPECT_TRUE(absl::IsUnavailable(slots.Take(Org(), kStays).status()));
  EXPECT_TRUE(absl::IsUnavailable(slots.Take(Org(), [] { return true; }).status()));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(5));
}

TEST(BulkSlots, LeavesHalfToOtherOrganisations) {
  BulkSlots slots(4, 4, absl::Milliseconds(200));
  const base::OrgId one = Org();
  const auto a = slots.Take(one, kStays);
  const auto b = slots.Take(one, kStays);
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_FALSE(slots.Take(one, kStays).ok());
  const base::OrgId other = Org();
  const auto c = slots.Take(other, kStays);
  const auto d = slots.Take(other, kStays);
  EXPECT_TRUE(c.ok() && d.ok());
  EXPECT_FALSE(slots.Take(Org(), kStays).ok());
}

TEST(RateFloor, ComplainsOfLessThanTheFloorOnly) {
  RateFloor steady;
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(steady.Moved(2048, absl::Seconds(1)).ok());
  RateFloor slow;
  absl::Status status;
  for (int i = 0; i < 60 && status.ok(); ++i) status = slow.Moved(100, absl::Seconds(1));
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  // One step that took long is judged by its length.
  EXPECT_FALSE(RateFloor().Moved(256 << 10, absl::Minutes(10)).ok());
  EXPECT_TRUE(RateFloor().Moved(0, absl::Seconds(59)).ok());
}

}  // namespace
}  // namespace cedana::api
