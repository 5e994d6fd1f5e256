#include "storage/api/conditions.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace cedana::api {
namespace {

// Weak tags equal nothing where bytes matter.
enum class Comparison { kStrong, kWeak };

bool Equal(absl::string_view one, absl::string_view other, Comparison comparison) {
  const bool weak = absl::ConsumePrefix(&one, "W/") | absl::ConsumePrefix(&other, "W/");
  return one == other && (comparison == Comparison::kWeak || !weak);
}

// Our tags hold no comma, so one inside of a foreign tag splits it into parts that equal none.
bool AnyEqual(const std::string& header, const std::string& etag, Comparison comparison) {
  if (absl::StripAsciiWhitespace(header) == "*") return true;
  for (const absl::string_view part : absl::StrSplit(header, ',')) {
    if (Equal(absl::StripAsciiWhitespace(part), etag, comparison)) return true;
  }
  return false;
}

}  // namespace

Verdict JudgeConditions(const http::ServerRequest& request, const std::string& etag) {
  const std::string* match = request.Header("if-match");
  if (match != nullptr && !AnyEqual(*match, etag, Comparison::kStrong)) return Verdict::kFailed;
  const std::string* none_match = request.Header("if-none-match");
  if (none_match != nullptr && AnyEqual(*none_match, etag, Comparison::kWeak)) {
    return Verdict::kNotModified;
  }
  const std::string* range = request.Header("if-range");
  if (range != nullptr && !Equal(absl::StripAsciiWhitespace(*range), etag, Comparison::kStrong)) {
    return Verdict::kServeWhole;
  }
  return Verdict::kServe;
}

}  // namespace cedana::api
