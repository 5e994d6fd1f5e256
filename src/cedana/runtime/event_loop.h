// The shim's event loop: descriptors, and timers on the monotonic clock. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/fd.h"

namespace cedana::runtime {

class EventLoop {
 public:
  using OnReady = std::function<void(uint32_t events)>;  // EPOLLIN, EPOLLOUT, EPOLLHUP…

  static absl::StatusOr<std::unique_ptr<EventLoop>> Create(base::Clock& clock);

  // Errors and hang-ups are reported with any `events` but 0, which reports nothing at all. The
  // handler may remove itself.
  void Add(int fd, uint32_t events, OnReady handler);
  void SetEvents(int fd, uint32_t events);
  // Before the descriptor is closed; unknown ones are ignored.
  void Remove(int fd);

  // Runs `callback` once; 0 is never a handle.
  int After(absl::Duration delay, std::function<void()> callback);
  void CancelTimer(int handle);

  // Handles one event, or the timers that are due; waits for one.
  absl::Status RunOnce();
  absl::Duration Now() { return clock_.Monotonic(); }

 private:
  EventLoop(base::Clock& clock, base::UniqueFd epoll) : clock_(clock), epoll_(std::move(epoll)) {}
  void RunTimers();
  int WaitMs();

  struct Timer {
    absl::Duration due;
    std::function<void()> callback;
  };
  base::Clock& clock_;
  base::UniqueFd epoll_;
  struct Handler {
    std::shared_ptr<OnReady> on_ready;
    uint32_t events = 0;
  };
  std::map<int, Handler> handlers_;
  std::map<int, Timer> timers_;
  int next_timer_ = 1;
};

}  // namespace cedana::runtime
