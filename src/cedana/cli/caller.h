// Who calls, and from where: what a request tells the daemon about this process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace cedana::cli {

struct Caller {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> groups;
  std::vector<std::string> environment;  // "NAME=value"
  std::string working_dir;
};
absl::StatusOr<Caller> ThisCaller();

// The absolute path of a program, looked for in PATH when its name has no slash. kNotFound: there
// is none that can be run.
absl::StatusOr<std::string> FindProgram(const std::string& name);

// Fills the fields that RunReq and RestoreReq share.
template <typename Request>
void Describe(const Caller& caller, Request* request) {
  request->set_uid(caller.uid);
  request->set_gid(caller.gid);
  for (const uint32_t group : caller.groups) request->add_groups(group);
  for (const std::string& variable : caller.environment) request->add_env(variable);
}

}  // namespace cedana::cli
