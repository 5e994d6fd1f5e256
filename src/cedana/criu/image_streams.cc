#include <poll.h>
#include <sys/socket.h>

#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cedana/criu/image_streams_internal.h"
#include "cedana/criu/unix_socket_internal.h"
#include "core/base/limits.h"
#include "core/base/status.h"

namespace cedana::criu {

absl::StatusOr<std::unique_ptr<ImageStreams>> ImageStreams::Listen(const std::string& socket_path,
                                                                   Role role) {
  CEDANA_ASSIGN_OR_RETURN(base::UniqueFd wake, MakeEvent());
  CEDANA_ASSIGN_OR_RETURN(base::UniqueFd poke, MakeEvent());
  CEDANA_ASSIGN_OR_RETURN(base::UniqueFd listener, ListenUnix(socket_path));
  std::unique_ptr<ImageStreams> streams(
      new ImageStreams(std::move(role), std::move(listener), std::move(wake), std::move(poke)));
  streams->control_ = base::Thread("img-control", [self = streams.get()] { self->Run(); });
  return streams;
}

ImageStreams::ImageStreams(Role role, base::UniqueFd listener, base::UniqueFd wake,
                           base::UniqueFd poke)
    : role_(std::move(role)),
      listener_(std::move(listener)),
      wake_(std::move(wake)),
      poke_(std::move(poke)) {}

ImageStreams::~ImageStreams() {
  Close(absl::CancelledError("closed"));
  control_.Join();
  std::list<std::unique_ptr<Slot>> slots;
  {
    absl::MutexLock lock(&mutex_);
    slots.swap(slots_);
  }
}

uint64_t ImageStreams::files() const {
  absl::MutexLock lock(&mutex_);
  return files_;
}

bool ImageStreams::Full() const {
  absl::MutexLock lock(&mutex_);
  return active_ >= kImageStreamsMax;
}

void ImageStreams::Run() {
  while (true) {
    std::vector<pollfd> polled = {{wake_.get(), POLLIN, 0}, {poke_.get(), POLLIN, 0}};
    // A full house takes no further requests; the end of a file pokes us.
    if (!Full()) {
      if (connections_.size() < kImageConnectionsMax) {
        polled.push_back({listener_.get(), POLLIN, 0});
      }
      for (const ImageConnection& connection : connections_) {
        polled.push_back({connection.fd(), POLLIN, 0});
      }
    }
    ::poll(polled.data(), polled.size(), -1);
    {
      absl::MutexLock lock(&mutex_);
      busy_ = true;
      if (closed_) break;
    }
    if (polled[1].revents != 0) Drain(poke_.get());
    TakeDone();  // joins their threads, here, outside the lock
    Accept();
    for (auto it = connections_.begin(); it != connections_.end();) {
      it = Serve(*it) ? std::next(it) : connections_.erase(it);
    }
    absl::MutexLock lock(&mutex_);
    busy_ = false;
    changed_.SignalAll();
  }
  connections_.clear();
  listener_.Reset();
  absl::MutexLock lock(&mutex_);
  changed_.SignalAll();
}

void ImageStreams::Accept() {
  while (connections_.size() < kImageConnectionsMax) {
    base::UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket.valid()) return;
    connections_.emplace_back(std::move(socket), role_.restore);
  }
}

bool ImageStreams::Serve(ImageConnection& connection) {
  while (!Full()) {
    absl::StatusOr<ImageConnection::Event> event = connection.Progress();
    absl::Status status = event.status();
    if (status.ok()) {
      switch (*event) {
        case ImageConnection::Event::kNothing:
          return true;
        case ImageConnection::Event::kHungUp:
          return false;
        case ImageConnection::Event::kRequest:
          status = connection.Answer(role_.exists(connection.name()));
          break;
        case ImageConnection::Event::kPipe:
          if (!Open(connection.name(), connection.TakePipe())) return false;
          break;
      }
    }
    if (!status.ok()) {
      absl::MutexLock lock(&mutex_);
      Fail(std::move(status));
      return false;
    }
  }
  return true;
}

bool ImageStreams::Open(const std::string& name, base::UniqueFd pipe) {
  absl::MutexLock lock(&mutex_);
  if (closed_) return false;
  if (++files_ > base::kImageFilesMax) {
    Fail(absl::ResourceExhaustedError(
        absl::StrCat("more than ", base::kImageFilesMax, " image files")));
    return false;
  }
  slots_.push_back(std::make_unique<Slot>(name, std::move(pipe), wake_.get()));
  Slot* slot = slots_.back().get();
  try {
    slot->thread = base::Thread(absl::StrCat("img-", name), [this, slot] { Carry(slot); });
  } catch (const std::system_error& error) {
    slots_.pop_back();
    Fail(absl::ResourceExhaustedError(absl::StrCat(name, ": thread: ", error.what())));
    return false;
  }
  ++active_;
  return true;
}

void ImageStreams::Carry(Slot* slot) {
  absl::Status status = role_.carry(slot->stream);
  slot->stream.Close(absl::CancelledError("done"));
  absl::MutexLock lock(&mutex_);
  slot->done = true;
  --active_;
  if (!status.ok()) Fail(base::Annotate(status, slot->stream.name()));
  changed_.SignalAll();
  Signal(poke_.get());
}

void ImageStreams::Fail(absl::Status error) {
  if (error_.ok()) error_ = std::move(error);
  if (closed_) return;
  closed_ = true;
  Signal(wake_.get());
  for (const std::unique_ptr<Slot>& slot : slots_) slot->stream.Close(error_);
  changed_.SignalAll();
}

void ImageStreams::Close(absl::Status reason) {
  absl::MutexLock lock(&mutex_);
  Fail(reason.ok() ? absl::CancelledError("closed") : std::move(reason));
}

std::list<std::unique_ptr<ImageStreams::Slot>> ImageStreams::TakeDone() {
  std::list<std::unique_ptr<Slot>> done;
  absl::MutexLock lock(&mutex_);
  for (auto it = slots_.begin(); it != slots_.end();) {
    const auto next = std::next(it);
    if ((*it)->done) done.splice(done.end(), slots_, it);
    it = next;
  }
  return done;
}

bool ImageStreams::NothingWaiting() const {
  pollfd polled = {listener_.get(), POLLIN, 0};
  if (::poll(&polled, 1, 0) > 0) return false;
  for (const ImageConnection& connection : connections_) {
    if (!connection.Idle()) return false;
  }
  return true;
}

std::string ImageStreams::FirstOpen() const {
  for (const std::unique_ptr<Slot>& slot : slots_) {
    if (!slot->done) {
      return absl::StrCat(slot->stream.name(), " after ", slot->stream.bytes(), " bytes");
    }
  }
  return "a request of CRIU";
}

absl::Status ImageStreams::Wait(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  absl::MutexLock lock(&mutex_);
  while (true) {
    if (!error_.ok()) return error_;
    if (!busy_ && active_ == 0 && NothingWaiting()) return absl::OkStatus();
    if (changed_.WaitWithDeadline(&mutex_, deadline)) {
      if (!error_.ok()) return error_;
      return absl::DeadlineExceededError(absl::StrCat("still open: ", FirstOpen()));
    }
  }
}

}  // namespace cedana::criu
