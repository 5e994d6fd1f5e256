// TCP sockets of other processes, as descriptors of our own, and the way out of the kernel's repair
// mode, in which a killed CRIU may have left them.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "core/base/fd.h"

namespace cedana::runtime {

// None when there is no such process. While we hold one, its connection stays open.
absl::StatusOr<std::vector<base::UniqueFd>> TakeTcpSockets(int pid);

// A process that sends or receives in repair mode gets an error. Gone processes are none; it can be
// repeated.
absl::Status LeaveTcpRepair(int pid);

}  // namespace cedana::runtime
