// A tree of two processes whose image files of every kind are larger than a pipe: queues, a deleted
// file, shared memory, memory shared by copy-on-write. Prints `ready`, then `tick`; at SIGUSR1 both
// processes check all of it: `verify ok` or `verify BAD <what>`.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

constexpr size_t kMiB = 1 << 20;
constexpr size_t kPrivateBytes = 32 * kMiB;
constexpr size_t kSharedBytes = 8 * kMiB;
volatile sig_atomic_t asked = 0;

void Say(const char* text) {
  char line[128];
  const int size = snprintf(line, sizeof(line), "%s\n", text);
  if (write(1, line, static_cast<size_t>(size)) != size) _exit(3);
}

unsigned char ByteAt(size_t i, unsigned seed) {
  return static_cast<unsigned char>((i * 2654435761u + seed + i / 4096) >> 8);
}

void Fill(unsigned char* bytes, size_t size, unsigned seed) {
  for (size_t i = 0; i < size; ++i) bytes[i] = ByteAt(i, seed);
}

bool Same(const unsigned char* bytes, size_t size, unsigned seed) {
  for (size_t i = 0; i < size; ++i) {
    if (bytes[i] != ByteAt(i, seed)) return false;
  }
  return true;
}

unsigned char* Map(size_t size, int flags, int fd) {
  void* address = mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, fd, 0);
  if (address == MAP_FAILED) abort();
  return static_cast<unsigned char*>(address);
}

// Reads `size` bytes and puts them back.
bool QueueHolds(int from, int to, size_t size, unsigned seed) {
  unsigned char* bytes = static_cast<unsigned char*>(malloc(size));
  size_t done = 0;
  while (done < size) {
    const ssize_t got = read(from, bytes + done, size - done);
    if (got <= 0) break;
    done += static_cast<size_t>(got);
  }
  const bool same = done == size && Same(bytes, size, seed);
  for (size_t put = 0; put < size;) put += static_cast<size_t>(write(to, bytes + put, size - put));
  free(bytes);
  return same;
}

size_t FillQueue(int fd, unsigned seed) {
  fcntl(fd, F_SETFL, O_NONBLOCK);
  size_t size = 0;
  while (true) {
    unsigned char chunk[4096];
    for (size_t i = 0; i < sizeof(chunk); ++i) chunk[i] = ByteAt(size + i, seed);
    const ssize_t wrote = write(fd, chunk, sizeof(chunk));
    if (wrote <= 0) break;
    size += static_cast<size_t>(wrote);
  }
  fcntl(fd, F_SETFL, 0);
  return size;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  struct sigaction action = {};
  action.sa_handler = [](int) { asked = 1; };
  sigaction(SIGUSR1, &action, nullptr);

  int pipe_fds[2];
  int socket_fds[2];
  if (pipe(pipe_fds) != 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, socket_fds) != 0) return 2;
  fcntl(pipe_fds[1], F_SETPIPE_SZ, 1 << 20);
  const size_t pipe_bytes = FillQueue(pipe_fds[1], 1);
  const size_t socket_bytes = FillQueue(socket_fds[0], 2);

  const int ghost = open(argv[1], O_RDWR | O_CREAT | O_EXCL, 0600);
  if (ghost < 0 || unlink(argv[1]) != 0 || ftruncate(ghost, kSharedBytes) != 0) return 2;
  unsigned char* file = Map(kSharedBytes, MAP_SHARED, ghost);
  const int memfd = memfd_create("large", 0);
  if (memfd < 0 || ftruncate(memfd, kSharedBytes) != 0) return 2;
  unsigned char* in_memfd = Map(kSharedBytes, MAP_SHARED, memfd);
  unsigned char* shared = Map(kSharedBytes, MAP_SHARED | MAP_ANONYMOUS, -1);
  unsigned char* own = Map(kPrivateBytes, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  Fill(file, kSharedBytes, 3);
  Fill(in_memfd, kSharedBytes, 4);
  Fill(shared, kSharedBytes, 5);
  Fill(own, kPrivateBytes, 6);

  const pid_t child = fork();
  // The child has every second MiB of its own, the rest is its parent's.
  for (size_t at = kMiB; child == 0 && at < kPrivateBytes; at += 2 * kMiB) Fill(own + at, kMiB, 7);
  if (child != 0) Say("ready");
  while (true) {
    if (asked == 0) {
      usleep(200000);
      if (child != 0) Say("tick");
      continue;
    }
    asked = 0;
    bool good = Same(file, kSharedBytes, 3) && Same(in_memfd, kSharedBytes, 4) &&
                Same(shared, kSharedBytes, 5);
    if (child == 0) {
      for (size_t at = 0; at < kPrivateBytes; at += kMiB) {
        const bool changed = (at / kMiB) % 2 != 0;
        for (size_t i = 0; i < kMiB; ++i) {
          good = good && own[at + i] == (changed ? ByteAt(i, 7) : ByteAt(at + i, 6));
        }
      }
      Say(good ? "child ok" : "verify BAD in the child");
      continue;
    }
    if (!good) Say("verify BAD shared memory");
    if (!Same(own, kPrivateBytes, 6)) Say("verify BAD private memory");
    if (!QueueHolds(pipe_fds[0], pipe_fds[1], pipe_bytes, 1)) Say("verify BAD pipe");
    if (!QueueHolds(socket_fds[1], socket_fds[0], socket_bytes, 2)) Say("verify BAD socket");
    kill(child, SIGUSR1);
    Say("verify done");
  }
}
