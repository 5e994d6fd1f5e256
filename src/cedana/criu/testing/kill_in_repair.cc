// Loaded into CRIU (LD_PRELOAD, behind the hold of repair_hold.cc where that is loaded as well):
// kills it at the worst moment there is, the one in which a connection has just been put into
// TCP repair mode. CEDANA_KILL_CRIU_AT says which:
//
//   read   before the connection's queues are read
//   end    before the tree is killed, for which the hold has put all of them back into it
#include <dlfcn.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

template <typename Function>
Function* Next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

void DieIfAt(const char* moment) {
  const char* at = getenv("CEDANA_KILL_CRIU_AT");
  // The hold's; before, CRIU only tries out what the kernel can do.
  const auto* seized = static_cast<const bool*>(dlsym(RTLD_DEFAULT, "cedana_criu_seized"));
  if (seized != nullptr && *seized && at != nullptr && strcmp(at, moment) == 0)
    syscall(SYS_kill, getpid(), SIGKILL);
}

}  // namespace

extern "C" {

int setsockopt(int fd, int level, int name, const void* value, socklen_t size) noexcept {
  const int result = Next<decltype(setsockopt)>("setsockopt")(fd, level, name, value, size);
  int mode = 0;
  if (level == IPPROTO_TCP && name == TCP_REPAIR) memcpy(&mode, value, sizeof(mode));
  if (mode == 1) DieIfAt("read");
  return result;
}

int kill(pid_t pid, int signal) noexcept {
  if (signal == SIGKILL) DieIfAt("end");
  return Next<decltype(kill)>("kill")(pid, signal);
}

}  // extern "C"
