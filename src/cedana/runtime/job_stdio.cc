#include "cedana/runtime/job_stdio.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "cedana/runtime/shim_wire.h"
#include "core/base/status.h"

namespace cedana::runtime {
namespace {

constexpr absl::Duration kDrainTimeout = absl::Seconds(1);
constexpr absl::Duration kEndTimeout = absl::Seconds(60);  // for taking the last 1 MiB
constexpr uint32_t kNothing = 0;
constexpr uint32_t kReadable = EPOLLIN;
constexpr uint32_t kWritable = EPOLLOUT;

void MakeNonBlocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

std::string PacketOf(char stream, absl::string_view bytes) {
  std::string packet(1, stream);
  packet.append(bytes.data(), bytes.size());
  return packet;
}

}  // namespace

absl::StatusOr<JobPipes> MakeJobPipes(const bool wanted[3]) {
  JobPipes pipes;
  for (int number = 0; number < 3; ++number) {
    if (!wanted[number]) continue;
    CEDANA_ASSIGN_OR_RETURN(base::Pipe pipe, base::MakePipe());
    base::UniqueFd& ours = number == 0 ? pipe.write : pipe.read;
    MakeNonBlocking(ours.get());
    pipes.ours[number] = std::move(ours);
    pipes.theirs[number] = std::move(number == 0 ? pipe.read : pipe.write);
  }
  return pipes;
}

void ChangeOwner(const JobPipes& pipes, uint32_t uid, uint32_t gid) {
  for (const base::UniqueFd& fd : pipes.ours) {
    if (fd.valid() && ::fchown(fd.get(), uid, gid) != 0) return;  // a convenience only
  }
}

JobStdio::JobStdio(EventLoop& loop, JobPipes pipes, bool hold, absl::Duration stall_timeout)
    : loop_(loop), stall_timeout_(stall_timeout), stdin_(std::move(pipes.ours[0])), hold_(hold) {
  if (stdin_.valid()) loop_.Add(stdin_.get(), 0, [this](uint32_t) { WriteStdin(); });
  for (int number = 1; number <= 2; ++number) {
    Stream& stream = streams_[number];
    stream.fd = std::move(pipes.ours[number]);
    if (!stream.fd.valid()) continue;
    loop_.Add(stream.fd.get(), 0, [this, number](uint32_t) {
      ReadAvailable(number, kAttachPayloadBytesMax);
      UpdateEvents();
    });
  }
  UpdateEvents();
}

JobStdio::~JobStdio() {
  loop_.CancelTimer(drain_timer_);
  loop_.CancelTimer(stall_timer_);
  if (stdin_.valid()) loop_.Remove(stdin_.get());
  for (Stream& stream : streams_) {
    if (stream.fd.valid()) loop_.Remove(stream.fd.get());
  }
  while (!attachers_.empty()) Drop(attachers_.begin()->first);
}

bool JobStdio::Full() const {
  return std::any_of(attachers_.begin(), attachers_.end(),
                     [](const auto& entry) { return entry.second.bytes >= kAttacherBytesMax; });
}

void JobStdio::UpdateEvents() {
  const bool full = Full();
  for (const Stream& stream : streams_) {
    if (stream.fd.valid()) loop_.SetEvents(stream.fd.get(), hold_ || full ? kNothing : kReadable);
  }
  for (const auto& [key, attacher] : attachers_) {
    uint32_t events = stdin_pending_.empty() ? kReadable : kNothing;
    if (!attacher.packets.empty()) events |= kWritable;
    loop_.SetEvents(attacher.fd.get(), events);
  }
  if (stdin_.valid()) loop_.SetEvents(stdin_.get(), stdin_pending_.empty() ? kNothing : kWritable);
  if (full && stall_timer_ == 0) {
    stall_timer_ = loop_.After(stall_timeout_ / 4, [this] { DropStalled(); });
  }
}

void JobStdio::DropStalled() {
  stall_timer_ = 0;
  // A lone slow reader slows only its own job.
  std::vector<int> stalled;
  for (const auto& [key, attacher] : attachers_) {
    if (attacher.bytes >= kAttacherBytesMax &&
        loop_.Now() - attacher.last_progress >= stall_timeout_) {
      stalled.push_back(key);
    }
  }
  for (const int key : stalled) {
    if (attachers_.size() > 1) Drop(key);
  }
  UpdateEvents();
}

void JobStdio::CloseStream(int number) {
  Stream& stream = streams_[number];
  if (!stream.fd.valid()) return;
  loop_.Remove(stream.fd.get());
  stream.fd.Reset();
}

void JobStdio::ReadAvailable(int number, size_t bytes_max) {
  Stream& stream = streams_[number];
  char buffer[kAttachPayloadBytesMax];
  while (stream.fd.valid() && bytes_max > 0) {
    const ssize_t got = ::read(stream.fd.get(), buffer, std::min(sizeof(buffer), bytes_max));
    if (got > 0) {
      Deliver(number, absl::string_view(buffer, static_cast<size_t>(got)));
      bytes_max -= static_cast<size_t>(got);
    } else if (got < 0 && errno == EINTR) {
      continue;
    } else if (got < 0 && errno == EAGAIN) {
      return;
    } else {
      CloseStream(number);
    }
  }
  if (exit_ && !streams_[1].fd.valid() && !streams_[2].fd.valid()) Finish();
}

void JobStdio::Deliver(int number, absl::string_view bytes) {
  if (!attachers_.empty()) {
    const std::string packet = PacketOf(static_cast<char>(number), bytes);
    for (auto& [key, attacher] : attachers_) Queue(&attacher, packet);
    return;
  }
  std::string& ring = streams_[number].ring;
  ring.append(bytes.data(), bytes.size());
  if (ring.size() > kRingBytes) ring.erase(0, ring.size() - kRingBytes);
}

void JobStdio::Attach(base::UniqueFd connection) {
  MakeNonBlocking(connection.get());
  const int key = next_key_++;
  const int fd = connection.get();
  Attacher& attacher = attachers_[key];
  attacher.fd = std::move(connection);
  attacher.last_progress = loop_.Now();
  loop_.Add(fd, 0, [this, key](uint32_t events) { OnAttacher(key, events); });
  for (int number = 1; number <= 2; ++number) {
    std::string ring = std::exchange(streams_[number].ring, std::string());
    for (size_t at = 0; at < ring.size(); at += kAttachPayloadBytesMax) {
      Queue(&attacher, PacketOf(static_cast<char>(number),
                                absl::string_view(ring).substr(at, kAttachPayloadBytesMax)));
    }
  }
  hold_ = false;
  if (finished_) QueueEnd(key);
  UpdateEvents();
}

void JobStdio::Queue(Attacher* attacher, std::string packet) {
  if (attacher->deaf) return;
  if (attacher->packets.empty()) attacher->last_progress = loop_.Now();
  attacher->bytes += packet.size();
  attacher->packets.push_back(std::move(packet));
}

void JobStdio::QueueEnd(int key) {
  const std::vector<uint8_t> body = base::Json::to_cbor(ToJson(*exit_));
  Queue(&attachers_[key],
        PacketOf(kAttachEnd,
                 absl::string_view(reinterpret_cast<const char*>(body.data()), body.size())));
  // The other side closes: if we did, with stdin of it unread, it would lose what it has not read.
  attachers_[key].end_timer = loop_.After(kEndTimeout, [this, key] { Drop(key); });
}

void JobStdio::OnAttacher(int key, uint32_t events) {
  Attacher& attacher = attachers_[key];
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) Flush(&attacher);
  if ((events & (EPOLLIN | EPOLLHUP)) != 0 && stdin_pending_.empty() &&
      !ReadStdin(attacher.fd.get())) {
    Drop(key);
  }
  UpdateEvents();
}

void JobStdio::Flush(Attacher* attacher) {
  while (!attacher->packets.empty()) {
    const std::string& packet = attacher->packets.front();
    if (::send(attacher->fd.get(), packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return;
      attacher->deaf = true;
      attacher->packets.clear();
      attacher->bytes = 0;
      return;
    }
    attacher->bytes -= packet.size();
    attacher->last_progress = loop_.Now();
    attacher->packets.pop_front();
  }
}

// One packet of an attached one; false: it has gone.
bool JobStdio::ReadStdin(int fd) {
  char packet[kPacketBytesMax];
  const ssize_t got = ::recv(fd, packet, sizeof(packet), MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == 0) return false;
  if (packet[0] != kAttachStdin || !stdin_.valid()) return true;
  if (got == 1) {
    stdin_closing_ = true;
  } else {
    stdin_pending_.assign(packet + 1, static_cast<size_t>(got) - 1);
  }
  WriteStdin();
  return true;
}

void JobStdio::WriteStdin() {
  while (!stdin_pending_.empty()) {
    const ssize_t wrote = ::write(stdin_.get(), stdin_pending_.data(), stdin_pending_.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0 && errno == EAGAIN) break;
    if (wrote < 0) {
      // The job does not read any more: what comes is thrown away.
      stdin_pending_.clear();
      stdin_closing_ = true;
      break;
    }
    stdin_pending_.erase(0, static_cast<size_t>(wrote));
  }
  if (stdin_closing_ && stdin_pending_.empty() && stdin_.valid()) {
    loop_.Remove(stdin_.get());
    stdin_.Reset();
  }
  UpdateEvents();
}

void JobStdio::Drop(int key) {
  const auto it = attachers_.find(key);
  if (it == attachers_.end()) return;
  loop_.CancelTimer(it->second.end_timer);
  loop_.Remove(it->second.fd.get());
  attachers_.erase(it);
}

void JobStdio::JobEnded(const ExitStatus& exit) {
  if (exit_) return;
  exit_ = exit;
  stdin_pending_.clear();
  stdin_closing_ = true;
  WriteStdin();
  drain_timer_ = loop_.After(kDrainTimeout, [this] {
    drain_timer_ = 0;
    Finish();
  });
  // What is held is taken out of the pipes, for the first who attaches.
  const size_t now = hold_ ? kRingBytes : 0;
  ReadAvailable(1, now);
  ReadAvailable(2, now);
}

void JobStdio::Finish() {
  if (finished_) return;
  finished_ = true;
  loop_.CancelTimer(drain_timer_);
  for (int number = 1; number <= 2; ++number) {
    // Whatever is in the pipe by now, whoever is slow.
    ReadAvailable(number, kRingBytes);
    CloseStream(number);
  }
  for (auto& [key, attacher] : attachers_) QueueEnd(key);
  UpdateEvents();
}

}  // namespace cedana::runtime
