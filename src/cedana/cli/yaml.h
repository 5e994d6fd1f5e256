// A protobuf message as JSON with lower-cased field names and plain numbers, and JSON as YAML: what
// `job inspect` prints.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace google::protobuf {
class Message;
}

namespace cedana::cli {

// Numbers, texts and flags are always there; absent messages and empty lists are left out.
nlohmann::ordered_json MessageToJson(const google::protobuf::Message& message);

// Block style; texts are quoted where plain ones would be read as something else.
std::string ToYaml(const nlohmann::ordered_json& value);

// Indented by two, newline at the end; bytes that are not UTF-8 are replaced.
std::string ToJsonText(const nlohmann::ordered_json& value);

}  // namespace cedana::cli
