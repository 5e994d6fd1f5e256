#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cedana/criu/criu.h"

namespace cedana::criu {
namespace {

using Arguments = std::vector<std::string>;

void Append(Arguments* out, std::initializer_list<std::string> more) {
  out->insert(out->end(), more);
}

// What dump and restore share. `--manage-cgroups=ignore`: else tasks may be put back into the
// cgroup they were dumped in, out of the one that we kill and freeze. A configuration file of the
// host must not change what we rely on. The default network lock needs iptables; that by nftables
// makes a table in every dump, which stays after one that ends its process: so only where there are
// connections to lock, or such a table to take away.
template <typename Flags>
void AppendCommon(Arguments* out, const Flags& flags, const std::string& log, bool lock_network) {
  Append(out, {"--no-default-config", "--stream", "-D", flags.folder, "-v1", "-o", log,
               "--action-script", flags.hook, "--manage-cgroups=ignore", "--network-lock",
               lock_network ? "nftables" : "skip", "--file-locks"});
  if (flags.tcp_established) out->push_back("--tcp-established");
  if (flags.tcp_close) out->push_back("--tcp-close");
  if (flags.shell_job) out->push_back("--shell-job");
  for (const std::string& external : flags.external) Append(out, {"--external", external});
  out->insert(out->end(), flags.extra.begin(), flags.extra.end());
}

}  // namespace

std::vector<std::string> DumpCommand(const CriuProgram& program, const DumpFlags& flags) {
  Arguments out = {program.path,   "dump",          "-t", absl::StrCat(flags.pid),
                   "--link-remap", "--ghost-limit", "1G"};
  if (flags.leave_running) out.push_back("--leave-running");
  AppendCommon(&out, flags, "d.log", flags.tcp_established);
  return out;
}

std::vector<std::string> RestoreCommand(const CriuProgram& program, const RestoreFlags& flags) {
  // -d -S: CRIU ends when all is restored, and the tree's root becomes its parent's child.
  Arguments out = {program.path, "restore",   "-d",
                   "-S",         "--pidfile", absl::StrCat(flags.folder, "/pf")};
  for (const std::string& inherit : flags.inherit_fd) Append(&out, {"--inherit-fd", inherit});
  AppendCommon(&out, flags, "r.log", flags.tcp_established || flags.tcp_close);
  return out;
}

std::vector<std::string> HookEnvironment(const std::string& folder) {
  return {absl::StrCat("CEDANA_HOOK_SOCKET=", folder, "/hook.sock")};
}

std::vector<std::string> HoldEnvironment(const std::string& library,
                                         const std::vector<std::string>& cgroups) {
  return {absl::StrCat("LD_PRELOAD=", library),
          absl::StrCat("CEDANA_HOLD_CGROUPS=", absl::StrJoin(cgroups, "\n"))};
}

}  // namespace cedana::criu
