// Sizes, times and rates as people read them.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace cedana::cli {

// "610 KiB": rounded to an integer, base 1024, "bytes" to "GiB".
std::string SizeText(uint64_t bytes);
// "31 ms", "0.9 s", "2 min 5 s"; below a millisecond "<1 ms".
std::string DurationText(absl::Duration duration);
// "820 MiB/s"; empty when the time is too short to divide by.
std::string RateText(uint64_t bytes, absl::Duration duration);
// Are the copies there that the policy asks for at the commit?
bool IsDurable(absl::string_view durability);
// "2025-02-19 12:30:36" in `zone`.
std::string TimeText(int64_t unix_ms, absl::TimeZone zone = absl::LocalTimeZone());

}  // namespace cedana::cli
