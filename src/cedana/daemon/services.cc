#include "cedana/daemon/services.h"

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cedana/plugin/storage_config.h"
#include "core/base/fd.h"
#include "core/base/limits.h"
#include "core/base/random.h"
#include "core/base/status.h"

namespace cedana::daemon {
namespace {

constexpr size_t kMiB = 1 << 20;
constexpr size_t kKeptLogBytesMax = 16 * kMiB;

}  // namespace

MemoryGate::MemoryGate(size_t limit_bytes) {
  const bool halves = limit_bytes >= 2 * base::kMemoryLimitMinMiB * kMiB;
  share_bytes_ = halves ? limit_bytes / 2 : limit_bytes;
  free_ = halves ? 2 : 1;
}

MemoryGate::Share::~Share() {
  if (gate_ == nullptr) return;
  absl::MutexLock lock(&gate_->mutex_);
  ++gate_->free_;
}

absl::StatusOr<MemoryGate::Share> MemoryGate::Take(const base::Context& context) {
  while (true) {
    CEDANA_RETURN_IF_ERROR(context.Check());
    absl::MutexLock lock(&mutex_);
    const auto some = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return free_ > 0; };
    if (mutex_.AwaitWithTimeout(absl::Condition(&some), absl::Milliseconds(200))) {
      --free_;
      return Share(this);
    }
  }
}

absl::StatusOr<criu::CriuProgram> CriuFinder::Find() {
  CEDANA_ASSIGN_OR_RETURN(criu::CriuProgram program,
                          criu::FindCriu(settings_->criu_path, settings_->bin_dir));
  const std::string key = absl::StrCat(program.path, " ", program.version);
  absl::MutexLock lock(&mutex_);
  if (checked_ != key) {
    CEDANA_RETURN_IF_ERROR(criu::CheckCriu(program));
    checked_ = key;
  }
  return program;
}

absl::StatusOr<std::unique_ptr<plugin::StorageBackend>> Services::OpenStorage(
    const plugin::StorageUrl& folder, const std::string& operation) const {
  plugin::StorageConfig config = plugin::ForFolder(settings->storage, folder);
  config.operation = operation;
  return plugins->Open(folder.scheme, config);
}

std::string DrawOperationName() {
  return absl::StrCat(absl::Hex(base::SystemRandom().Next64(), absl::kZeroPad16));
}

absl::StatusOr<std::unique_ptr<OperationFolder>> OperationFolder::Make(const Settings& settings) {
  const std::string path = absl::StrCat(settings.run_dir, "/o/",
                                        absl::Hex(base::SystemRandom().Next64(), absl::kZeroPad16));
  CEDANA_RETURN_IF_ERROR(base::MakeDirs(path, 0700));
  return std::unique_ptr<OperationFolder>(new OperationFolder(path));
}

OperationFolder::~OperationFolder() { RemoveFolder(path_); }

std::string OperationFolder::KeepLogs(const Settings& settings, const std::string& name) const {
  std::string text;
  for (const char* file : {"d.log", "r.log", "criu.stderr"}) {
    auto part = base::ReadFile(absl::StrCat(path_, "/", file), kKeptLogBytesMax);
    if (part.ok() && !part->empty()) absl::StrAppend(&text, "--- ", file, "\n", *part);
  }
  if (text.empty() || !base::MakeDirs(settings.log_dir, 0700).ok()) return "";
  const std::string kept = absl::StrCat(settings.log_dir, "/", name, "-",
                                        std::filesystem::path(path_).filename().string(), ".log");
  return base::WriteFileAtomic(kept, text, 0600).ok() ? kept : "";
}

absl::Status MoveTree(const std::string& from, const std::string& to) {
  if (from.empty() || to.empty()) return absl::OkStatus();
  // A process may fork while it is moved: look again until none is left.
  for (int look = 0; look < 100; ++look) {
    auto pids = runtime::CgroupPids(from, /*recursive=*/true);
    if (!pids.ok()) return pids.status();
    if (pids->empty()) return absl::OkStatus();
    for (const int pid : *pids) {
      absl::Status status = runtime::MoveToCgroup(to, pid);
      if (!status.ok() && !absl::IsNotFound(status)) return status;
    }
  }
  return absl::InternalError(
      absl::StrCat("processes of ", from, " fork faster than they can be moved"));
}

std::string WithSuffix(const std::string& url, const std::string& codec) {
  if (codec == "lz4") return absl::StrCat(url, ".tar.lz4");
  if (codec == "gzip") return absl::StrCat(url, ".tar.gz");
  if (codec == "zlib") return absl::StrCat(url, ".tar.zlib");
  // zstd has no archive view of its own: the plain one is what can be downloaded.
  return absl::StrCat(url, ".tar");
}

}  // namespace cedana::daemon
