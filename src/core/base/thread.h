// The one home of threads. A Thread is named (visible in /proc/PID/task/*/comm) and joins when it
// is destroyed, so none outlives what it works on.
#pragma once

#include <functional>
#include <string>
#include <thread>

namespace cedana::base {

class Thread {
 public:
  Thread() = default;
  // `name`: at most 15 characters are shown. All signals are blocked in the new thread.
  Thread(std::string name, std::function<void()> body);
  Thread(Thread&&) = default;
  Thread& operator=(Thread&& other) noexcept;
  ~Thread() { Join(); }

  void Join();
  bool joinable() const { return thread_.joinable(); }

 private:
  std::thread thread_;
};

}  // namespace cedana::base
