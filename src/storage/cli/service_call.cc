#include "storage/cli/service_call.h"

#include <algorithm>
#include <cstdio>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/environment.h"
#include "core/base/fd.h"
#include "core/base/status.h"
#include "core/http/client.h"
#include "core/http/service_url.h"

namespace cedana::cli {

using base::Json;

namespace {

constexpr char kDefaultUrl[] = "http://127.0.0.1:7070";

absl::StatusOr<std::string> OperatorToken(const AdminOptions& options) {
  std::string file = options.operator_token_file;
  if (file.empty() && !options.data_dir.empty()) {
    file = absl::StrCat(options.data_dir, "/operator-token");
  }
  if (file.empty()) {
    if (const auto token = base::GetEnv("CEDANA_STORAGE_OPERATOR_TOKEN")) return *token;
    return absl::InvalidArgumentError(
        "operator token: give --data DIR, --operator-token-file FILE or "
        "CEDANA_STORAGE_OPERATOR_TOKEN");
  }
  absl::StatusOr<std::string> text = base::ReadFile(file, 4096);
  if (!text.ok()) return base::Annotate(text.status(), "operator token");
  return std::string(absl::StripAsciiWhitespace(*text));
}

absl::StatusOr<std::string> Url(const AdminOptions& options) {
  std::string url = options.url;
  if (url.empty()) url = base::GetEnv("CEDANA_STORAGE_URL").value_or(kDefaultUrl);
  absl::StripAsciiWhitespace(&url);
  // As strict as the daemon: the token goes along.
  CEDANA_RETURN_IF_ERROR(
      http::ServiceOrigin(
          absl::StrCat("--url (CEDANA_STORAGE_URL) \"", http::UrlForText(url), "\""), url)
          .status());
  while (absl::EndsWith(url, "/")) url.pop_back();
  return url;
}

}  // namespace

absl::StatusOr<Json> CallService(const AdminOptions& options, const std::string& method,
                                 const std::string& target, const Json* body,
                                 absl::Duration timeout) {
  CEDANA_ASSIGN_OR_RETURN(const std::string url, Url(options));
  CEDANA_ASSIGN_OR_RETURN(const std::string token, OperatorToken(options));
  CEDANA_ASSIGN_OR_RETURN(
      const auto client,
      http::Client::Create({.ca_file = options.ca_file.empty()
                                           ? base::GetEnv("CEDANA_STORAGE_CA_FILE").value_or("")
                                           : options.ca_file,
                            .user_agent = "cedana-storage",
                            .stall_timeout = timeout}));
  const std::string text = body == nullptr ? "" : base::DumpJson(*body);
  http::ClientRequest request{.method = method, .url = url + target};
  request.headers = {{"Authorization", absl::StrCat("Bearer ", token)},
                     {"Content-Type", "application/json"}};
  request.body = {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
  request.has_body = method == "POST" || method == "PUT";
  absl::StatusOr<http::ClientResponse> answer =
      client->Do(base::Context{}.WithTimeout(timeout), request);
  if (!answer.ok()) return base::Annotate(answer.status(), url);
  absl::StatusOr<Json> json = base::ParseJson(answer->body);
  if (answer->status >= 200 && answer->status < 300 && json.ok()) return json;
  const std::string message =
      json.ok() && json->is_object() ? base::StringOr(*json, "message", "") : "";
  return absl::InternalError(message.empty() ? absl::StrCat(url, ": answered ", answer->status)
                                             : message);
}

// Columns as wide as their widest cell, two spaces apart.
void PrintTable(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      absl::StrAppend(&line, row[i]);
      if (i + 1 < row.size()) line.append(widths[i] - row[i].size() + 2, ' ');
    }
    std::printf("%s\n", line.c_str());
  }
}

void PrintJson(const Json& json) { std::printf("%s\n", base::DumpJson(json, 2).c_str()); }

absl::StatusOr<Json> ListFromService(const AdminOptions& options, const std::string& target,
                                     const char* member) {
  CEDANA_ASSIGN_OR_RETURN(const Json answer, CallService(options, "GET", target, nullptr));
  const auto list = answer.find(member);
  if (list == answer.end() || !list->is_array()) {
    return absl::InternalError(absl::StrCat("the service's answer has no ", member));
  }
  return *list;
}

}  // namespace cedana::cli
