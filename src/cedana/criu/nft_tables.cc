#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "cedana/criu/connection_text_internal.h"
#include "cedana/criu/criu.h"
#include "cedana/criu/program_internal.h"
#include "cedana/criu/run_program_internal.h"
#include "cedana/runtime/tcp_repair.h"
#include "core/base/status.h"

namespace cedana::criu {
namespace {

constexpr absl::Duration kNftTimeout = absl::Seconds(20);

absl::StatusOr<ProgramResult> Nft(std::vector<std::string> arguments) {
  const std::string nft = FindInPath("nft");
  if (nft.empty()) return absl::FailedPreconditionError("nft is not installed");
  arguments.insert(arguments.begin(), nft);
  return RunProgram(arguments, kNftTimeout);
}

}  // namespace

std::vector<std::string> ParseCriuTables(absl::string_view text) {
  std::vector<std::string> tables;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::ConsumePrefix(&line, "table inet ") && absl::StartsWith(line, "CRIU-")) {
      tables.emplace_back(absl::StripAsciiWhitespace(line));
    }
  }
  std::sort(tables.begin(), tables.end());
  return tables;
}

absl::StatusOr<std::vector<std::string>> ListCriuTables() {
  CEDANA_ASSIGN_OR_RETURN(const ProgramResult result, Nft({"list", "tables", "inet"}));
  if (result.exit_code != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("nft list tables: ", absl::StripAsciiWhitespace(result.output)));
  }
  return ParseCriuTables(result.output);
}

absl::StatusOr<std::vector<std::string>> CriuTablesOf(const std::vector<int>& pids) {
  std::vector<std::string> connections;
  for (const int pid : pids) {
    CEDANA_ASSIGN_OR_RETURN(const std::vector<base::UniqueFd> sockets,
                            runtime::TakeTcpSockets(pid));
    for (const base::UniqueFd& socket : sockets)
      connections.push_back(ConnectionText(socket.get()));
  }
  CEDANA_ASSIGN_OR_RETURN(const std::vector<std::string> tables, ListCriuTables());
  std::vector<std::string> found;
  for (const std::string& table : tables) {
    CEDANA_ASSIGN_OR_RETURN(const ProgramResult result,
                            Nft({"-n", "list", "table", "inet", table}));
    const bool locks = std::any_of(
        connections.begin(), connections.end(),
        [&](const std::string& connection) { return LocksConnection(result.output, connection); });
    if (locks) found.push_back(table);
  }
  return found;
}

absl::Status CureTcp(const std::vector<int>& pids, const std::vector<std::string>& nft_tables) {
  absl::Status result;
  // First: a process that sends or receives in repair mode gets an error.
  for (const int pid : pids) result.Update(runtime::LeaveTcpRepair(pid));
  result.Update(DeleteCriuTables(nft_tables));
  return result;
}

absl::Status DeleteCriuTables(const std::vector<std::string>& tables) {
  if (tables.empty()) return absl::OkStatus();
  CEDANA_ASSIGN_OR_RETURN(const std::vector<std::string> present, ListCriuTables());
  absl::Status result;
  for (const std::string& table : tables) {
    const std::string name(absl::StripPrefix(table, "inet "));
    if (!std::binary_search(present.begin(), present.end(), name)) continue;
    absl::StatusOr<ProgramResult> deleted = Nft({"delete", "table", "inet", name});
    if (!deleted.ok()) {
      result.Update(deleted.status());
    } else if (deleted->exit_code != 0) {
      result.Update(absl::InternalError(absl::StrCat("nft delete table inet ", name, ": ",
                                                     absl::StripAsciiWhitespace(deleted->output))));
    }
  }
  return result;
}

}  // namespace cedana::criu
