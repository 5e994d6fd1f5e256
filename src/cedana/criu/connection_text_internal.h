// A TCP connection as nft writes it, to find the table that locks it.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace cedana::criu {

// "10.0.0.1 . 40000 . 10.0.0.2 . 80", our end first; empty when the socket is not connected.
std::string ConnectionText(int socket);

// Of `nft list table`: does it lock this connection?
bool LocksConnection(absl::string_view table_text, absl::string_view connection_text);

}  // namespace cedana::criu
