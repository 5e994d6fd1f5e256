// Loaded into the CRIU of a dump (LD_PRELOAD, see HoldEnvironment in criu.h), so that no connection
// is in TCP repair mode while a process that has it can run.
//
// Why. CRIU puts each established connection into repair mode to read its queues, and a process
// that sends or receives on such a socket gets an error. If CRIU is killed right then (kill -9, the
// out-of-memory killer) the kernel lets the process run on, at once: nobody outside can be quicker.
// So the process is frozen by its cgroup before, and thawed after. A CRIU killed in between leaves
// a frozen process, and its shim, which sees CRIU end, takes the sockets out of repair mode before
// it thaws (cedana/runtime/tree_hold.h).
//
//   CRIU calls                               before it is done, we
//   setsockopt(TCP_REPAIR, on)               freeze
//   send, sendto, sendmsg, ptrace            take what is in repair mode out of it; thaw
//   kill(SIGKILL), a dump's end              freeze; all read back into repair mode, so that the
//                                            connections end without a word to their peers
//   setsockopt(TCP_REPAIR, off), an undo     forget the socket
//
// Why these calls. Between repair mode and the end of the reading CRIU (4.1.1 to 4.2.1) makes only
// calls on the socket itself. Then it passes the connection's image to us by sendmsg; and whatever
// it wants of the process, which would wait for ever for a frozen one, begins with send (a command
// to its program in there) or ptrace. It is one thread.
//
// Refused: a network lock by our own iptables, which CRIU would call at the right moment as well
// (two shells and two programs for each connection, and the locking itself to be written anew); a
// seccomp notification (CRIU under a filter may not suspend its targets' filters, and with the
// listener gone it cannot leave repair mode either); watching from outside (a window of
// milliseconds: half of the connections were lost when CRIU was killed in it).
//
// Nothing of ours and no C++ library is linked: this lives in somebody else's program.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cedana/criu/trace_keeper_internal.h"

namespace {

constexpr int kRepairOn = 1;
constexpr int kRepairOffNoWindowProbe = -1;

struct Connection {
  int fd;             // CRIU's own descriptor, open until its end
  int reuse_address;  // SO_REUSEADDR: repair mode overwrites it
  bool in_repair;
};

Connection* connections = nullptr;
size_t count = 0;
size_t capacity = 0;
bool frozen = false;

long Failed(long result) {
  errno = static_cast<int>(-result);
  return -1;
}

// The C library's own.
template <typename Function>
Function* Next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

class KeepErrno {
 public:
  ~KeepErrno() { errno = value_; }

 private:
  const int value_ = errno;
};

// One word to cgroup.freeze of each cgroup in CEDANA_HOLD_CGROUPS. What is gone has no process, and
// without a cgroup the time in repair mode is short all the same: no reason to fail a dump.
void WriteFreeze(const char* word) {
  const char* cgroup = getenv("CEDANA_HOLD_CGROUPS");
  while (cgroup != nullptr && *cgroup != '\0') {
    constexpr char kFile[] = "/cgroup.freeze";
    const char* end = strchrnul(cgroup, '\n');
    const size_t size = static_cast<size_t>(end - cgroup);
    char path[PATH_MAX];
    if (size + sizeof(kFile) <= sizeof(path)) {
      memcpy(path, cgroup, size);
      memcpy(path + size, kFile, sizeof(kFile));
      const int fd = open(path, O_WRONLY | O_CLOEXEC);
      if (fd >= 0) {
        // Nothing can be done about an error, and the compiler wants the result looked at.
        if (write(fd, word, 1) != 1) errno = 0;
        close(fd);
      }
    }
    cgroup = *end == '\0' ? end : end + 1;
  }
}

// From the first word on no process of the cgroup runs, for frozen is what each one becomes before
// it comes back from the kernel: no need to wait until it says so.
void Freeze() {
  if (frozen) return;
  WriteFreeze("1");
  frozen = true;
}

void Thaw() {
  if (!frozen) return;
  WriteFreeze("0");
  frozen = false;
}

int SetRepair(int fd, int mode) {
  return Next<decltype(setsockopt)>("setsockopt")(fd, IPPROTO_TCP, TCP_REPAIR, &mode, sizeof(mode));
}

bool MakeRoom() {
  if (count < capacity) return true;
  const size_t wanted = capacity == 0 ? 64 : capacity * 2;
  void* grown = realloc(connections, wanted * sizeof(Connection));
  if (grown == nullptr) return false;
  connections = static_cast<Connection*>(grown);
  capacity = wanted;
  return true;
}

int EnterRepair(int fd) {
  if (!MakeRoom()) {
    errno = ENOMEM;
    return -1;
  }
  Connection connection{fd, 0, true};
  socklen_t size = sizeof(connection.reuse_address);
  getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &connection.reuse_address, &size);
  Freeze();
  const int result = SetRepair(fd, kRepairOn);
  if (result == 0) {
    connections[count++] = connection;
  } else {
    const KeepErrno keep;
    Thaw();
  }
  return result;
}

// Everything that is to be read has been read.
void LeaveRepair() {
  if (!frozen) return;
  const KeepErrno keep;
  for (size_t i = 0; i < count; ++i) {
    Connection& connection = connections[i];
    if (!connection.in_repair) continue;
    SetRepair(connection.fd, kRepairOffNoWindowProbe);
    Next<decltype(setsockopt)>("setsockopt")(connection.fd, SOL_SOCKET, SO_REUSEADDR,
                                             &connection.reuse_address,
                                             sizeof(connection.reuse_address));
    connection.in_repair = false;
  }
  Thaw();
}

void ReenterRepair() {
  if (count == 0) return;
  const KeepErrno keep;
  Freeze();
  for (size_t i = 0; i < count; ++i) {
    // A connection that cannot is kept from its peer by the network lock.
    connections[i].in_repair = SetRepair(connections[i].fd, kRepairOn) == 0;
  }
}

void Forget(int fd) {
  for (size_t i = 0; i < count; ++i) {
    if (connections[i].fd == fd) connections[i--] = connections[--count];
  }
}

}  // namespace

extern "C" {

// Before it, a socket in repair mode is CRIU trying out what the kernel can do.
bool cedana_criu_seized = false;

int setsockopt(int fd, int level, int name, const void* value, socklen_t size) noexcept {
  int mode = 0;
  const bool repair = level == IPPROTO_TCP && name == TCP_REPAIR && size >= sizeof(mode);
  if (repair) memcpy(&mode, value, sizeof(mode));
  if (repair && mode == kRepairOn && cedana_criu_seized) return EnterRepair(fd);
  if (repair) Forget(fd);
  return Next<decltype(setsockopt)>("setsockopt")(fd, level, name, value, size);
}

ssize_t send(int fd, const void* bytes, size_t size, int flags) {
  LeaveRepair();
  return Next<decltype(send)>("send")(fd, bytes, size, flags);
}

ssize_t sendto(int fd, const void* bytes, size_t size, int flags, const sockaddr* address,
               socklen_t address_size) {
  LeaveRepair();
  return Next<decltype(sendto)>("sendto")(fd, bytes, size, flags, address, address_size);
}

ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  LeaveRepair();
  return Next<decltype(sendmsg)>("sendmsg")(fd, message, flags);
}

// Variadic in C, but all of its callers pass these three. A word that is read is the result.
long ptrace(enum __ptrace_request request, ...) noexcept {
  va_list arguments;
  va_start(arguments, request);
  const pid_t pid = va_arg(arguments, pid_t);
  void* address = va_arg(arguments, void*);
  void* data = va_arg(arguments, void*);
  va_end(arguments);
  if (request == PTRACE_SEIZE) cedana_criu_seized = true;
  LeaveRepair();
  long word = 0;
  const bool peek =
      request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER;
  const long result = cedana::criu_hold::KeptPtrace(request, pid, address, peek ? &word : data);
  if (result < 0) return Failed(result);
  if (peek) errno = 0;
  return peek ? word : result;
}

pid_t wait4(pid_t pid, int* status, int options, struct rusage* usage) {
  const long result = cedana::criu_hold::KeptWait(pid, status, options, usage);
  return static_cast<pid_t>(result < 0 ? Failed(result) : result);
}

pid_t waitpid(pid_t pid, int* status, int options) { return wait4(pid, status, options, nullptr); }

int kill(pid_t pid, int signal) noexcept {
  if (signal == SIGKILL) ReenterRepair();
  return Next<decltype(kill)>("kill")(pid, signal);
}

}  // extern "C"
