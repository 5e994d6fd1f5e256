#include "cedana/daemon/facts.h"

#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cedana/runtime/procfs.h"
#include "core/base/fd.h"
#include "core/base/status.h"

namespace cedana::daemon {
namespace {

using base::Json;

// Real ids and supplementary groups, from /proc/PID/status.
void ReadCredentials(int pid, RestoreFacts* facts) {
  auto status = base::ReadFile(absl::StrCat("/proc/", pid, "/status"));
  if (!status.ok()) return;
  for (const absl::string_view line : absl::StrSplit(*status, '\n')) {
    const std::vector<std::string> words =
        absl::StrSplit(line, absl::ByAnyChar("\t "), absl::SkipEmpty());
    if (words.size() < 2) continue;
    if (words[0] == "Uid:") (void)absl::SimpleAtoi(words[1], &facts->uid);
    if (words[0] == "Gid:") (void)absl::SimpleAtoi(words[1], &facts->gid);
    if (words[0] == "Groups:") {
      for (size_t i = 1; i < words.size(); ++i) {
        uint32_t group = 0;
        if (absl::SimpleAtoi(words[i], &group)) facts->groups.push_back(group);
      }
    }
  }
}

std::string LinkTarget(int pid, const char* name) {
  char buffer[4096];
  const ssize_t size =
      ::readlink(absl::StrCat("/proc/", pid, "/", name).c_str(), buffer, sizeof(buffer));
  return size < 0 ? std::string() : std::string(buffer, static_cast<size_t>(size));
}

}  // namespace

std::string MachineArchitecture() {
  utsname name{};
  return uname(&name) == 0 ? name.machine : "";
}

std::string KernelRelease() {
  utsname name{};
  return uname(&name) == 0 ? name.release : "";
}

Json RestoreFacts::ToJson() const {
  Json fds = Json::array();
  for (const StdioFact& fact : stdio) fds.push_back({{"target", fact.target}, {"mode", fact.mode}});
  return {{"stdio", std::move(fds)},
          {"log", log},
          {"attachable", attachable},
          {"tcp_established", tcp_established},
          {"tcp_close", tcp_close},
          {"shell_job", shell_job},
          {"uid", uid},
          {"gid", gid},
          {"groups", groups},
          {"working_dir", working_dir},
          {"pids", pids},
          {"architecture", architecture},
          {"kernel", kernel},
          {"criu_version", criu_version}};
}

RestoreFacts RestoreFacts::FromJson(const Json& json) {
  RestoreFacts facts;
  const Json fds = base::Member(json, "stdio");
  for (size_t i = 0; i < 3 && fds.is_array() && i < fds.size(); ++i) {
    facts.stdio[i].target = base::StringOr(fds[i], "target", "");
    facts.stdio[i].mode = static_cast<int>(base::IntOr(fds[i], "mode", 0));
  }
  facts.log = base::StringOr(json, "log", "");
  facts.attachable = base::BoolOr(json, "attachable", false);
  facts.tcp_established = base::BoolOr(json, "tcp_established", false);
  facts.tcp_close = base::BoolOr(json, "tcp_close", false);
  facts.shell_job = base::BoolOr(json, "shell_job", false);
  facts.uid = static_cast<uint32_t>(base::IntOr(json, "uid", 0));
  facts.gid = static_cast<uint32_t>(base::IntOr(json, "gid", 0));
  for (const Json& group : base::Member(json, "groups")) {
    if (group.is_number_integer()) facts.groups.push_back(group.get<uint32_t>());
  }
  facts.working_dir = base::StringOr(json, "working_dir", "");
  for (const Json& pid : base::Member(json, "pids")) {
    if (pid.is_number_integer()) facts.pids.push_back(pid.get<int>());
  }
  facts.architecture = base::StringOr(json, "architecture", "");
  facts.kernel = base::StringOr(json, "kernel", "");
  facts.criu_version = static_cast<int>(base::IntOr(json, "criu_version", 0));
  return facts;
}

absl::StatusOr<RestoreFacts> CollectFacts(int root) {
  CEDANA_ASSIGN_OR_RETURN(const runtime::ProcessStat stat, runtime::ReadStat(root));
  CEDANA_ASSIGN_OR_RETURN(const std::vector<int> tree, runtime::Tree(root));
  RestoreFacts facts;
  for (int fd = 0; fd < 3; ++fd) {
    facts.stdio[fd].target = runtime::FdTarget(root, fd);
    struct stat st {};
    if (::stat(absl::StrCat("/proc/", root, "/fd/", fd).c_str(), &st) == 0 && S_ISREG(st.st_mode)) {
      facts.stdio[fd].mode = static_cast<int>(st.st_mode & 07777);
    }
  }
  facts.shell_job = stat.session != root;
  ReadCredentials(root, &facts);
  facts.working_dir = LinkTarget(root, "cwd");
  facts.pids = tree;
  for (const int pid : tree) {
    // A session led from outside of the tree stays there and is not restored with it.
    const auto member = runtime::ReadStat(pid);
    if (member.ok() && member->session != stat.session) facts.pids.push_back(member->session);
  }
  std::sort(facts.pids.begin(), facts.pids.end());
  facts.pids.erase(std::unique(facts.pids.begin(), facts.pids.end()), facts.pids.end());
  facts.architecture = MachineArchitecture();
  facts.kernel = KernelRelease();
  return facts;
}

transfer::JobFacts MakeJobFacts(int root, const JobRecord* job, const RestoreFacts& facts) {
  transfer::JobFacts result;
  if (job != nullptr) {
    result.job_id = job->uuid;
    result.job_name = job->name;
  }
  result.type = "process";
  result.host = runtime::HostName();
  result.user = runtime::UserName(facts.uid);
  result.command_line = runtime::CommandLine(root);
  result.pid = static_cast<uint32_t>(root);
  result.details = facts.ToJson();
  return result;
}

std::string ProcessStateJson(int root, const RestoreFacts& facts) {
  Json files = Json::array();
  for (int fd = 0; fd < 3; ++fd) {
    if (facts.stdio[fd].target.empty()) continue;
    files.push_back({{"Path", facts.stdio[fd].target}, {"Fd", fd}});
  }
  Json state = {{"PID", root},
                {"Cmdline", runtime::CommandLine(root)},
                {"WorkingDir", facts.working_dir},
                {"IsRunning", true},
                {"OpenFiles", std::move(files)},
                {"UIDs", Json::array({facts.uid})},
                {"GIDs", Json::array({facts.gid})},
                {"Groups", facts.groups},
                {"Host",
                 {{"Hostname", runtime::HostName()},
                  {"KernelVersion", facts.kernel},
                  {"KernelArch", facts.architecture}}}};
  if (const auto stat = runtime::ReadStat(root); stat.ok()) state["SID"] = stat->session;
  return base::DumpJson(state, 2);
}

}  // namespace cedana::daemon
