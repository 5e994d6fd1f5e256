// Keeps a process alive whose CRIU is killed in the middle of a dump.
//
// CRIU puts a small program into the dumped process, talks to it over a socket and takes pages from
// it through pipes. When CRIU is killed while that program carries out a command, its next write
// to the socket or a pipe raises SIGPIPE: blocked for the moment, but delivered as soon as the
// process goes on, and most programs die of it (tried: once in some 17 kills). A second holder of
// CRIU's ends makes those writes succeed: the command ends, the program waits for the next one, and
// sees the orderly end of its socket when the second holder lets go.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>

#include "core/base/fd.h"

namespace cedana::runtime {

// One thread. Best effort throughout: what cannot be held is not.
class ParasiteGuard {
 public:
  explicit ParasiteGuard(pid_t criu);

  // Looks at CRIU's descriptors again: takes a hold of what is new, lets go of what CRIU has
  // closed. A few milliseconds apart, for a read end of an image pipe is held in passing too, and
  // as long as it is, a cancelled CRIU does not notice that nobody reads. Some 0.2 ms.
  void Look();

 private:
  base::UniqueFd Hold(int fd, bool socket) const;

  const pid_t criu_;
  base::UniqueFd pidfd_;
  // By what /proc/PID/fd shows; not valid: looked at, of no interest.
  std::map<std::string, base::UniqueFd> held_;
};

}  // namespace cedana::runtime
