// The daemon's gRPC face: requests in, operations, messages out. Thin: what is done is in dump.h,
// restore.h, jobs.h and attach.h.
#pragma once

#include <functional>
#include <memory>

#include "cedana/config/config.h"
#include "cedana/daemon/services.h"

namespace grpc {
class Service;
}

namespace cedana::daemon {

// Borrows both, which must outlive it.
std::unique_ptr<grpc::Service> MakeDaemonService(const Services* services,
                                                 const config::Config* config);

}  // namespace cedana::daemon
