#include <algorithm>
#include <cstdio>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/fd.h"
#include "core/base/status.h"
#include "core/http/client.h"
#include "storage/cli/commands.h"
#include "storage/cli/service_call.h"

namespace cedana::cli {
namespace {

using base::Json;

constexpr size_t kCredentialsBytesMax = 64u << 10;
constexpr absl::Duration kRepairTimeout = absl::Minutes(30);  // of one call: it ends what it began

std::string Target(const std::string& name, absl::string_view rest = "") {
  return absl::StrCat("/v3/admin/providers/", http::PercentEncode(name), rest);
}

std::string Text(const Json& row, const char* member) { return base::StringOr(row, member, ""); }

std::string Count(const Json& row, const char* member) {
  return absl::StrCat(base::IntOr(row, member, 0));
}

std::string Size(const Json& row, const char* member) {
  auto size = static_cast<double>(base::IntOr(row, member, 0));
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  size_t unit = 0;
  while (size >= 1024 && unit + 1 < std::size(units)) {
    size /= 1024;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof(text), unit == 0 ? "%.0f %s" : "%.1f %s", size, units[unit]);
  return text;
}

std::string Milliseconds(const Json& row) {
  const auto latency = row.find("latency_ms");
  if (latency == row.end() || !latency->is_number() || latency->get<double>() <= 0) return "-";
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f ms", latency->get<double>());
  return text;
}

// No client has told lately: nobody dumps or restores.
std::string Breaker(const Json& row) {
  const std::string told = Text(row, "breaker");
  return told.empty() ? "-" : told;
}

void PrintProviders(const Json& list) {
  std::vector<std::vector<std::string>> rows = {
      {"NAME", "STATE", "HEALTH", "BREAKER", "LATENCY", "PACKS", "SIZE", "DOMAIN", "URL"}};
  for (const Json& row : list) {
    rows.push_back({Text(row, "name"), Text(row, "state"), Text(row, "health"), Breaker(row),
                    Milliseconds(row), Count(row, "packs"), Size(row, "bytes"), Text(row, "domain"),
                    Text(row, "url")});
  }
  PrintTable(rows);
}

void PrintDebt(const Json& debt) {
  const int64_t owed = base::IntOr(debt, "packs", 0) + base::IntOr(debt, "manifests", 0);
  if (owed == 0) {
    std::printf("debt: none, everything is fully replicated\n");
    return;
  }
  std::printf("debt: %s packs (%s), %s manifests; endangered: %s, lost: %s; oldest %lld s\n",
              Count(debt, "packs").c_str(), Size(debt, "bytes").c_str(),
              Count(debt, "manifests").c_str(), Count(debt, "endangered").c_str(),
              Count(debt, "lost").c_str(),
              static_cast<long long>(base::IntOr(debt, "oldest_age_ms", 0) / 1000));
}

void PrintRepair(const Json& repair) {
  std::printf(
      "repair since the start: %s objects, %s copies (%s) written, %s tries put off; found "
      "%s damaged, %s missing\n",
      Count(repair, "paid").c_str(), Count(repair, "written_shards").c_str(),
      Size(repair, "written_bytes").c_str(), Count(repair, "postponed").c_str(),
      Count(repair, "damaged_shards").c_str(), Count(repair, "missing_shards").c_str());
}

}  // namespace

absl::Status AddProvider(const AdminOptions& options, const ProviderArguments& arguments) {
  Json body = {{"name", arguments.name}, {"url", arguments.url}};
  if (!arguments.credentials_file.empty()) {
    CEDANA_ASSIGN_OR_RETURN(body["credentials"],
                            base::ReadFile(arguments.credentials_file, kCredentialsBytesMax));
  }
  CEDANA_ASSIGN_OR_RETURN(const Json added,
                          CallService(options, "POST", "/v3/admin/providers", &body));
  if (options.json) {
    PrintJson(added);
  } else {
    std::printf("added %s, failure domain %s\n", arguments.name.c_str(),
                Text(added, "domain").c_str());
  }
  return absl::OkStatus();
}

absl::Status ListProviders(const AdminOptions& options) {
  CEDANA_ASSIGN_OR_RETURN(const Json list,
                          ListFromService(options, "/v3/admin/providers", "providers"));
  if (options.json) {
    PrintJson(list);
  } else {
    PrintProviders(list);
  }
  return absl::OkStatus();
}

absl::Status TestProvider(const AdminOptions& options, const ProviderArguments& arguments) {
  const Json body = Json::object();
  CEDANA_ASSIGN_OR_RETURN(const Json answer,
                          CallService(options, "POST", Target(arguments.name, "/test"), &body));
  if (options.json) {
    PrintJson(answer);
  } else {
    std::vector<std::vector<std::string>> rows;
    for (const Json& item : base::Member(answer, "items")) {
      rows.push_back({Text(item, "what"), Text(item, "result"), Text(item, "detail")});
    }
    PrintTable(rows);
  }
  if (base::BoolOr(answer, "ok", false)) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("provider ", arguments.name, ": cannot be used as it is"));
}

absl::Status RemoveProvider(const AdminOptions& options, const ProviderArguments& arguments) {
  CEDANA_ASSIGN_OR_RETURN(
      const Json answer,
      CallService(options, "DELETE", Target(arguments.name, arguments.lost ? "?lost=1" : ""),
                  nullptr));
  if (options.json) {
    PrintJson(answer);
  } else {
    std::printf("%s is %s\n", arguments.name.c_str(), Text(answer, "state").c_str());
  }
  return absl::OkStatus();
}

absl::Status ShowPolicy(const AdminOptions& options, const std::string& organisation) {
  CEDANA_ASSIGN_OR_RETURN(const Json list,
                          ListFromService(options,
                                          absl::StrCat("/v3/admin/policies?organisation=",
                                                       http::PercentEncode(organisation)),
                                          "policies"));
  if (options.json) {
    PrintJson(list);
    return absl::OkStatus();
  }
  std::vector<std::vector<std::string>> rows = {{"ORGANISATION", "POLICY", ""}};
  for (const Json& row : list) {
    rows.push_back({Text(row, "organisation"),
                    absl::StrCat("copies=", Count(row, "copies"), ",ack=", Count(row, "ack")),
                    base::BoolOr(row, "chosen", false) ? "" : "default"});
  }
  PrintTable(rows);
  return absl::OkStatus();
}

absl::Status SetPolicy(const AdminOptions& options, const std::string& organisation,
                       const std::string& policy) {
  Json body = {{"organisation", organisation}};
  if (policy == "default") {
    body["default"] = true;
  } else {
    for (absl::string_view part : absl::StrSplit(policy, ',')) {
      const std::vector<std::string> pair = absl::StrSplit(part, absl::MaxSplits('=', 1));
      int value = 0;
      if (pair.size() != 2 || (pair[0] != "copies" && pair[0] != "ack") ||
          !absl::SimpleAtoi(pair[1], &value)) {
        return absl::InvalidArgumentError(
            absl::StrCat("policy ", policy, ": copies=N,ack=M or default is wanted"));
      }
      body[pair[0]] = value;
    }
    if (!body.contains("ack") && body.contains("copies")) body["ack"] = body["copies"];
  }
  CEDANA_ASSIGN_OR_RETURN(const Json set, CallService(options, "PUT", "/v3/admin/policies", &body));
  if (options.json) {
    PrintJson(set);
  } else {
    std::printf("%s: copies=%s,ack=%s\n", organisation.c_str(), Count(set, "copies").c_str(),
                Count(set, "ack").c_str());
  }
  return absl::OkStatus();
}

absl::Status ShowStatus(const AdminOptions& options) {
  CEDANA_ASSIGN_OR_RETURN(const Json status,
                          CallService(options, "GET", "/v3/admin/status", nullptr));
  if (options.json) {
    PrintJson(status);
    return absl::OkStatus();
  }
  PrintProviders(base::Member(status, "providers"));
  for (const Json& row : base::Member(status, "providers")) {
    if (Text(row, "error").empty() || Text(row, "health") == "lost") continue;
    std::printf("%s: %s\n", Text(row, "name").c_str(), Text(row, "error").c_str());
  }
  PrintDebt(base::Member(status, "debt"));
  PrintRepair(base::Member(status, "repair"));
  return absl::OkStatus();
}

absl::Status Repair(const AdminOptions& options, bool scrub) {
  Json body = {{"scrub", scrub}};
  CEDANA_ASSIGN_OR_RETURN(Json answer,
                          CallService(options, "POST", "/v3/admin/repair", &body, kRepairTimeout));
  // However much there is to pay: the service works on it for a while in each call.
  const Json scrubbed = base::Member(answer, "scrubbed");
  int64_t paid = base::IntOr(answer, "paid", 0);
  body = {{"go_on", true}};
  while (base::BoolOr(answer, "more", false)) {
    CEDANA_ASSIGN_OR_RETURN(
        answer, CallService(options, "POST", "/v3/admin/repair", &body, kRepairTimeout));
    paid += base::IntOr(answer, "paid", 0);
  }
  answer["scrubbed"] = scrubbed;
  answer["paid"] = paid;
  if (options.json) {
    PrintJson(answer);
    return absl::OkStatus();
  }
  for (const auto& [name, counts] : scrubbed.items()) {
    if (counts.contains("error")) {
      std::printf("%s: not compared: %s\n", name.c_str(), Text(counts, "error").c_str());
      continue;
    }
    std::printf("%s: %s shards compared, %s missing, %s damaged, %s strays deleted\n", name.c_str(),
                Count(counts, "shards").c_str(), Count(counts, "missing").c_str(),
                Count(counts, "damaged").c_str(), Count(counts, "strays").c_str());
    if (base::IntOr(counts, "found", 0) > 0) {
      std::printf("%s: %s objects found again that were missed before\n", name.c_str(),
                  Count(counts, "found").c_str());
    }
    if (base::IntOr(counts, "spared", 0) > 0) {
      std::printf("%s: %s objects of commits that the catalog does not know, kept\n", name.c_str(),
                  Count(counts, "spared").c_str());
    }
  }
  std::printf("repaired: %s\n", Count(answer, "paid").c_str());
  PrintDebt(base::Member(answer, "debt"));
  return absl::OkStatus();
}

}  // namespace cedana::cli
