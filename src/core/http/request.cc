#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"
#include "core/http/server.h"

namespace cedana::http {
namespace {

const std::string* Find(const Headers& pairs, absl::string_view name) {
  for (const auto& [key, value] : pairs) {
    if (key == name) return &value;
  }
  return nullptr;
}

}  // namespace

const std::string* ServerRequest::Header(const std::string& lower_case_name) const {
  return Find(headers, lower_case_name);
}

const std::string* ServerRequest::Query(const std::string& name) const { return Find(query, name); }

const std::string* ClientResponse::Header(const std::string& lower_case_name) const {
  return Find(headers, lower_case_name);
}

absl::StatusOr<std::vector<std::string>> ServerRequest::Segments() const {
  std::vector<std::string> segments;
  absl::string_view rest = path;
  if (!rest.empty() && rest.front() == '/') rest.remove_prefix(1);
  if (rest.empty()) return segments;
  for (const absl::string_view part : absl::StrSplit(rest, '/')) {
    CEDANA_ASSIGN_OR_RETURN(std::string segment, PercentDecode(part));
    segments.push_back(std::move(segment));
  }
  return segments;
}

}  // namespace cedana::http
