#include "cedana/cli/format.h"

#include <array>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace cedana::cli {

std::string SizeText(uint64_t bytes) {
  static constexpr std::array<absl::string_view, 4> kUnits{"bytes", "KiB", "MiB", "GiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (std::llround(value) >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return absl::StrCat(std::llround(value), " ", kUnits[unit]);
}

std::string DurationText(absl::Duration duration) {
  const double seconds = absl::ToDoubleSeconds(duration);
  if (seconds < 0.001) return "<1 ms";
  if (seconds < 0.5) return absl::StrFormat("%.0f ms", seconds * 1000);
  if (seconds < 99.95) return absl::StrFormat("%.1f s", seconds);
  const int64_t whole = std::llround(seconds);
  return absl::StrCat(whole / 60, " min ", whole % 60, " s");
}

std::string RateText(uint64_t bytes, absl::Duration duration) {
  if (duration < absl::Milliseconds(1)) return "";
  const double rate = static_cast<double>(bytes) / absl::ToDoubleSeconds(duration);
  return absl::StrCat(SizeText(static_cast<uint64_t>(rate)), "/s");
}

bool IsDurable(absl::string_view durability) {
  return durability == "durable" || durability == "fully replicated";
}

std::string TimeText(int64_t unix_ms, absl::TimeZone zone) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", absl::FromUnixMillis(unix_ms), zone);
}

}  // namespace cedana::cli
