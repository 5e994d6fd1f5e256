// Loaded into CRIU (LD_PRELOAD, before the hold): kills it right after the call number
// CEDANA_KILL_CRIU_CALL of those by which it steers the processes that it dumps, counted from the
// first PTRACE_SEIZE, or CEDANA_KILL_CRIU_US microseconds later.
#include <dlfcn.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

bool seized = false;
long calls = 0;

template <typename Function>
Function* Next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

long Number(const char* name) {
  const char* text = getenv(name);
  return text == nullptr ? 0 : atol(text);
}

template <typename Result>
Result Count(Result result) {
  if (!seized || ++calls != Number("CEDANA_KILL_CRIU_CALL")) return result;
  const long pause = Number("CEDANA_KILL_CRIU_US");
  if (pause != 0) usleep(static_cast<useconds_t>(pause));
  syscall(SYS_kill, getpid(), SIGKILL);
  return result;
}

}  // namespace

extern "C" {

long ptrace(enum __ptrace_request request, ...) noexcept {
  va_list arguments;
  va_start(arguments, request);
  const pid_t pid = va_arg(arguments, pid_t);
  void* address = va_arg(arguments, void*);
  void* data = va_arg(arguments, void*);
  va_end(arguments);
  seized = seized || request == PTRACE_SEIZE;
  return Count(Next<decltype(ptrace)>("ptrace")(request, pid, address, data));
}

pid_t wait4(pid_t pid, int* status, int options, struct rusage* usage) {
  return Count(Next<decltype(wait4)>("wait4")(pid, status, options, usage));
}

ssize_t send(int fd, const void* bytes, size_t size, int flags) {
  return Count(Next<decltype(send)>("send")(fd, bytes, size, flags));
}

ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  return Count(Next<decltype(sendmsg)>("sendmsg")(fd, message, flags));
}

ssize_t recv(int fd, void* bytes, size_t size, int flags) {
  return Count(Next<decltype(recv)>("recv")(fd, bytes, size, flags));
}

}  // extern "C"
