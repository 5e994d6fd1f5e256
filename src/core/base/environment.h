// Environment variables: the only place that calls getenv.
#pragma once

#include <optional>
#include <string>

namespace cedana::base {

// An empty value counts as unset.
std::optional<std::string> GetEnv(const std::string& name);

}  // namespace cedana::base
