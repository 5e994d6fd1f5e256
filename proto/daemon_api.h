// The daemon's gRPC interface as C++ (namespace ::daemon_api). Include this, never the generated
// headers themselves.
#pragma once

#include "rename.h"
// After it.
#include "cedana/daemon/daemon.grpc.pb.h"
#include "cedana/daemon/daemon.pb.h"
#undef daemon
