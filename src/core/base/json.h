// JSON at our edges: nlohmann-json with its exceptions turned into Status. The value type comes
// through nlohmann's forward header, so that including this costs little.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/limits.h"

namespace cedana::base {

using Json = nlohmann::json;

// kInvalidArgument with the byte offset when `text` is not JSON, or has more levels of arrays and
// objects than `depth_max`. The parser needs no stack for a level, but whatever is done with the
// value afterwards does, so every text that others wrote comes through here.
absl::StatusOr<Json> ParseJson(absl::string_view text, size_t depth_max = kJsonDepthMax);
// Never throws: bytes that are not UTF-8 are replaced.
std::string DumpJson(const Json& value, int indent = -1);

// Typed member access: kInvalidArgument naming the key when absent or of another type.
absl::StatusOr<std::string> GetString(const Json& object, absl::string_view key);
absl::StatusOr<int64_t> GetInt(const Json& object, absl::string_view key);
absl::StatusOr<bool> GetBool(const Json& object, absl::string_view key);
// The member, or null when absent.
Json Member(const Json& object, absl::string_view key);
// The value, or `fallback` when absent or of another type.
std::string StringOr(const Json& object, absl::string_view key, absl::string_view fallback);
int64_t IntOr(const Json& object, absl::string_view key, int64_t fallback);
bool BoolOr(const Json& object, absl::string_view key, bool fallback);

}  // namespace cedana::base
