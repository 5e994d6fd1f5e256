// CRIU's action script. CRIU runs it about ten times per operation, most of them while the process
// is frozen, so it is static, small and knows nothing but a socket and an answer.
//
//   environment   CRTOOLS_SCRIPT_ACTION, CRTOOLS_INIT_PID (from CRIU), CEDANA_HOOK_SOCKET (from us)
//   sends         "<action> <init pid>\n", the pid 0 when CRIU does not say it
//   receives      'b' wait on, 'y' yes, 'n' no
//
// Exit 0 is yes. No answer is a no: a daemon that died closes the socket, one that hangs sends no
// beat for 15 s; both must let the process run on.
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace {

constexpr int kSilenceMaxMs = 15000;

bool IsAsked(const char* action) {
  return strcmp(action, "post-dump") == 0 || strcmp(action, "post-restore") == 0 ||
         strcmp(action, "pre-resume") == 0;
}

int Connect(const char* path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (strlen(path) >= sizeof(address.sun_path)) return -1;
  strcpy(address.sun_path, path);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  // Bounds the wait for room in the backlog of a daemon that hangs, too.
  const timeval limit{kSilenceMaxMs / 1000, 0};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  return connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 ? fd : -1;
}

}  // namespace

int main() {
  const char* action = getenv("CRTOOLS_SCRIPT_ACTION");
  if (action == nullptr) return 1;
  if (!IsAsked(action)) return 0;
  const char* path = getenv("CEDANA_HOOK_SOCKET");
  const char* pid = getenv("CRTOOLS_INIT_PID");
  const int fd = path != nullptr ? Connect(path) : -1;
  if (fd < 0) return 1;
  char line[64];
  const int size = snprintf(line, sizeof(line), "%s %d\n", action, pid != nullptr ? atoi(pid) : 0);
  if (send(fd, line, static_cast<size_t>(size), MSG_NOSIGNAL) != size) return 1;
  while (true) {
    pollfd polled{fd, POLLIN, 0};
    if (poll(&polled, 1, kSilenceMaxMs) <= 0) return 1;
    char byte;
    if (recv(fd, &byte, 1, 0) != 1 || byte == 'n') return 1;
    if (byte == 'y') return 0;
  }
}
