#include "core/transfer/catalog.h"

#include <algorithm>

namespace cedana::transfer {

base::Json JobFacts::ToJson() const {
  return {{"job_id", job_id}, {"job_name", job_name},         {"type", type}, {"host", host},
          {"user", user},     {"command_line", command_line}, {"pid", pid},   {"details", details}};
}

JobFacts JobFacts::FromJson(const base::Json& json) {
  JobFacts facts;
  facts.job_id = base::StringOr(json, "job_id", "");
  facts.job_name = base::StringOr(json, "job_name", "");
  facts.type = base::StringOr(json, "type", "");
  facts.host = base::StringOr(json, "host", "");
  facts.user = base::StringOr(json, "user", "");
  facts.command_line = base::StringOr(json, "command_line", "");
  facts.pid =
      static_cast<uint32_t>(std::clamp<int64_t>(base::IntOr(json, "pid", 0), 0, UINT32_MAX));
  if (json.is_object()) {
    const auto details = json.find("details");
    if (details != json.end() && details->is_object()) facts.details = *details;
  }
  return facts;
}

}  // namespace cedana::transfer
