#include "cedana/runtime/event_loop.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>

#include "core/base/status.h"

namespace cedana::runtime {

absl::StatusOr<std::unique_ptr<EventLoop>> EventLoop::Create(base::Clock& clock) {
  base::UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return base::ErrnoStatus(errno, "epoll_create1");
  return std::unique_ptr<EventLoop>(new EventLoop(clock, std::move(epoll)));
}

void EventLoop::Add(int fd, uint32_t events, OnReady handler) {
  handlers_[fd] = Handler{std::make_shared<OnReady>(std::move(handler)), 0};
  SetEvents(fd, events);
}

void EventLoop::SetEvents(int fd, uint32_t events) {
  const auto it = handlers_.find(fd);
  if (it == handlers_.end() || it->second.events == events) return;
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  const int operation = events == 0              ? EPOLL_CTL_DEL
                        : it->second.events == 0 ? EPOLL_CTL_ADD
                                                 : EPOLL_CTL_MOD;
  ::epoll_ctl(epoll_.get(), operation, fd, &event);
  it->second.events = events;
}

void EventLoop::Remove(int fd) {
  SetEvents(fd, 0);
  handlers_.erase(fd);
}

int EventLoop::After(absl::Duration delay, std::function<void()> callback) {
  const int handle = next_timer_++;
  timers_[handle] = Timer{Now() + delay, std::move(callback)};
  return handle;
}

void EventLoop::CancelTimer(int handle) { timers_.erase(handle); }

int EventLoop::WaitMs() {
  if (timers_.empty()) return -1;
  absl::Duration first = absl::InfiniteDuration();
  for (const auto& [handle, timer] : timers_) first = std::min(first, timer.due);
  const absl::Duration wait = first - Now();
  return static_cast<int>(absl::ToInt64Milliseconds(
      absl::Ceil(std::clamp(wait, absl::ZeroDuration(), absl::Minutes(1)), absl::Milliseconds(1))));
}

void EventLoop::RunTimers() {
  const absl::Duration now = Now();
  for (auto it = timers_.begin(); it != timers_.end();) {
    if (it->second.due > now) {
      ++it;
      continue;
    }
    const int handle = it->first;
    const std::function<void()> callback = std::move(it->second.callback);
    timers_.erase(it);
    callback();
    // The callback may have added or cancelled timers.
    it = timers_.upper_bound(handle);
  }
}

absl::Status EventLoop::RunOnce() {
  // One event at a time: a handler may close descriptors that later events would name.
  epoll_event event{};
  const int count = ::epoll_wait(epoll_.get(), &event, 1, WaitMs());
  if (count < 0 && errno != EINTR) return base::ErrnoStatus(errno, "epoll_wait");
  if (count == 1) {
    if (const auto it = handlers_.find(event.data.fd); it != handlers_.end()) {
      const std::shared_ptr<OnReady> handler = it->second.on_ready;
      (*handler)(event.events);
    }
  }
  RunTimers();
  return absl::OkStatus();
}

}  // namespace cedana::runtime
