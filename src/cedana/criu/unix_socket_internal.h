// Listening UNIX sockets of one operation's folder.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "core/base/fd.h"

namespace cedana::criu {

// Non-blocking, close-on-exec, mode 0600. kInvalidArgument when `path` does not fit a socket
// address (107 bytes), kAlreadyExists when something is there: each operation has a fresh folder.
absl::StatusOr<base::UniqueFd> ListenUnix(const std::string& path);

// An eventfd: readable once Signal was called.
absl::StatusOr<base::UniqueFd> MakeEvent();
void Signal(int event_fd);
void Drain(int event_fd);

}  // namespace cedana::criu
