#include "cedana/health/health_wire.h"

#include <utility>

namespace cedana::health {

void ToWire(const std::vector<HealthGroup>& groups, daemon_api::HealthCheckResp* response) {
  for (const HealthGroup& group : groups) {
    daemon_api::HealthCheckResult* result = response->add_results();
    result->set_name(group.name);
    for (const plugin::HealthItem& item : group.items) {
      daemon_api::HealthCheckComponent* component = result->add_components();
      component->set_name(item.component);
      component->set_data(item.data);
      for (const std::string& error : item.errors) component->add_errors(error);
      for (const std::string& warning : item.warnings) component->add_warnings(warning);
    }
  }
}

std::vector<HealthGroup> FromWire(const daemon_api::HealthCheckResp& response) {
  std::vector<HealthGroup> groups;
  for (const daemon_api::HealthCheckResult& result : response.results()) {
    HealthGroup group{result.name(), {}};
    for (const daemon_api::HealthCheckComponent& component : result.components()) {
      group.items.push_back({component.name(),
                             component.data(),
                             {component.errors().begin(), component.errors().end()},
                             {component.warnings().begin(), component.warnings().end()}});
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

}  // namespace cedana::health
