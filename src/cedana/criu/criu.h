// CRIU, driven by its command line with `--stream`. What each flag does and what breaks without it
// was tried on a real machine; see README.md of this folder.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/fd.h"
#include "core/transfer/load.h"
#include "core/transfer/save.h"

namespace cedana::criu {

// --- the program -------------------------------------------------------------------------------

struct CriuProgram {
  std::string path;
  int version = 0;  // major*10000 + minor*100 + sublevel
};

// `configured` (criu.binary_path), then `<bin_dir>/criu`, then beside our own program, then PATH.
// kFailedPrecondition, in one line, when there is none from 4.1.1 on.
absl::StatusOr<CriuProgram> FindCriu(const std::string& configured, const std::string& bin_dir);
// `criu check`; slow (hundreds of ms), so its answer is kept by the caller.
absl::Status CheckCriu(const CriuProgram& program);

struct DumpFlags {
  int pid = 0;
  std::string folder;  // D of the operation: sockets, log, stats; at most 80 bytes long
  std::string hook;    // absolute path of the action script
  bool leave_running = false;
  bool tcp_established = false;
  bool tcp_close = false;
  bool shell_job = false;
  std::vector<std::string> external;
  std::vector<std::string> extra;  // from the user's CRIU options
};
struct RestoreFlags {
  std::string folder;
  std::string hook;
  bool tcp_established = false;
  bool tcp_close = false;
  bool shell_job = false;
  std::vector<std::string> inherit_fd;  // "fd[7]:pipe:[85473]"
  std::vector<std::string> external;
  std::vector<std::string> extra;
};
std::vector<std::string> DumpCommand(const CriuProgram& program, const DumpFlags& flags);
std::vector<std::string> RestoreCommand(const CriuProgram& program, const RestoreFlags& flags);
// Environment for CRIU, through which its hook finds us.
std::vector<std::string> HookEnvironment(const std::string& folder);

// --- the image sockets --------------------------------------------------------------------------

// Plays CRIU's image streamer during a dump. One reader thread per pipe; each image file is handed
// to `store`, which reads it to its end (Save::Store). stats-dump and logs never come this way.
class ImageCapture {
 public:
  using Store = std::function<absl::Status(const std::string& name, transfer::ByteSource& source)>;
  static absl::StatusOr<std::unique_ptr<ImageCapture>> Listen(const std::string& folder,
                                                              Store store);
  virtual ~ImageCapture() = default;  // closes everything: CRIU gets EPIPE, undoes all, exits 1
  // True when every pipe that CRIU has handed over so far was read to EOF.
  // Waits at most `timeout`; the error is the first that a Store gave, or kAborted: CRIU hung up
  // in the middle of a request.
  virtual absl::Status WaitDrained(absl::Duration timeout) = 0;
  // Cancels the dump the only safe way: our ends of pipes and sockets are closed.
  virtual void Close(absl::Status reason) = 0;
  virtual uint64_t files() const = 0;
};

// Plays the streamer during a restore.
class ImageServe {
 public:
  using Exists = std::function<bool(const std::string& name)>;
  using Serve = std::function<absl::Status(const std::string& name, transfer::ByteSink& sink)>;
  static absl::StatusOr<std::unique_ptr<ImageServe>> Listen(const std::string& folder,
                                                            Exists exists, Serve serve);
  virtual ~ImageServe() = default;
  // OK only if every stream begun was served to its last byte (all of them authenticated). The
  // error is the first that a Serve gave; kAborted: CRIU gave up first, see TellingError.
  virtual absl::Status WaitServed(absl::Duration timeout) = 0;
  virtual void Close(absl::Status reason) = 0;
};

// --- the hook ------------------------------------------------------------------------------------

// Answers CRIU's action script (`cedana-criu-hook`), which connects to `<folder>/hook.sock`. While
// `decide` runs, the hook gets a beat per second; 15 s without one, or a closed socket, is a no.
class HookServer {
 public:
  // `action` is CRTOOLS_SCRIPT_ACTION ("post-dump", "post-restore", "pre-resume"); `init_pid` is
  // CRTOOLS_INIT_PID. OK = yes. Called on a thread of its own for each call of the script.
  using Decide = std::function<absl::Status(const std::string& action, int init_pid)>;
  static absl::StatusOr<std::unique_ptr<HookServer>> Listen(const std::string& folder,
                                                            Decide decide);
  virtual ~HookServer() = default;
  // From now on every answer is no.
  virtual void Close() = 0;
};

// --- results -----------------------------------------------------------------------------------

// The line of CRIU's log and stderr that tells why; empty when none does.
std::string TellingError(const std::string& folder, bool restore);
struct DumpStats {
  uint64_t freezing_us = 0;
  uint64_t frozen_us = 0;
};
absl::StatusOr<DumpStats> ReadDumpStats(const std::string& folder);

// --- a CRIU that is killed ----------------------------------------------------------------------

// Environment for the CRIU of every dump, beside HookEnvironment: with `library`
// (cedana-criu-hold.so) a killed CRIU costs neither the processes (trace_keeper_internal.h) nor,
// with `tcp_established`, a connection of theirs (repair_hold.cc). For the latter `cgroups`, of
// runtime::HoldTree, are frozen while CRIU has a socket in repair mode, and that only while it
// reads its queues and while it ends the process: else repair mode would last as long as the dump,
// and a process that sends or receives in it gets an error. Whoever starts CRIU calls
// runtime::CureAndThaw for them at its end. A CRIU that is linked statically ignores the library.
// After CRIU was killed, processes are traced (runtime::IsTraced) until they are as before.
std::vector<std::string> HoldEnvironment(const std::string& library,
                                         const std::vector<std::string>& cgroups);

// Sockets that a killed CRIU left in TCP repair mode are brought back, and its tables deleted.
// Processes and tables that are gone are no error; it can be repeated. After CRIU was killed call
// it at once with no tables (finding them takes longer), then with CriuTablesOf.
absl::Status CureTcp(const std::vector<int>& pids, const std::vector<std::string>& nft_tables);
// Names of the `inet CRIU-*` tables now, sorted, without "inet". A table also stands, rightly, from
// a dump that ended a process with connections until its restore here.
absl::StatusOr<std::vector<std::string>> ListCriuTables();
// Those that lock connections of these processes.
absl::StatusOr<std::vector<std::string>> CriuTablesOf(const std::vector<int>& pids);

}  // namespace cedana::criu
