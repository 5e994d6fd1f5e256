// kitchen DIR: a process with a bit of everything that a dump must carry, in eight threads.
//
//   files      one read on at an offset, one appended to, one unlinked while open
//   pipe       30,000 numbered bytes lie in it unread
//   timers     setitimer (SIGALRM) and timer_create (SIGRTMIN), both each 100 ms
//   signals    a handler counts SIGUSR1
//   TCP        an established loopback connection with both ends here, carrying numbered messages
//              all the time; a second one with unread data; a listening socket that accepts
//   threads    main, the two ends, the acceptor, and four counters
//
// Prints `listening PORT`, `ready`, then `ok N` each second, or `BAD ...` when something holds
// other content than it must. On SIGUSR2 it checks everything, also that each thread and timer
// still moves, and prints `usr1 COUNT` and `check ok` or `BAD ...`. Exits with 0 on SIGTERM.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "workload.h"

namespace {

using workload::Mix;
using workload::Say;

constexpr uint64_t kPipeBytes = 30000;
constexpr uint64_t kIdleBytes = 10000;
constexpr uint64_t kUnlinkedWords = 64 << 10;  // 512 KiB
constexpr uint64_t kReadRecords = 1000;

volatile int check_asked = 0;
volatile int end_asked = 0;
volatile int wake_main = 0;
std::atomic<uint64_t> alarms{0};
std::atomic<uint64_t> timer_signals{0};
std::atomic<uint64_t> usr1_signals{0};
std::atomic<bool> bad{false};

void Bad(const std::string& what) {
  bad = true;
  Say("BAD %s", what.c_str());
}

// A number and its image under Mix: one without the other means lost or foreign memory.
class CheckedCounter {
 public:
  void Step() {
    const uint64_t next = number_.load() + 1;
    if (image_.load() != Mix(next - 1)) Bad("a thread's counter");
    image_ = Mix(next);
    number_ = next;
  }
  uint64_t number() const { return number_.load(); }

 private:
  std::atomic<uint64_t> number_{0};
  std::atomic<uint64_t> image_{Mix(0)};
};

enum Thread { kClient, kServer, kAcceptor, kFirstCounter, kThreads = kFirstCounter + 4 };
std::array<CheckedCounter, kThreads> counters;

uint8_t ByteAt(uint64_t offset) {
  return static_cast<uint8_t>(Mix(offset / 8) >> (offset % 8 * 8));
}

[[noreturn]] void Die(const std::string& what) {
  Say("BAD %s: %s", what.c_str(), std::strerror(errno));
  _exit(1);
}

bool ReadAll(int fd, void* out, size_t size) {
  for (size_t done = 0; done < size;) {
    const ssize_t n = read(fd, static_cast<char*>(out) + done, size - done);
    if (n == 0 || (n < 0 && errno != EINTR)) return false;
    if (n > 0) done += static_cast<size_t>(n);
  }
  return true;
}

bool WriteAll(int fd, const void* data, size_t size) {
  for (size_t done = 0; done < size;) {
    const ssize_t n = write(fd, static_cast<const char*>(data) + done, size - done);
    if (n < 0 && errno != EINTR) return false;
    if (n > 0) done += static_cast<size_t>(n);
  }
  return true;
}

// A queue of bytes in the kernel (pipe or socket) that holds a window of one long sequence.
class ByteQueue {
 public:
  void Open(int read_fd, int write_fd, uint64_t size) {
    read_fd_ = read_fd;
    write_fd_ = write_fd;
    size_ = size;
    Write(size);
  }

  // Moves the window on by 100 bytes and checks those that come out.
  void Check(const std::string& name) {
    int unread = 0;
    if (ioctl(read_fd_, FIONREAD, &unread) != 0 || unread != static_cast<int>(size_)) {
      Bad(name + " holds " + std::to_string(unread) + " bytes");
      return;
    }
    std::array<uint8_t, 100> bytes;
    if (!ReadAll(read_fd_, bytes.data(), bytes.size())) Bad(name + " cannot be read");
    for (uint8_t byte : bytes) {
      if (byte != ByteAt(read_++)) {
        Bad(name + " at byte " + std::to_string(read_ - 1));
        break;
      }
    }
    Write(bytes.size());
  }

 private:
  void Write(uint64_t size) {
    std::vector<uint8_t> bytes(size);
    for (uint8_t& byte : bytes) byte = ByteAt(written_++);
    if (!WriteAll(write_fd_, bytes.data(), bytes.size())) Bad("a queue cannot be written");
  }

  int read_fd_ = -1;
  int write_fd_ = -1;
  uint64_t size_ = 0;
  uint64_t read_ = 0;
  uint64_t written_ = 0;
};

// The three open files.
class Files {
 public:
  explicit Files(const std::string& dir) : appended_path_(dir + "/kitchen.appended") {
    const std::string read_path = dir + "/kitchen.read";
    const std::string unlinked_path = dir + "/kitchen.unlinked";
    const int made = open(read_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (uint64_t i = 0; i < kReadRecords; ++i) WriteAll(made, &i, sizeof(i));
    close(made);
    read_fd_ = open(read_path.c_str(), O_RDONLY | O_CLOEXEC);
    unlink(appended_path_.c_str());
    append_fd_ = open(appended_path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    unlinked_fd_ = open(unlinked_path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (uint64_t i = 0; i < kUnlinkedWords; ++i) unlinked_.push_back(Mix(i));
    if (read_fd_ < 0 || append_fd_ < 0 || unlinked_fd_ < 0 ||
        !WriteAll(unlinked_fd_, unlinked_.data(), unlinked_.size() * sizeof(uint64_t)) ||
        unlink(unlinked_path.c_str()) != 0) {
      Die("files in " + dir);
    }
  }

  void Tick(uint64_t tick) {
    uint64_t record = 0;
    if (!ReadAll(read_fd_, &record, sizeof(record)) || record != next_record_) {
      Bad("read file at record " + std::to_string(next_record_));
    }
    if (++next_record_ == kReadRecords) next_record_ = 0;
    if (next_record_ == 0) lseek(read_fd_, 0, SEEK_SET);
    if (!WriteAll(append_fd_, &tick, sizeof(tick))) Bad("appended file cannot be written");
  }

  void Check(uint64_t tick) {
    const int fd = open(appended_path_.c_str(), O_RDONLY | O_CLOEXEC);
    uint64_t last = 0;
    // Written through another descriptor and only appended to: ours is the last record.
    if (lseek(fd, -static_cast<off_t>(sizeof(last)), SEEK_END) < 0 ||
        !ReadAll(fd, &last, sizeof(last)) || last != tick) {
      Bad("appended file ends with " + std::to_string(last));
    }
    close(fd);
    std::vector<uint64_t> words(kUnlinkedWords);
    lseek(unlinked_fd_, 0, SEEK_SET);
    if (!ReadAll(unlinked_fd_, words.data(), words.size() * sizeof(uint64_t)) ||
        words != unlinked_) {
      Bad("unlinked file");
    }
  }

 private:
  std::string appended_path_;
  int read_fd_ = -1;
  int append_fd_ = -1;
  int unlinked_fd_ = -1;
  uint64_t next_record_ = 0;
  std::vector<uint64_t> unlinked_;
};

int Connect(const sockaddr_in& address) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    Die("connect");
  }
  return fd;
}

// Two connected loopback sockets, through the listening one.
std::array<int, 2> ConnectedPair(int listener, const sockaddr_in& address) {
  const int client = Connect(address);
  const int server = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  if (server < 0) Die("accept");
  return {client, server};
}

void RunClient(int fd) {
  for (uint64_t number = 1;; ++number) {
    const uint64_t sent[2] = {number, Mix(number)};
    uint64_t echo[2];
    if (!WriteAll(fd, sent, sizeof(sent)) || !ReadAll(fd, echo, sizeof(echo))) Die("client's TCP");
    if (std::memcmp(sent, echo, sizeof(sent)) != 0) Bad("echo of " + std::to_string(number));
    counters[kClient].Step();
    workload::SleepFor(0.005);
  }
}

void RunServer(int fd) {
  for (uint64_t number = 1;; ++number) {
    uint64_t message[2];
    if (!ReadAll(fd, message, sizeof(message))) Die("server's TCP");
    if (message[0] != number || message[1] != Mix(number)) Bad("message " + std::to_string(number));
    if (!WriteAll(fd, message, sizeof(message))) Die("server's TCP");
    counters[kServer].Step();
  }
}

// Tells each caller how many there were.
void RunAcceptor(int listener) {
  for (;;) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) Die("accept");
    counters[kAcceptor].Step();
    const std::string line = "hello " + std::to_string(counters[kAcceptor].number()) + "\n";
    WriteAll(fd, line.data(), line.size());
    close(fd);
  }
}

void RunCounter(Thread self) {
  for (;;) {
    counters[self].Step();
    workload::SleepFor(0.002 * (self - kFirstCounter + 1));
  }
}

void StartTimers() {
  const itimerval each = {{0, 100000}, {0, 100000}};
  setitimer(ITIMER_REAL, &each, nullptr);
  sigevent event = {};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGRTMIN;
  timer_t timer;
  const itimerspec every = {{0, 100000000}, {0, 100000000}};
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ||
      timer_settime(timer, 0, &every, nullptr) != 0) {
    Die("timer_create");
  }
}

void HandleSignals() {
  struct sigaction action = {};
  action.sa_flags = SA_RESTART;
  action.sa_handler = [](int number) {
    if (number == SIGALRM) ++alarms;
    if (number == SIGRTMIN) ++timer_signals;
    if (number == SIGUSR1) ++usr1_signals;
    if (number == SIGUSR2) check_asked = 1;
    if (number == SIGTERM) end_asked = 1;
    if (number == SIGUSR2 || number == SIGTERM) wake_main = 1;
  };
  for (int number : {SIGALRM, SIGRTMIN, SIGUSR1, SIGUSR2, SIGTERM}) {
    sigaction(number, &action, nullptr);
  }
}

// Waits up to ten seconds until `value` has grown: a machine under load is no lost state.
template <typename Value>
void ExpectProgress(const std::string& name, Value value) {
  const uint64_t before = value();
  for (int slice = 0; slice < 500; ++slice) {
    if (value() > before) return;
    workload::SleepFor(0.02);
  }
  Bad(name + " stands still");
}

void CheckProgress(const sockaddr_in& address) {
  for (int thread = 0; thread < kThreads; ++thread) {
    if (thread == kAcceptor) continue;
    ExpectProgress("thread " + std::to_string(thread), [&] { return counters[thread].number(); });
  }
  ExpectProgress("setitimer", [] { return alarms.load(); });
  ExpectProgress("timer_create", [] { return timer_signals.load(); });

  const uint64_t before = counters[kAcceptor].number();
  const int fd = Connect(address);
  const std::string expected = "hello " + std::to_string(before + 1) + "\n";
  std::string line(expected.size(), 0);
  if (!ReadAll(fd, line.data(), line.size()) || line != expected) Bad("accepted connection");
  close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  HandleSignals();
  Files files(argc > 1 ? argv[1] : ".");

  ByteQueue pipe_queue;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) Die("pipe");
  pipe_queue.Open(ends[0], ends[1], kPipeBytes);

  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t address_size = sizeof(address);
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), address_size) != 0 ||
      listen(listener, 16) != 0 ||
      getsockname(listener, reinterpret_cast<sockaddr*>(&address), &address_size) != 0) {
    Die("listen");
  }
  Say("listening %d", ntohs(address.sin_port));
  const std::array<int, 2> busy = ConnectedPair(listener, address);
  const std::array<int, 2> idle = ConnectedPair(listener, address);
  ByteQueue idle_queue;
  idle_queue.Open(idle[1], idle[0], kIdleBytes);

  // Threads inherit the blocked mask: all signals go to main.
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &old);
  std::thread(RunClient, busy[0]).detach();
  std::thread(RunServer, busy[1]).detach();
  std::thread(RunAcceptor, listener).detach();
  for (int i = kFirstCounter; i < kThreads; ++i) {
    std::thread(RunCounter, static_cast<Thread>(i)).detach();
  }
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  StartTimers();
  Say("ready");

  for (uint64_t tick = 1; end_asked == 0; ++tick) {
    files.Tick(tick);
    if (!bad) Say("ok %llu", static_cast<unsigned long long>(tick));
    workload::SleepFor(1, &wake_main);
    wake_main = 0;
    if (check_asked == 0) continue;
    check_asked = 0;
    files.Check(tick);
    pipe_queue.Check("pipe");
    idle_queue.Check("idle connection");
    CheckProgress(address);
    Say("usr1 %llu", static_cast<unsigned long long>(usr1_signals.load()));
    if (!bad) Say("check ok");
  }
  _exit(0);
}
