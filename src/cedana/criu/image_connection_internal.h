// CRIU's side of an image socket, as the requests that come over it.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "core/base/fd.h"

namespace cedana::criu {

// Never blocks. Not thread-safe.
class ImageConnection {
 public:
  enum class Event {
    kNothing,  // wait until readable
    kRequest,  // name() was asked for; Answer it
    kPipe,     // TakePipe() gives CRIU's end of it for name()
    kHungUp,   // between two requests
  };

  // `restore`: requests are replied to before the pipe comes.
  ImageConnection(base::UniqueFd socket, bool restore)
      : socket_(std::move(socket)), restore_(restore) {}

  // One step. An error ends the connection: bytes that CRIU would not send (kInvalidArgument), or
  // an end in the middle of a request (kAborted).
  absl::StatusOr<Event> Progress();
  // Requires: the last event was kRequest.
  absl::Status Answer(bool exists);
  base::UniqueFd TakePipe() { return std::move(pipe_); }

  const std::string& name() const { return name_; }
  int fd() const { return socket_.get(); }
  // Has nothing of a request been read that is not dealt with yet, and is nothing waiting?
  bool Idle() const;

 private:
  enum class Stage { kLength, kMessage, kAnswer, kPipe };

  absl::StatusOr<Event> Fill(size_t size);
  absl::StatusOr<Event> ReceivePipe();

  base::UniqueFd socket_;
  const bool restore_;
  Stage stage_ = Stage::kLength;
  std::string buffer_;  // of the stage that is being filled
  size_t message_bytes_ = 0;
  std::string name_;
  base::UniqueFd pipe_;
};

}  // namespace cedana::criu
