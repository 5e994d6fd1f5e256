// talker PORT [wait]: a client of an echo server on 127.0.0.1, with 16 MiB of memory so that a dump
// of it can be stopped in the middle of its pages. Sends a numbered message every 2 ms, or, with
// `wait`, at each SIGUSR2, and checks the echo. Prints `ok N`, twice a second or for each message;
// `BAD …` at the first error, and exits.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

namespace {

constexpr size_t kMemoryBytes = 16 << 20;

void Say(const char* what, long long number) {
  char line[128];
  const int size = snprintf(line, sizeof(line), "%s %lld\n", what, number);
  if (write(1, line, static_cast<size_t>(size)) != size) _exit(3);
}

bool Exchange(int fd, uint64_t number) {
  uint64_t echo = 0;
  if (send(fd, &number, sizeof(number), MSG_NOSIGNAL) != sizeof(number)) return false;
  for (size_t done = 0; done < sizeof(echo);) {
    const ssize_t got = recv(fd, reinterpret_cast<char*>(&echo) + done, sizeof(echo) - done, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    done += static_cast<size_t>(got);
  }
  return echo == number;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const bool wait = argc > 2;
  // Blocked, and taken by sigwaitinfo: none is lost between two waits.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR2);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  char* memory = static_cast<char*>(malloc(kMemoryBytes));
  for (size_t i = 0; i < kMemoryBytes; ++i) memory[i] = static_cast<char>(i * 2654435761u >> 9);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(atoi(argv[1])));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    Say("BAD connect", errno);
    return 1;
  }
  for (uint64_t number = 1;; ++number) {
    if (!Exchange(fd, number)) {
      Say("BAD exchange", errno);
      return 1;
    }
    if (wait || number % 200 == 0) Say("ok", static_cast<long long>(number));
    const timespec pause{0, 2000000};
    if (!wait) {
      nanosleep(&pause, nullptr);
    } else {
      while (sigwaitinfo(&signals, nullptr) < 0) {
      }
    }
  }
}
