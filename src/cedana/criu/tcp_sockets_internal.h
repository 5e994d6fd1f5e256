// The TCP sockets of other processes, as descriptors of our own.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/fd.h"

namespace cedana::criu {

// None when there is no such process. While we hold one, its connection stays open.
absl::StatusOr<std::vector<base::UniqueFd>> TakeTcpSockets(int pid);

// "10.0.0.1 . 40000 . 10.0.0.2 . 80" as nft prints a connection, ours first; empty when the socket
// is not connected.
std::string ConnectionText(int socket);

// Of `nft list table`: does it lock this connection?
bool LocksConnection(absl::string_view table_text, absl::string_view connection_text);

}  // namespace cedana::criu
