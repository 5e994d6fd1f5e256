// A daemon for tests: answers what it is told to on a UNIX socket of its own, and keeps what it was
// asked.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "daemon_api.h"

namespace cedana::cli {

class FakeDaemon final : public daemon_api::Daemon::Service {
 public:
  using AttachStream = grpc::ServerReaderWriter<daemon_api::AttachResp, daemon_api::AttachReq>;
  using WatchStream = grpc::ServerWriter<daemon_api::WatchResp>;

  explicit FakeDaemon(const std::string& socket);
  ~FakeDaemon() override;
  // Ends every connection at once, as a crash does.
  void Stop();

  // --- answers, set before the call -------------------------------------------------------------
  grpc::Status status = grpc::Status::OK;  // of Run, Manage, Dump, Restore, Kill, Delete
  daemon_api::RunResp run_response;
  daemon_api::DumpResp dump_response;
  daemon_api::RestoreResp restore_response;
  grpc::Status ambiguous = grpc::Status::OK;  // of a Restore without a path
  daemon_api::ListResp list_response;
  daemon_api::ListCheckpointsResp checkpoints_response;
  daemon_api::HealthCheckResp health_response;
  std::vector<daemon_api::WatchResp> watch_responses;
  std::function<grpc::Status(AttachStream*)> on_attach;
  std::function<void(grpc::ServerContext*)> on_dump;  // before its answer

  // --- what was asked, read after the call ------------------------------------------------------
  daemon_api::RunReq run_request;
  daemon_api::RunReq manage_request;
  daemon_api::DumpReq dump_request;
  daemon_api::RestoreReq restore_request;
  daemon_api::KillReq kill_request;
  daemon_api::DeleteReq delete_request;
  daemon_api::WatchReq watch_request;
  daemon_api::ListCheckpointsReq checkpoints_request;
  daemon_api::DeleteCheckpointReq delete_checkpoint_request;
  std::vector<std::string> deleted_checkpoints;
  std::vector<std::string> calls;  // in order: "Get", "Dump", …

 private:
  grpc::Status Run(grpc::ServerContext*, const daemon_api::RunReq* request,
                   daemon_api::RunResp* response) override;
  grpc::Status Manage(grpc::ServerContext*, const daemon_api::RunReq* request,
                      daemon_api::RunResp* response) override;
  grpc::Status Dump(grpc::ServerContext* context, const daemon_api::DumpReq* request,
                    daemon_api::DumpResp* response) override;
  grpc::Status Restore(grpc::ServerContext*, const daemon_api::RestoreReq* request,
                       daemon_api::RestoreResp* response) override;
  grpc::Status Attach(grpc::ServerContext*, AttachStream* stream) override;
  grpc::Status Get(grpc::ServerContext*, const daemon_api::GetReq* request,
                   daemon_api::GetResp* response) override;
  grpc::Status List(grpc::ServerContext*, const daemon_api::ListReq*,
                    daemon_api::ListResp* response) override;
  grpc::Status Kill(grpc::ServerContext*, const daemon_api::KillReq* request,
                    daemon_api::KillResp* response) override;
  grpc::Status Delete(grpc::ServerContext*, const daemon_api::DeleteReq* request,
                      daemon_api::DeleteResp* response) override;
  grpc::Status ListCheckpoints(grpc::ServerContext*, const daemon_api::ListCheckpointsReq* request,
                               daemon_api::ListCheckpointsResp* response) override;
  grpc::Status DeleteCheckpoint(grpc::ServerContext*,
                                const daemon_api::DeleteCheckpointReq* request,
                                daemon_api::DeleteCheckpointResp*) override;
  grpc::Status HealthCheck(grpc::ServerContext*, const daemon_api::HealthCheckReq*,
                           daemon_api::HealthCheckResp* response) override;
  grpc::Status Watch(grpc::ServerContext*, const daemon_api::WatchReq* request,
                     WatchStream* stream) override;
  void Called(const std::string& name);

  absl::Mutex mutex_;
  bool watched_ = false;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace cedana::cli
