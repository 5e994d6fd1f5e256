#include "cedana/cli/yaml.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace cedana::cli {
namespace {

using Json = nlohmann::ordered_json;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// The value of a field, or of its element `index` where the field is repeated.
Json FieldValue(const Message& message, const FieldDescriptor* field, int index) {
  const Reflection& r = *message.GetReflection();
  const bool repeated = field->is_repeated();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return repeated ? r.GetRepeatedInt32(message, field, index) : r.GetInt32(message, field);
    case FieldDescriptor::CPPTYPE_INT64:
      return repeated ? r.GetRepeatedInt64(message, field, index) : r.GetInt64(message, field);
    case FieldDescriptor::CPPTYPE_UINT32:
      return repeated ? r.GetRepeatedUInt32(message, field, index) : r.GetUInt32(message, field);
    case FieldDescriptor::CPPTYPE_UINT64:
      return repeated ? r.GetRepeatedUInt64(message, field, index) : r.GetUInt64(message, field);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return repeated ? r.GetRepeatedDouble(message, field, index) : r.GetDouble(message, field);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return repeated ? r.GetRepeatedFloat(message, field, index) : r.GetFloat(message, field);
    case FieldDescriptor::CPPTYPE_BOOL:
      return repeated ? r.GetRepeatedBool(message, field, index) : r.GetBool(message, field);
    case FieldDescriptor::CPPTYPE_ENUM:
      return (repeated ? r.GetRepeatedEnum(message, field, index) : r.GetEnum(message, field))
          ->name();
    case FieldDescriptor::CPPTYPE_STRING:
      return repeated ? r.GetRepeatedString(message, field, index) : r.GetString(message, field);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return MessageToJson(repeated ? r.GetRepeatedMessage(message, field, index)
                                    : r.GetMessage(message, field));
  }
  return nullptr;
}

bool IsPlain(absl::string_view text) {
  static constexpr absl::string_view kWords[] = {"true", "false", "yes", "no", "on",
                                                 "off",  "null",  "y",   "n"};
  if (text.empty() || text.back() == ' ') return false;
  const char first = text.front();
  // What begins with a digit may be read as a number, a date or a time.
  if (!absl::ascii_isalpha(first) && first != '/') return false;
  const bool only_safe = std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(c) ||
           absl::string_view("_-./@%+, ").find(c) != absl::string_view::npos;
  });
  if (!only_safe) return false;
  const std::string lower = absl::AsciiStrToLower(text);
  return std::find(std::begin(kWords), std::end(kWords), lower) == std::end(kWords);
}

std::string Scalar(const Json& value) {
  if (value.is_string() && IsPlain(value.get_ref<const std::string&>())) return value;
  if (value.is_array()) return "[]";
  if (value.is_object()) return "{}";
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool IsBlock(const Json& value) { return value.is_structured() && !value.empty(); }

void Append(const Json& value, const std::string& indent, std::string* out) {
  if (value.is_object()) {
    for (const auto& [key, member] : value.items()) {
      absl::StrAppend(out, indent, key, ":");
      if (!IsBlock(member)) {
        absl::StrAppend(out, " ", Scalar(member), "\n");
        continue;
      }
      out->push_back('\n');
      Append(member, absl::StrCat(indent, "  "), out);
    }
    return;
  }
  for (const Json& element : value) {
    if (!IsBlock(element)) {
      absl::StrAppend(out, indent, "- ", Scalar(element), "\n");
      continue;
    }
    // The first line of the element stands behind its dash.
    std::string block;
    Append(element, absl::StrCat(indent, "  "), &block);
    absl::StrAppend(out, indent, "- ", absl::string_view(block).substr(indent.size() + 2));
  }
}

}  // namespace

Json MessageToJson(const Message& message) {
  Json json = Json::object();
  const Reflection& reflection = *message.GetReflection();
  const google::protobuf::Descriptor& type = *message.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor* field = type.field(i);
    const std::string name = absl::AsciiStrToLower(field->name());
    if (field->is_repeated()) {
      const int size = reflection.FieldSize(message, field);
      for (int element = 0; element < size; ++element) {
        json[name].push_back(FieldValue(message, field, element));
      }
    } else if (!field->has_presence() || reflection.HasField(message, field)) {
      json[name] = FieldValue(message, field, 0);
    }
  }
  return json;
}

std::string ToYaml(const Json& value) {
  if (!IsBlock(value)) return Scalar(value) + "\n";
  std::string text;
  Append(value, "", &text);
  return text;
}

std::string ToJsonText(const Json& value) {
  return value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace cedana::cli
