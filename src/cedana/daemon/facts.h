// The facts of a process that travel with its checkpoint, so that another host can restore it.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cedana/daemon/job_table.h"
#include "core/transfer/catalog.h"

namespace cedana::daemon {

struct StdioFact {
  std::string target;  // as /proc/PID/fd/N shows it: "/var/log/x.log", "pipe:[85473]"
  int mode = 0;        // permission bits, of regular files
};

// The members of JobFacts.details that restore reads.
struct RestoreFacts {
  std::array<StdioFact, 3> stdio;
  std::string log;
  bool attachable = false;
  bool tcp_established = false;
  bool tcp_close = false;
  bool shell_job = false;
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> groups;
  std::string working_dir;
  std::vector<int> pids;  // of the tree, and its session ids
  std::string architecture;
  std::string kernel;
  int criu_version = 0;

  base::Json ToJson() const;
  static RestoreFacts FromJson(const base::Json& json);
};

// What /proc says about the tree of `root`. kNotFound: it has gone.
absl::StatusOr<RestoreFacts> CollectFacts(int root);
// `job` may be null: a bare process.
transfer::JobFacts MakeJobFacts(int root, const JobRecord* job, const RestoreFacts& facts);
// The text of process_state.json, as existing users read it.
std::string ProcessStateJson(int root, const RestoreFacts& facts);

std::string MachineArchitecture();
std::string KernelRelease();

}  // namespace cedana::daemon
