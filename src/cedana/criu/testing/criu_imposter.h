// CRIU's side of an image socket, in the test's own process: asks for files, passes pipes, and
// misbehaves when told to. Any failure of the socket itself is an assertion failure of the test.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/fd.h"

namespace cedana::criu {

class CriuImposter {
 public:
  // `restore` chooses the socket in `folder`.
  CriuImposter(const std::string& folder, bool restore);

  // Dump: asks and passes a pipe; the end to write to.
  base::UniqueFd OpenForDump(const std::string& name);
  // Restore: the end to read from; invalid when the streamer says that there is no such file.
  base::UniqueFd OpenForRestore(const std::string& name);

  // The parts of the above, for those that go wrong in between.
  bool Send(absl::string_view bytes);
  bool SendFds(const int* fds, size_t count);
  // What a reply says: 1 exists, 0 does not, -1 hung up.
  int ReadReply();
  // Waits for the streamer to hang up.
  bool HungUp();
  void Close() { socket_.Reset(); }

 private:
  base::UniqueFd socket_;
};

// Everything until EOF.
std::string ReadAll(int fd);
// False on EPIPE.
bool WriteAllTo(int fd, absl::string_view bytes);
// Bytes that differ at every place.
std::string Pattern(size_t size);

}  // namespace cedana::criu
