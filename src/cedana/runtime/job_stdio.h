// The pipes of an attachable job, and those attached to it. Everybody attached gets all output;
// what they send is merged into one stdin. With nobody attached the last 64 KiB of each stream are
// kept for the next one.
//
// Slow readers: up to 1 MiB waits for each of those attached. While one of them is at that bound
// nothing is read from the job (as if the job wrote to that reader's own pipe); one that then takes
// nothing for `stall_timeout` while others are attached is dropped. One thread, that of the loop.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "cedana/runtime/event_loop.h"
#include "cedana/runtime/shim_client.h"
#include "core/base/fd.h"

namespace cedana::runtime {

inline constexpr size_t kRingBytes = 64 << 10;
inline constexpr size_t kAttacherBytesMax = 1 << 20;

// Both ends of a job's three pipes; index 0 stdin, 1 stdout, 2 stderr.
struct JobPipes {
  std::array<base::UniqueFd, 3> ours;
  std::array<base::UniqueFd, 3> theirs;
};
// `wanted`: which of the three to make.
absl::StatusOr<JobPipes> MakeJobPipes(const bool wanted[3]);
// So that the job's user may open /dev/stdout.
void ChangeOwner(const JobPipes& pipes, uint32_t uid, uint32_t gid);

class JobStdio {
 public:
  // Takes our ends. With `hold` nothing is read before the first attach.
  JobStdio(EventLoop& loop, JobPipes pipes, bool hold, absl::Duration stall_timeout);
  ~JobStdio();
  JobStdio(const JobStdio&) = delete;

  void Attach(base::UniqueFd connection);
  // The job has ended: its output is read to its end (for at most 1 s, since grandchildren may
  // keep the pipes open), then everybody attached is told and let go.
  void JobEnded(const ExitStatus& exit);
  bool attached() const { return !attachers_.empty(); }
  // Ended, and nobody has been attached who could have seen the held output.
  bool unseen() const { return hold_; }

 private:
  struct Stream {
    base::UniqueFd fd;
    std::string ring;
  };
  struct Attacher {
    base::UniqueFd fd;
    std::deque<std::string> packets;
    size_t bytes = 0;
    absl::Duration last_progress;
    int end_timer = 0;
    bool deaf = false;  // takes nothing any more, but what it sent is still to be read
  };

  bool Full() const;
  void UpdateEvents();
  void ReadAvailable(int number, size_t bytes_max);
  void Deliver(int number, absl::string_view bytes);
  void Queue(Attacher* attacher, std::string packet);
  void QueueEnd(int key);
  void Flush(Attacher* attacher);
  void OnAttacher(int key, uint32_t events);
  bool ReadStdin(int fd);
  void WriteStdin();
  void Drop(int key);
  void DropStalled();
  void Finish();
  void CloseStream(int number);

  EventLoop& loop_;
  const absl::Duration stall_timeout_;
  base::UniqueFd stdin_;
  std::string stdin_pending_;
  bool stdin_closing_ = false;
  Stream streams_[3];  // 1 and 2 are used
  bool hold_;
  std::map<int, Attacher> attachers_;  // by a number of our own
  int next_key_ = 1;
  std::optional<ExitStatus> exit_;
  bool finished_ = false;  // the end was told
  int drain_timer_ = 0;
  int stall_timer_ = 0;
};

}  // namespace cedana::runtime
