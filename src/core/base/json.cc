#include "core/base/json.h"

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace cedana::base {
namespace {

const Json* Find(const Json& object, absl::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(std::string(key));
  return it == object.end() ? nullptr : &*it;
}

absl::Status Missing(absl::string_view key, absl::string_view type) {
  return absl::InvalidArgumentError(absl::StrCat("\"", key, "\" must be ", type));
}

// Before anything is built. Of a text that is not JSON it may see more levels than the parser
// would.
absl::Status CheckDepth(absl::string_view text, size_t depth_max) {
  size_t depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth <= depth_max) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("JSON of more than ", depth_max, " levels, at byte ", i + 1));
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Json> ParseJson(absl::string_view text, size_t depth_max) {
  CEDANA_RETURN_IF_ERROR(CheckDepth(text, depth_max));
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& error) {
    return absl::InvalidArgumentError(absl::StrCat("not JSON, at byte ", error.byte));
  } catch (const Json::out_of_range&) {
    return absl::InvalidArgumentError("not JSON: a number is too large");
  }
}

std::string DumpJson(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

absl::StatusOr<std::string> GetString(const Json& object, absl::string_view key) {
  const Json* value = Find(object, key);
  if (value == nullptr || !value->is_string()) return Missing(key, "a string");
  return value->get<std::string>();
}

absl::StatusOr<int64_t> GetInt(const Json& object, absl::string_view key) {
  const Json* value = Find(object, key);
  if (value == nullptr || !value->is_number_integer()) return Missing(key, "an integer");
  return value->get<int64_t>();
}

absl::StatusOr<bool> GetBool(const Json& object, absl::string_view key) {
  const Json* value = Find(object, key);
  if (value == nullptr || !value->is_boolean()) return Missing(key, "true or false");
  return value->get<bool>();
}

Json Member(const Json& object, absl::string_view key) {
  const Json* value = Find(object, key);
  return value == nullptr ? Json() : *value;
}

std::string StringOr(const Json& object, absl::string_view key, absl::string_view fallback) {
  const Json* value = Find(object, key);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string(fallback);
}

int64_t IntOr(const Json& object, absl::string_view key, int64_t fallback) {
  const Json* value = Find(object, key);
  return value != nullptr && value->is_number_integer() ? value->get<int64_t>() : fallback;
}

bool BoolOr(const Json& object, absl::string_view key, bool fallback) {
  const Json* value = Find(object, key);
  return value != nullptr && value->is_boolean() ? value->get<bool>() : fallback;
}

}  // namespace cedana::base
