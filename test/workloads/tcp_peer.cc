// tcp_peer server PORT     listens on 127.0.0.1 (0: any port) and prints `listening PORT`
// tcp_peer client PORT     connects to it
// tcp_peer heir PORT       the same, but a child has inherited the connection and does the talking,
//                          so that one process has it that is dumped before the one that uses it
//
// Two processes, each outside the other's tree, with a connection that must survive the dump of
// either. The client sends numbered messages; the server checks number and content and echoes;
// the client checks the echo. Both print `ok N` each second while messages flow (N = messages so
// far on all connections), `waiting N` when none came, and `BAD ...` at the first wrong byte or
// lost connection; the client then exits with 1, the server serves others on.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "workload.h"

namespace {

struct Message {
  uint64_t words[16];
};

std::atomic<uint64_t> messages{0};

Message Make(uint64_t number) {
  Message message;
  message.words[0] = number;
  for (int i = 1; i < 16; ++i) message.words[i] = workload::Mix(number * 16 + i);
  return message;
}

// All of it or false; a connection closed between two messages sets errno to 0.
bool ReceiveAll(int fd, Message* message) {
  char* bytes = reinterpret_cast<char*>(message);
  for (size_t done = 0; done < sizeof(*message);) {
    const ssize_t n = recv(fd, bytes + done, sizeof(*message) - done, 0);
    if (n == 0) errno = done == 0 ? 0 : EPIPE;
    if (n == 0 || (n < 0 && errno != EINTR)) return false;
    if (n > 0) done += static_cast<size_t>(n);
  }
  return true;
}

bool SendAll(int fd, const Message& message) {
  const char* bytes = reinterpret_cast<const char*>(&message);
  for (size_t done = 0; done < sizeof(message);) {
    const ssize_t n = send(fd, bytes + done, sizeof(message) - done, MSG_NOSIGNAL);
    if (n < 0 && errno != EINTR) return false;
    if (n > 0) done += static_cast<size_t>(n);
  }
  return true;
}

bool Expect(const Message& message, uint64_t number) {
  const Message expected = Make(number);
  if (std::memcmp(&message, &expected, sizeof(message)) == 0) return true;
  workload::Say("BAD message: expected number %llu, got %llu",
                static_cast<unsigned long long>(number),
                static_cast<unsigned long long>(message.words[0]));
  return false;
}

void Serve(int fd) {
  for (uint64_t number = 1;; ++number) {
    Message message;
    if (!ReceiveAll(fd, &message)) {
      if (errno == 0)
        workload::Say("closed after %llu", static_cast<unsigned long long>(number - 1));
      if (errno != 0) workload::Say("BAD receive: %s", std::strerror(errno));
      break;
    }
    if (!Expect(message, number)) break;
    if (!SendAll(fd, message)) {
      workload::Say("BAD send: %s", std::strerror(errno));
      break;
    }
    messages.fetch_add(1);
  }
  close(fd);
}

void Report() {
  for (uint64_t before = 0;;) {
    workload::SleepFor(1);
    const uint64_t now = messages.load();
    workload::Say("%s %llu", now == before ? "waiting" : "ok",
                  static_cast<unsigned long long>(now));
    before = now;
  }
}

void StartReporting() { std::thread(Report).detach(); }

int RunServer(int fd, sockaddr_in address) {
  StartReporting();
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  socklen_t size = sizeof(address);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(fd, 16) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    workload::Say("BAD listen: %s", std::strerror(errno));
    return 1;
  }
  workload::Say("listening %d", ntohs(address.sin_port));
  for (;;) {
    const int connection = accept(fd, nullptr, nullptr);
    if (connection >= 0) std::thread(Serve, connection).detach();
  }
}

// Sends a message each 2 ms and keeps one in flight, so that a dump finds data on its way.
int RunClient(int fd, const sockaddr_in& address, bool heir) {
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    workload::Say("BAD connect: %s", std::strerror(errno));
    return 1;
  }
  workload::Say("connected");
  if (const pid_t child = heir ? fork() : 0; child != 0) {
    int status = 1 << 8;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WEXITSTATUS(status);
  }
  StartReporting();
  bool good = SendAll(fd, Make(1));
  for (uint64_t number = 1; good; ++number) {
    Message echo;
    good = SendAll(fd, Make(number + 1)) && ReceiveAll(fd, &echo);
    if (!good) break;
    if (!Expect(echo, number)) return 1;
    messages.fetch_add(1);
    workload::SleepFor(0.002);
  }
  workload::Say("BAD connection lost: %s",
                errno == 0 ? "closed by the peer" : std::strerror(errno));
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc == 3 ? argv[1] : "";
  if (mode != "server" && mode != "client" && mode != "heir") {
    workload::Say("usage: tcp_peer server|client|heir PORT");
    return 2;
  }
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(std::atoi(argv[2])));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  // A detached reporter must not outlive main's statics: leave without running destructors.
  _exit(mode == "server" ? RunServer(fd, address) : RunClient(fd, address, mode == "heir"));
}
