// The wire calls the package `daemon`, and so protoc names the C++ namespace, but <unistd.h> has a
// function of that name. Its header is read first, then the namespace is renamed; strings, and so
// the wire, are not touched by a macro. Put before every generated file; see daemon_api.h.
#pragma once

#include <unistd.h>

#define daemon daemon_api
