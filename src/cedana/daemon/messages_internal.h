// Between the daemon's own types and the messages of its interface.
#pragma once

#include "absl/status/status.h"
#include "cedana/daemon/job_table.h"
#include "cedana/daemon/jobs.h"
#include "daemon_api.h"

namespace cedana::daemon {

// The codes of both are the same numbers; a payload under kDetailsPayload goes along (restore.h).
grpc::Status ToGrpc(const absl::Status& status);
daemon_api::Job ToMessage(const JobRecord& record, const CheckpointRecord* latest);
daemon_api::Checkpoint ToMessage(const CheckpointRecord& record, const std::string& job_name);

}  // namespace cedana::daemon
