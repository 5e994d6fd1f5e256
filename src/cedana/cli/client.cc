#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cedana/cli/client_internal.h"
#include "core/base/status.h"

namespace cedana::cli {
namespace {

constexpr absl::string_view kFromDaemon = "cedana.cli/from_daemon";
constexpr absl::string_view kAnswerLost = "cedana.cli/answer_lost";
constexpr absl::string_view kDetails = "cedana.cli/details";
constexpr int kReceiveBytesMax = 64 << 20;  // a long job list
// An error's text and details come in the trailers of a call; gRPC takes 8 KiB unless told more,
// and loses the whole error with what is over. The longest is the list of jobs that share a name.
constexpr int kTrailerBytesMax = 256 << 10;
// A UNIX socket answers at once; this is for a host that is far away.
constexpr absl::Duration kConnectTimeout = absl::Seconds(5);

absl::Status DaemonStatus(absl::StatusCode code, absl::string_view message) {
  absl::Status status(code, message);
  status.SetPayload(kFromDaemon, absl::Cord("1"));
  return status;
}

absl::Status AnswerLost(absl::StatusCode code, absl::string_view message) {
  absl::Status status = DaemonStatus(code, message);
  status.SetPayload(kAnswerLost, absl::Cord("1"));
  return status;
}

absl::Status Unreachable(const std::string& address, bool is_unix) {
  if (is_unix && ::access(address.c_str(), F_OK) == 0 && ::access(address.c_str(), W_OK) != 0 &&
      errno == EACCES) {
    return DaemonStatus(absl::StatusCode::kPermissionDenied,
                        absl::StrCat("no right to use the daemon's socket ", address,
                                     ": run this command as root"));
  }
  return DaemonStatus(absl::StatusCode::kUnavailable,
                      absl::StrCat("cannot reach the daemon at ", address,
                                   ": start it with \"cedana daemon start\""));
}

}  // namespace

bool IsFromDaemon(const absl::Status& status) { return status.GetPayload(kFromDaemon).has_value(); }

bool IsAnswerLost(const absl::Status& status) { return status.GetPayload(kAnswerLost).has_value(); }

std::string DetailsOf(const absl::Status& status) {
  const auto details = status.GetPayload(kDetails);
  return details.has_value() ? std::string(*details) : "";
}

std::string CodeName(absl::StatusCode code) {
  if (code == absl::StatusCode::kCancelled) return "Canceled";
  // "INVALID_ARGUMENT" -> "InvalidArgument".
  std::string name;
  bool capital = true;
  for (const char c : absl::StatusCodeToString(code)) {
    if (c == '_') {
      capital = true;
      continue;
    }
    name.push_back(capital ? c : absl::ascii_tolower(c));
    capital = false;
  }
  return name;
}

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(const config::Config& config) {
  const std::string protocol = absl::AsciiStrToLower(config.Text("protocol"));
  const bool is_unix = protocol == "unix";
  if (!is_unix && protocol != "tcp") {
    return absl::InvalidArgumentError(
        absl::StrCat("protocol \"", protocol, "\" is not offered: use unix or tcp"));
  }
  std::unique_ptr<Client> client(new Client);
  client->address_ = config.DaemonAddress();
  CEDANA_ASSIGN_OR_RETURN(client->signals_, Signals::Catch());
  client->signals_->SetHandler([self = client.get()](int) { self->CancelAll(); });

  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kReceiveBytesMax);
  arguments.SetInt(GRPC_ARG_MAX_METADATA_SIZE, kTrailerBytesMax);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  client->channel_ = grpc::CreateCustomChannel(
      is_unix ? absl::StrCat("unix:", client->address_) : client->address_,
      grpc::InsecureChannelCredentials(), arguments);
  client->stub_ = daemon_api::Daemon::NewStub(client->channel_);

  const bool wait = config.Bool("client.wait_for_ready");
  const absl::Time deadline = absl::Now() + (wait ? kStartTimeout : kConnectTimeout);
  while (true) {
    const grpc_connectivity_state state = client->channel_->GetState(true);
    if (state == GRPC_CHANNEL_READY) return client;
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE && !wait) break;
    {
      absl::MutexLock lock(&client->mutex_);
      if (client->cancelled_) return absl::CancelledError("interrupted");
    }
    // In slices, so that an interruption is noticed.
    const absl::Time slice = std::min(deadline, absl::Now() + absl::Milliseconds(100));
    client->channel_->WaitForStateChange(state, absl::ToChronoTime(slice));
    if (absl::Now() >= deadline) break;
  }
  return Unreachable(client->address_, is_unix);
}

Client::~Client() {
  if (signals_ != nullptr) signals_->SetHandler(nullptr);
}

Client::Context::Context(Client* client, absl::Duration timeout) : client_(client) {
  if (timeout != absl::InfiniteDuration()) {
    context_.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  }
  absl::MutexLock lock(&client_->mutex_);
  client_->contexts_.insert(&context_);
  if (client_->cancelled_) context_.TryCancel();
}

Client::Context::~Context() {
  absl::MutexLock lock(&client_->mutex_);
  client_->contexts_.erase(&context_);
}

void Client::CancelAll() {
  absl::MutexLock lock(&mutex_);
  cancelled_ = true;
  for (grpc::ClientContext* context : contexts_) context->TryCancel();
}

absl::Status Client::FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  {
    absl::MutexLock lock(&mutex_);
    if (cancelled_) return AnswerLost(absl::StatusCode::kCancelled, "interrupted");
  }
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  // The daemon's own "unavailable" (a storage that is down) leaves the connection as it is.
  if (code == absl::StatusCode::kUnavailable && channel_->GetState(false) != GRPC_CHANNEL_READY) {
    return AnswerLost(code, absl::StrCat("lost the connection to the daemon at ", address_, " (",
                                         status.error_message(), ")"));
  }
  if (code == absl::StatusCode::kDeadlineExceeded && status.error_message().empty()) {
    return DaemonStatus(code, "the daemon did not answer in time");
  }
  absl::Status ours = DaemonStatus(code, status.error_message());
  if (!status.error_details().empty()) {
    ours.SetPayload(kDetails, absl::Cord(status.error_details()));
  }
  return ours;
}

}  // namespace cedana::cli
