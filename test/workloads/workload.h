#pragma once

// What the workload programs share: output that survives a dump at any moment, sleeping that
// survives signals and another host's clock, and a fast generator of checkable content.

#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

namespace workload {

// Prints one line with one write: no buffer holds half of it when the process is frozen.
[[gnu::format(printf, 1, 2)]] inline void Say(const char* format, ...) {
  char line[512];
  va_list args;
  va_start(args, format);
  int length = std::vsnprintf(line, sizeof(line) - 1, format, args);
  va_end(args);
  if (length < 0) return;
  size_t size = static_cast<size_t>(length);
  if (size > sizeof(line) - 2) size = sizeof(line) - 2;
  line[size++] = '\n';
  for (size_t done = 0; done < size;) {
    ssize_t n = ::write(STDOUT_FILENO, line + done, size - done);
    if (n < 0 && errno != EINTR) std::exit(3);  // Nobody can read the verdict any more.
    if (n > 0) done += static_cast<size_t>(n);
  }
}

// Sleeps in relative time (an absolute deadline would mean nothing on another host) until
// `seconds` are over or, if given, `*wake` is set by a signal handler.
inline void SleepFor(double seconds, const volatile int* wake = nullptr) {
  timespec left;
  left.tv_sec = static_cast<time_t>(seconds);
  left.tv_nsec = static_cast<long>((seconds - static_cast<double>(left.tv_sec)) * 1e9);
  while (!(wake != nullptr && *wake != 0) && nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}

// Spreads a number over 64 bits (the finaliser of splitmix64); seeds generators, checks counters.
inline uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace workload
