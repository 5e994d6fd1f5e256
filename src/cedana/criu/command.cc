#include "absl/strings/str_cat.h"
#include "cedana/criu/criu.h"

namespace cedana::criu {
namespace {

using Arguments = std::vector<std::string>;

void Append(Arguments* out, std::initializer_list<std::string> more) {
  out->insert(out->end(), more);
}

// What dump and restore share. `--manage-cgroups=ignore`: else tasks may be put back into the
// cgroup they were dumped in, out of the one that we kill and freeze. The default network lock
// needs iptables. A configuration file of the host must not change what we rely on.
void AppendCommon(Arguments* out, const std::string& folder, const std::string& hook,
                  const std::string& log, bool tcp_established, bool tcp_close, bool shell_job) {
  Append(out, {"--no-default-config", "--stream", "-D", folder, "-v1", "-o", log, "--action-script",
               hook, "--manage-cgroups=ignore", "--network-lock", "nftables", "--file-locks"});
  if (tcp_established) out->push_back("--tcp-established");
  if (tcp_close) out->push_back("--tcp-close");
  if (shell_job) out->push_back("--shell-job");
}

}  // namespace

std::vector<std::string> DumpCommand(const CriuProgram& program, const DumpFlags& flags) {
  Arguments out = {program.path, "dump", "-t", absl::StrCat(flags.pid)};
  AppendCommon(&out, flags.folder, flags.hook, "d.log", flags.tcp_established, flags.tcp_close,
               flags.shell_job);
  Append(&out, {"--link-remap", "--ghost-limit", "1G"});
  if (flags.leave_running) out.push_back("--leave-running");
  for (const std::string& external : flags.external) Append(&out, {"--external", external});
  out.insert(out.end(), flags.extra.begin(), flags.extra.end());
  return out;
}

std::vector<std::string> RestoreCommand(const CriuProgram& program, const RestoreFlags& flags) {
  // -d -S: CRIU ends when all is restored, and the tree's root becomes its parent's child.
  Arguments out = {program.path, "restore", "-d", "-S"};
  AppendCommon(&out, flags.folder, flags.hook, "r.log", flags.tcp_established, flags.tcp_close,
               flags.shell_job);
  Append(&out, {"--pidfile", absl::StrCat(flags.folder, "/pf")});
  for (const std::string& inherit : flags.inherit_fd) Append(&out, {"--inherit-fd", inherit});
  for (const std::string& external : flags.external) Append(&out, {"--external", external});
  out.insert(out.end(), flags.extra.begin(), flags.extra.end());
  return out;
}

std::vector<std::string> HookEnvironment(const std::string& folder) {
  return {absl::StrCat("CEDANA_HOOK_SOCKET=", folder, "/hook.sock")};
}

}  // namespace cedana::criu
