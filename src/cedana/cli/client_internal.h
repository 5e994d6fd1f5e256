// The connection to the daemon. Included by .cc files only, because gRPC's headers are heavy.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "cedana/cli/signals.h"
#include "cedana/config/config.h"
#include "daemon_api.h"

namespace cedana::cli {

// Per call; a dump or a restore has none, its progress tells.
inline constexpr absl::Duration kNoTimeout = absl::InfiniteDuration();
inline constexpr absl::Duration kJobTimeout = absl::Seconds(20);
inline constexpr absl::Duration kStartTimeout = absl::Minutes(1);
inline constexpr absl::Duration kHealthTimeout = absl::Minutes(1);

// Did the daemon say so (as opposed to this program)? Then the code's name is shown.
bool IsFromDaemon(const absl::Status& status);
// Was the answer lost, by an interruption or with the daemon? Then only the daemon knows what
// became of the operation.
bool IsAnswerLost(const absl::Status& status);
// The serialized message that went along with the daemon's error; empty: none did.
std::string DetailsOf(const absl::Status& status);
// "NotFound", "Canceled": gRPC's names.
std::string CodeName(absl::StatusCode code);

// Thread-safe. SIGINT, SIGTERM, … cancel what is under way unless a command sets its own handler.
class Client {
 public:
  // kUnavailable, in one line with what to do: nobody listens there, or no permission.
  static absl::StatusOr<std::unique_ptr<Client>> Connect(const config::Config& config);
  ~Client();

  template <typename Request, typename Response>
  absl::Status Call(grpc::Status (daemon_api::Daemon::Stub::*method)(grpc::ClientContext*,
                                                                     const Request&, Response*),
                    const Request& request, Response* response, absl::Duration timeout) {
    Context context(this, timeout);
    return FromGrpc((stub_.get()->*method)(context.get(), request, response));
  }

  // A call's context, cancelled with everything else.
  class Context {
   public:
    Context(Client* client, absl::Duration timeout);
    ~Context();
    grpc::ClientContext* get() { return &context_; }

   private:
    Client* const client_;
    grpc::ClientContext context_;
  };

  // Everything under way ends with kCancelled.
  void CancelAll();
  absl::Status FromGrpc(const grpc::Status& status);
  daemon_api::Daemon::Stub& stub() { return *stub_; }
  Signals& signals() { return *signals_; }

 private:
  Client() = default;

  std::unique_ptr<Signals> signals_;
  std::string address_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<daemon_api::Daemon::Stub> stub_;
  absl::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<grpc::ClientContext*> contexts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cedana::cli
