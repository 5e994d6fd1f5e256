// exit42 [FILE]: prints `waiting N` each second and exits with code 42 as soon as FILE exists or
// SIGUSR1 arrives.

#include <signal.h>
#include <unistd.h>

#include "workload.h"

namespace {
volatile int asked_to_exit = 0;
}

int main(int argc, char** argv) {
  struct sigaction action = {};
  action.sa_handler = [](int) { asked_to_exit = 1; };
  sigaction(SIGUSR1, &action, nullptr);
  for (int slice = 0; asked_to_exit == 0; ++slice) {
    if (argc > 1 && access(argv[1], F_OK) == 0) break;
    if (slice % 20 == 0) workload::Say("waiting %d", slice / 20 + 1);
    workload::SleepFor(0.05, &asked_to_exit);
  }
  workload::Say("exiting with 42");
  return 42;
}
