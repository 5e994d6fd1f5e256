#include "cedana/daemon/daemon.h"

#include <fcntl.h>
#include <grp.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/service_type.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "cedana/daemon/recovery.h"
#include "cedana/daemon/service.h"
#include "cedana/daemon/services.h"
#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "core/build_id.h"

namespace cedana::daemon {
namespace {

constexpr auto kStopGrace = std::chrono::seconds(15);
constexpr int kMessageBytesMax = 6 << 20;

// One daemon for one database: its lock is held as long as the returned descriptor lives.
absl::StatusOr<base::UniqueFd> LockInstance(const Settings& settings) {
  const std::string path = absl::StrCat(settings.run_dir, "/lock");
  base::UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.valid()) return base::ErrnoStatus(errno, path);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("a daemon with the database ", settings.db_path, " is running already"));
  }
  return fd;
}

// A socket that nobody listens on is a leftover and goes; a live one is somebody else's.
absl::Status ClearSocket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("address: ", path, " is longer than 107 bytes"));
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  base::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return base::ErrnoStatus(errno, "socket");
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
    return absl::FailedPreconditionError(absl::StrCat("a daemon listens on ", path, " already"));
  }
  if (errno != ENOENT && errno != ECONNREFUSED) return base::ErrnoStatus(errno, path);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return base::ErrnoStatus(errno, path);
  return absl::OkStatus();
}

absl::Status OpenSocketTo(const config::Config& config, const std::string& path) {
  const std::string& mode_text = config.Text("socket.mode");
  char* end = nullptr;
  const long mode = std::strtol(mode_text.c_str(), &end, 8);
  if (end == mode_text.c_str() || *end != '\0' || mode < 0 || mode > 0777) {
    return absl::InvalidArgumentError(
        absl::StrCat("socket.mode: ", mode_text, " is no octal mode such as 0600"));
  }
  if (const std::string& group = config.Text("socket.group"); !group.empty()) {
    const struct group* entry = ::getgrnam(group.c_str());
    if (entry == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("socket.group: no group ", group));
    }
    if (::chown(path.c_str(), 0, entry->gr_gid) != 0) return base::ErrnoStatus(errno, path);
  }
  if (::chmod(path.c_str(), static_cast<mode_t>(mode)) != 0) return base::ErrnoStatus(errno, path);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<grpc::Server>> Listen(const config::Config& config,
                                                     const std::string& path,
                                                     grpc::Service* service) {
  CEDANA_RETURN_IF_ERROR(ClearSocket(path));
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  builder.AddListeningPort(absl::StrCat("unix:", path), grpc::InsecureServerCredentials());
  builder.SetMaxReceiveMessageSize(kMessageBytesMax);
  builder.SetMaxSendMessageSize(kMessageBytesMax);
  builder.RegisterService(service);
  // Nobody else may connect in the moment before the mode is set.
  const mode_t before = ::umask(0177);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  ::umask(before);
  if (server == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat("cannot listen on ", path));
  }
  CEDANA_RETURN_IF_ERROR(OpenSocketTo(config, path));
  return server;
}

absl::Status MakeFolders(const Settings& settings) {
  for (const char* folder : {"/j", "/o"}) {
    CEDANA_RETURN_IF_ERROR(base::MakeDirs(absl::StrCat(settings.run_dir, folder), 0700));
  }
  return base::MakeDirs(std::filesystem::path(settings.db_path).parent_path().string(), 0755);
}

sigset_t StopSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

absl::Status RunDaemon(const config::Config& config) {
  // Every thread inherits the mask: only the wait at the end takes these signals.
  const sigset_t stop_signals = StopSignals();
  pthread_sigmask(SIG_BLOCK, &stop_signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  // The jobs of a lost shim come to us, with their exit codes.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);

  CEDANA_ASSIGN_OR_RETURN(const Settings settings, ReadSettings(config));
  CEDANA_RETURN_IF_ERROR(MakeFolders(settings));
  CEDANA_ASSIGN_OR_RETURN(const base::UniqueFd lock, LockInstance(settings));
  CEDANA_ASSIGN_OR_RETURN(const std::unique_ptr<JobTable> table, JobTable::Open(settings.db_path));
  auto cgroups = runtime::Cgroups::Open(settings.instance);
  if (!cgroups.ok()) {
    base::LogWarn("no cgroup v2", {{"error", cgroups.status().ToString()}});
  }

  base::CancelSource stop;
  plugin::StoragePlugins plugins(settings.lib_dir);
  ProgressBoard board;
  MemoryGate memory(settings.memory_limit_bytes);
  CriuFinder criu(&settings);
  Jobs jobs(&settings, table.get(), cgroups.ok() ? &*cgroups : nullptr);
  Services services{&settings, table.get(), &jobs, &plugins, cgroups.ok() ? &*cgroups : nullptr,
                    &board,    &memory,     &criu, &stop,    nullptr};
  Recovery recovery(&services);
  services.unsettled = [&recovery](const OperationRecord& operation) { recovery.Add(operation); };

  // First what the last daemon left half done, then the jobs, then the callers.
  CEDANA_RETURN_IF_ERROR(recovery.CleanUp());
  CEDANA_RETURN_IF_ERROR(jobs.Adopt());
  recovery.StartSettling();
  jobs.StartWatching();
  const std::unique_ptr<grpc::Service> service = MakeDaemonService(&services, &config);
  CEDANA_ASSIGN_OR_RETURN(const std::unique_ptr<grpc::Server> server,
                          Listen(config, settings.socket_path, service.get()));
  base::LogInfo("daemon ready", {{"socket", settings.socket_path},
                                 {"database", settings.db_path},
                                 {"jobs", jobs.All().size()},
                                 {"version", BuildVersion()}});

  int received = 0;
  while (sigwait(&stop_signals, &received) != 0) {
  }
  base::LogInfo("daemon stops", {{"signal", received}});
  // Dumps under way are undone, restores too; jobs live on.
  stop.Cancel(absl::CancelledError("the daemon stops"));
  server->Shutdown(std::chrono::system_clock::now() + kStopGrace);
  ::unlink(settings.socket_path.c_str());
  return absl::OkStatus();
}

}  // namespace cedana::daemon
