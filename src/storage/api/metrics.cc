// GET /metrics, in Prometheus' text format 0.0.4
// (https://prometheus.io/docs/instrumenting/exposition_formats/).
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status.h"
#include "storage/api/handlers.h"
#include "storage/api/providers_json.h"

namespace cedana::api {
namespace {

using base::Json;

class Exposition {
 public:
  void Family(absl::string_view name, absl::string_view type, absl::string_view help) {
    name_ = std::string(name);
    absl::StrAppend(&text_, "# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n");
  }
  // Names of providers are [a-z0-9-], so no label has to be escaped.
  void Sample(double value, absl::string_view of = "", absl::string_view label = "provider") {
    absl::StrAppend(&text_, name_);
    if (!of.empty()) absl::StrAppend(&text_, "{", label, "=\"", of, "\"}");
    // Enough digits for bytes and counts.
    absl::StrAppendFormat(&text_, " %.17g\n", value);
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string name_;
  std::string text_;
};

}  // namespace

absl::Status GetMetrics(Call& call, const ServiceParts& parts) {
  CEDANA_ASSIGN_OR_RETURN(const Json providers, ProvidersJson(*parts.vault));
  CEDANA_ASSIGN_OR_RETURN(const Json debt, DebtJson(*parts.vault));
  Exposition out;
  const auto each = [&](const auto& value) {
    for (const Json& provider : providers) {
      if (provider["state"] != "lost")
        out.Sample(value(provider), base::StringOr(provider, "name", ""));
    }
  };
  // What only a probe tells has no sample before the first one: a zero would be an alarm.
  const auto each_probed = [&](const auto& value) {
    for (const Json& provider : providers) {
      if (provider["health"] != "lost" && provider["health"] != "unknown")
        out.Sample(value(provider), base::StringOr(provider, "name", ""));
    }
  };
  out.Family("cedana_storage_provider_up", "gauge", "1 when the provider answers the probes");
  each_probed(
      [](const Json& p) { return p["health"] == "healthy" || p["health"] == "full" ? 1.0 : 0.0; });
  out.Family("cedana_storage_provider_full", "gauge", "1 when the provider takes no more bytes");
  each_probed([](const Json& p) { return p["health"] == "full" ? 1.0 : 0.0; });
  out.Family("cedana_storage_provider_breaker_open", "gauge",
             "1 when a client has told within the last minute that it leaves the provider alone");
  each([](const Json& p) { return p["breaker"] == "open" ? 1.0 : 0.0; });
  out.Family("cedana_storage_provider_latency_seconds", "gauge", "Of the probes, smoothed");
  each_probed([](const Json& p) { return p["latency_ms"].get<double>() / 1000; });
  out.Family("cedana_storage_provider_bytes", "gauge",
             "Bytes of packs and manifests with the provider");
  each([](const Json& p) { return p["bytes"].get<double>(); });
  out.Family("cedana_storage_provider_packs", "gauge", "Packs with the provider");
  each([](const Json& p) { return p["packs"].get<double>(); });

  const auto one = [&](absl::string_view name, absl::string_view type, absl::string_view help,
                       double value) {
    out.Family(name, type, help);
    out.Sample(value);
  };
  const auto owed = [&](const char* member) { return debt[member].get<double>(); };
  one("cedana_storage_debt_packs", "gauge", "Packs with fewer copies than wanted", owed("packs"));
  one("cedana_storage_debt_manifests", "gauge", "Manifests with fewer copies than wanted",
      owed("manifests"));
  one("cedana_storage_debt_bytes", "gauge", "Bytes of the packs that are owed", owed("bytes"));
  one("cedana_storage_debt_endangered", "gauge", "Owed objects in fewer failure domains than ack",
      owed("endangered"));
  one("cedana_storage_lost_objects", "gauge", "Objects that can be read nowhere", owed("lost"));
  one("cedana_storage_debt_oldest_age_seconds", "gauge", "Of the oldest debt",
      owed("oldest_age_ms") / 1000);
  const replica::RepairCounts counts = parts.repairer->counts();
  one("cedana_storage_repaired_objects_total", "counter", "Objects brought back to full",
      static_cast<double>(counts.paid));
  one("cedana_storage_repair_failures_total", "counter", "Repairs that were put off",
      static_cast<double>(counts.postponed));
  one("cedana_storage_repair_written_bytes_total", "counter", "Bytes written by repair",
      static_cast<double>(counts.written_bytes));
  one("cedana_storage_damaged_shards_total", "counter", "Damaged shards found",
      static_cast<double>(counts.damaged_shards));
  one("cedana_storage_missing_shards_total", "counter", "Missing shards found",
      static_cast<double>(counts.missing_shards));
  out.Family("cedana_storage_requests_total", "counter", "HTTP requests, by class of the answer");
  for (size_t of = 1; of < RequestCounts::kClasses; ++of) {
    out.Sample(static_cast<double>(parts.requests->answers(of)), absl::StrCat(of, "xx"), "status");
  }
  out.Family("cedana_storage_requests_unanswered_total", "counter", "Requests without an answer");
  out.Sample(static_cast<double>(parts.requests->answers(0)));
  one("cedana_storage_commits_total", "counter",
      "Commits that were answered, repeated ones as well",
      static_cast<double>(parts.requests->commits()));
  return call.Send(200, {{"Content-Type", "text/plain; version=0.0.4"}}, out.Take());
}

}  // namespace cedana::api
