#include "cedana/cli/format.h"

#include <gtest/gtest.h>

namespace cedana::cli {
namespace {

TEST(SizeText, RoundsToTheLargestUnitBelow1024) {
  EXPECT_EQ(SizeText(0), "0 bytes");
  EXPECT_EQ(SizeText(1023), "1023 bytes");
  EXPECT_EQ(SizeText(1024), "1 KiB");
  EXPECT_EQ(SizeText(610 * 1024 + 300), "610 KiB");
  EXPECT_EQ(SizeText((1 << 20) - 1), "1 MiB");
  EXPECT_EQ(SizeText(312ull << 20), "312 MiB");
  EXPECT_EQ(SizeText(5000ull << 30), "5000 GiB");
}

TEST(DurationText, FitsTheUnitToTheLength) {
  EXPECT_EQ(DurationText(absl::Microseconds(12)), "<1 ms");
  EXPECT_EQ(DurationText(absl::Milliseconds(31)), "31 ms");
  EXPECT_EQ(DurationText(absl::Milliseconds(900)), "0.9 s");
  EXPECT_EQ(DurationText(absl::Seconds(99)), "99.0 s");
  EXPECT_EQ(DurationText(absl::Seconds(125)), "2 min 5 s");
}

TEST(RateText, IsEmptyWithoutTime) {
  EXPECT_EQ(RateText(100, absl::ZeroDuration()), "");
  EXPECT_EQ(RateText(820ull << 20, absl::Seconds(1)), "820 MiB/s");
}

TEST(TimeText, ShowsTheZonesTime) {
  EXPECT_EQ(TimeText(1739968236000, absl::UTCTimeZone()), "2025-02-19 12:30:36");
}

}  // namespace
}  // namespace cedana::cli
