#include "core/base/json.h"

#include "absl/strings/str_cat.h"

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

}  // namespace

absl::StatusOr<Json> ParseJson(absl::string_view text) {
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
