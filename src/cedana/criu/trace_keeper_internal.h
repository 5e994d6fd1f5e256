// What CRIU does to a process by ptrace is done for it by a process of ours that outlives it.
//
// CRIU writes instructions into the dumped process, points its registers at them and lets it run up
// to a breakpoint. Killed right then (kill -9, the out-of-memory killer), the kernel lets the
// process run on at once, in those instructions, and it dies of SIGTRAP: with a small process one
// kill in fifty. Nobody outside can prevent it, for a process has one tracer. So the tracer is not
// CRIU but the keeper: a child of it with the same memory and the same descriptors, in which every
// call of ptrace and every wait for a traced process is carried out. It notes what was there before
// CRIU changed it, and when CRIU ends it puts registers, signal mask and memory back and lets go.
// As it also has CRIU's descriptors, what CRIU's program in there was doing ends in peace: the
// sockets and pipes that it writes to stay open, where else it would die of SIGPIPE.
//
// What stays behind in a process after a kill is the memory of CRIU's program, some 300 KiB, and at
// some moments the descriptor of it. A sleep in a system call may end early (EINTR), as it does in
// every dump that leaves the process running.
//
// In CRIU only, one thread; x86-64.
#pragma once

#include <sys/types.h>

namespace cedana::criu_hold {

// ptrace and wait4 as the kernel has them: a result, or -errno. The first PTRACE_SEIZE starts the
// keeper; without one (it could not be started) CRIU calls the kernel itself.
long KeptPtrace(long request, pid_t pid, void* address, void* data);
long KeptWait(pid_t pid, int* status, int options, void* usage);

}  // namespace cedana::criu_hold
