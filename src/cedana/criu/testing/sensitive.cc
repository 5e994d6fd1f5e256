// sensitive: two processes of four threads each that notice when anything of theirs was touched. At
// SIGUSR1 each prints `verify ok PID`, or `BAD` and what is not as it was.
//
//   a thread computes with floating point numbers and compares
//   a thread reads from a pipe, which may not be interrupted
//   a thread sleeps (CRIU interrupts that itself, by what it runs in a thread, in every dump)
//   the main thread looks at all of them, at its signal mask, its descriptors and its mappings
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <thread>

namespace {

std::atomic<uint64_t> reckoned{0};
std::atomic<uint64_t> read_bytes{0};
std::atomic<uint64_t> slept{0};
std::atomic<const char*> bad{nullptr};
std::atomic<int> bad_error{0};

void Bad(const char* what) {
  bad_error = errno;
  bad = what;
}

double Reckon() {
  double sum = 0;
  for (int i = 1; i < 20000; ++i) sum += 1.0 / (static_cast<double>(i) * i);
  return sum;
}

void ReckonForEver() {
  const double right = Reckon();
  while (true) {
    if (Reckon() != right) Bad("a sum");
    ++reckoned;
    usleep(200);
  }
}

void ReadForEver(int fd) {
  while (true) {
    char byte;
    errno = 0;
    if (read(fd, &byte, 1) != 1) Bad("read");
    ++read_bytes;
  }
}

void SleepForEver() {
  while (true) {
    timespec pause = {0, 20'000'000};
    const int error = clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, nullptr);
    if (error != 0 && error != EINTR) Bad("sleep");
    ++slept;
  }
}

// What each of them is, but for the memory of CRIU's program, which stays behind.
std::string Descriptors() {
  std::string all;
  std::error_code gone;  // the one by which the folder is read
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const auto target = std::filesystem::read_symlink(entry.path(), gone).string();
    const bool reader = target.find("/fd") != std::string::npos;
    if (!reader && target.find("CRIUMFD") == std::string::npos) all += target + ", ";
  }
  return all;
}

bool MaskIs(const sigset_t& mask) {
  sigset_t now;
  pthread_sigmask(SIG_BLOCK, nullptr, &now);
  for (int signal = 1; signal < NSIG; ++signal) {
    if (sigismember(&now, signal) != sigismember(&mask, signal)) return false;
  }
  return true;
}

template <typename Counter>
bool Grows(const Counter& counter) {
  const uint64_t before = counter;
  for (int i = 0; i < 500; ++i) {
    if (counter > before) return true;
    usleep(10'000);
  }
  return false;
}

}  // namespace

int main() {
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGUSR1);
  sigaddset(&mask, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &mask, nullptr);
  if (fork() < 0) return 1;
  int ends[2];
  if (pipe(ends) != 0) return 1;
  std::thread(ReckonForEver).detach();
  std::thread(ReadForEver, ends[0]).detach();
  std::thread(SleepForEver).detach();
  const std::string descriptors = Descriptors();
  printf("ready %d\n", getpid());
  fflush(stdout);
  while (true) {
    sigset_t wanted;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGUSR1);
    if (sigwaitinfo(&wanted, nullptr) != SIGUSR1) continue;  // interrupted by whoever stopped us
    errno = 0;
    const uint64_t was_read = read_bytes;
    if (write(ends[1], "x", 1) != 1) return 1;
    for (int i = 0; i < 500 && read_bytes == was_read; ++i) usleep(10'000);
    if (read_bytes != was_read + 1) Bad("the read has ended");
    if (!Grows(reckoned)) Bad("the sums have ended");
    if (!Grows(slept)) Bad("the sleep has ended");
    if (!MaskIs(mask)) Bad("the signal mask");
    const std::string now = Descriptors();
    if (now != descriptors) Bad(now.c_str());
    if (bad != nullptr) {
      printf("BAD %d %s: %s\n", getpid(), bad.load(), strerror(bad_error));
    } else {
      printf("verify ok %d\n", getpid());
    }
    fflush(stdout);
  }
}
