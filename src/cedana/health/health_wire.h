// Health as the daemon's interface carries it. Apart from health.h, because the messages' headers
// are heavy.
#pragma once

#include <vector>

#include "cedana/health/health.h"
#include "daemon_api.h"

namespace cedana::health {

void ToWire(const std::vector<HealthGroup>& groups, daemon_api::HealthCheckResp* response);
std::vector<HealthGroup> FromWire(const daemon_api::HealthCheckResp& response);

}  // namespace cedana::health
