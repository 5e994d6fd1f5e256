#include "cedana/cli/testing/fake_daemon.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace cedana::cli {

FakeDaemon::FakeDaemon(const std::string& socket) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort(absl::StrCat("unix:", socket), grpc::InsecureServerCredentials());
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
}

FakeDaemon::~FakeDaemon() { Stop(); }

void FakeDaemon::Stop() { server_->Shutdown(absl::ToChronoTime(absl::Now())); }

void FakeDaemon::Called(const std::string& name) {
  absl::MutexLock lock(&mutex_);
  calls.push_back(name);
}

grpc::Status FakeDaemon::Run(grpc::ServerContext*, const daemon_api::RunReq* request,
                             daemon_api::RunResp* response) {
  Called("Run");
  run_request = *request;
  *response = run_response;
  return status;
}

grpc::Status FakeDaemon::Manage(grpc::ServerContext*, const daemon_api::RunReq* request,
                                daemon_api::RunResp* response) {
  Called("Manage");
  manage_request = *request;
  *response = run_response;
  return status;
}

grpc::Status FakeDaemon::Dump(grpc::ServerContext* context, const daemon_api::DumpReq* request,
                              daemon_api::DumpResp* response) {
  Called("Dump");
  dump_request = *request;
  if (!watch_responses.empty()) {
    // The watcher has to have come, or what it shows could not be looked for.
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(&watched_), absl::Seconds(5));
  }
  if (on_dump) on_dump(context);
  *response = dump_response;
  return status;
}

grpc::Status FakeDaemon::Restore(grpc::ServerContext*, const daemon_api::RestoreReq* request,
                                 daemon_api::RestoreResp* response) {
  Called("Restore");
  restore_request = *request;
  if (request->path().empty() && !ambiguous.ok()) return ambiguous;
  *response = restore_response;
  return status;
}

grpc::Status FakeDaemon::Attach(grpc::ServerContext*, AttachStream* stream) {
  Called("Attach");
  return on_attach(stream);
}

grpc::Status FakeDaemon::Get(grpc::ServerContext*, const daemon_api::GetReq* request,
                             daemon_api::GetResp* response) {
  Called("Get");
  for (const daemon_api::Job& job : list_response.jobs()) {
    if (job.jid() != request->jid()) continue;
    *response->mutable_job() = job;
    return grpc::Status::OK;
  }
  return {grpc::StatusCode::NOT_FOUND, absl::StrCat("job ", request->jid(), " not found")};
}

grpc::Status FakeDaemon::List(grpc::ServerContext*, const daemon_api::ListReq*,
                              daemon_api::ListResp* response) {
  Called("List");
  *response = list_response;
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::Kill(grpc::ServerContext*, const daemon_api::KillReq* request,
                              daemon_api::KillResp* response) {
  Called("Kill");
  kill_request = *request;
  for (const std::string& jid : request->jids()) {
    response->add_messages(absl::StrCat("Killed job ", jid));
  }
  return status;
}

grpc::Status FakeDaemon::Delete(grpc::ServerContext*, const daemon_api::DeleteReq* request,
                                daemon_api::DeleteResp* response) {
  Called("Delete");
  delete_request = *request;
  for (const std::string& jid : request->jids()) {
    response->add_messages(absl::StrCat("Deleted job ", jid));
  }
  return status;
}

grpc::Status FakeDaemon::ListCheckpoints(grpc::ServerContext*,
                                         const daemon_api::ListCheckpointsReq* request,
                                         daemon_api::ListCheckpointsResp* response) {
  Called("ListCheckpoints");
  checkpoints_request = *request;
  *response = checkpoints_response;
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::DeleteCheckpoint(grpc::ServerContext*,
                                          const daemon_api::DeleteCheckpointReq* request,
                                          daemon_api::DeleteCheckpointResp*) {
  Called("DeleteCheckpoint");
  delete_checkpoint_request = *request;
  if (request->id() == "unknown") {
    return {grpc::StatusCode::NOT_FOUND, "checkpoint unknown not found"};
  }
  deleted_checkpoints.push_back(request->id());
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::HealthCheck(grpc::ServerContext*, const daemon_api::HealthCheckReq*,
                                     daemon_api::HealthCheckResp* response) {
  Called("HealthCheck");
  *response = health_response;
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::Watch(grpc::ServerContext*, const daemon_api::WatchReq* request,
                               WatchStream* stream) {
  watch_request = *request;
  for (const daemon_api::WatchResp& response : watch_responses) stream->Write(response);
  absl::MutexLock lock(&mutex_);
  watched_ = true;
  return grpc::Status::OK;
}

}  // namespace cedana::cli
