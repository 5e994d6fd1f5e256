#include "core/objstore/testing/imposter.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace cedana::objstore {
namespace {

// What passes at once under a rate: small enough that a rate of 100 kB/s still looks like a
// trickle.
constexpr size_t kPieceBytesMax = 256u << 10;
constexpr double kPieceSeconds = 0.02;
constexpr absl::Duration kLook = absl::Milliseconds(20);

std::span<const uint8_t> Bytes(absl::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// splitmix64: the same draws on every machine.
uint64_t NextDraw(uint64_t& state) {
  uint64_t z = (state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Imposter>> Imposter::Start(
    ImposterOptions options, std::unique_ptr<ImposterDialect> dialect) {
  std::unique_ptr<Imposter> imposter(new Imposter(options, std::move(dialect)));
  CEDANA_RETURN_IF_ERROR(imposter->Reserve());
  CEDANA_RETURN_IF_ERROR(imposter->SetListening(true));
  return imposter;
}

Imposter::~Imposter() {
  stop_->Cancel(absl::CancelledError("the imposter stops"));
  server_.reset();
}

std::string Imposter::url() const { return absl::StrCat("http://127.0.0.1:", port_); }

absl::Status Imposter::Reserve() {
  reservation_.Reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int yes = 1;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(options_.port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (::setsockopt(reservation_.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
      ::bind(reservation_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::getsockname(reservation_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return base::ErrnoStatus(errno, absl::StrCat("port ", options_.port));
  }
  port_ = ntohs(address.sin_port);
  return absl::OkStatus();
}

absl::Status Imposter::SetListening(bool listening) {
  if (!listening) {
    if (server_ != nullptr) server_->Stop(absl::ZeroDuration());
    server_.reset();
    return absl::OkStatus();
  }
  if (server_ != nullptr) return absl::OkStatus();
  http::ServerOptions options;
  options.port = port_;
  options.workers = options_.workers;
  CEDANA_ASSIGN_OR_RETURN(server_, http::Server::Start(options, [this](http::Exchange& exchange) {
                            Handle(exchange);
                          }));
  return absl::OkStatus();
}

void Imposter::AddFault(ImposterFault fault) {
  absl::MutexLock lock(&mutex_);
  faults_.push_back(std::move(fault));
  ++plan_;
}

void Imposter::ClearFaults() {
  absl::MutexLock lock(&mutex_);
  faults_.clear();
  ++plan_;
}

void Imposter::SetPace(ImposterPace pace) {
  absl::MutexLock lock(&mutex_);
  pace_ = pace;
  in_busy_until_ = out_busy_until_ = absl::ZeroDuration();
}

void Imposter::SetClockSkew(absl::Duration skew) {
  absl::MutexLock lock(&mutex_);
  skew_ = skew;
}

ImposterCounts Imposter::counts() const {
  absl::MutexLock lock(&mutex_);
  return counts_;
}

double Imposter::Draw() {
  return static_cast<double>(NextDraw(draws_) >> 11) / static_cast<double>(uint64_t{1} << 53);
}

absl::StatusOr<ImposterFault> Imposter::Meet(const ImposterTarget& target) {
  ImposterFault result;
  absl::Duration wait;
  {
    absl::MutexLock lock(&mutex_);
    ++counts_.requests;
    if (target.operation == Operation::kPut) ++counts_.puts;
    if (target.operation == Operation::kGet) ++counts_.gets;
    wait = pace_.slow_share > 0 && Draw() < pace_.slow_share ? pace_.slow_latency : pace_.latency;
    for (ImposterFault& fault : faults_) {
      if (fault.operation.value_or(target.operation) != target.operation || fault.times == 0 ||
          !absl::StartsWith(target.key, fault.prefix)) {
        continue;
      }
      if (fault.skip > 0) {
        --fault.skip;
        continue;
      }
      if (fault.share < 1.0 && Draw() >= fault.share) continue;
      if (fault.times > 0) --fault.times;
      ++counts_.faults;
      result = fault;
      break;
    }
  }
  CEDANA_RETURN_IF_ERROR(context().Sleep(wait + result.latency));
  return result;
}

void Imposter::Hang(http::Exchange& exchange) {
  const auto plan = [this] {
    absl::MutexLock lock(&mutex_);
    return plan_;
  };
  const int before = plan();
  while (plan() == before && !exchange.cancelled() && context().Sleep(kLook).ok()) {
  }
  exchange.Cut();
}

absl::Status Imposter::Throttle(absl::Duration Imposter::*busy_until, size_t bytes) {
  absl::Duration wait;
  {
    absl::MutexLock lock(&mutex_);
    if (pace_.bytes_per_s <= 0) return absl::OkStatus();
    const absl::Duration now = options_.clock->Monotonic();
    this->*busy_until = std::max(this->*busy_until, now) +
                        absl::Seconds(static_cast<double>(bytes) / pace_.bytes_per_s);
    wait = this->*busy_until - now;
  }
  return context().Sleep(wait);
}

absl::StatusOr<std::string> Imposter::ReadBody(http::Exchange& exchange) {
  std::string body;
  const uint64_t announced = exchange.request().content_length.value_or(0);
  if (announced > kBodyBytesMax) return absl::ResourceExhaustedError("body too large");
  body.reserve(announced);
  std::vector<uint8_t> piece(kPieceBytesMax);
  while (true) {
    CEDANA_ASSIGN_OR_RETURN(const size_t got, exchange.ReadBody(piece));
    if (got == 0) return body;
    if (got > kBodyBytesMax - body.size()) return absl::ResourceExhaustedError("body too large");
    body.append(reinterpret_cast<const char*>(piece.data()), got);
    CEDANA_RETURN_IF_ERROR(Throttle(&Imposter::in_busy_until_, got));
    absl::MutexLock lock(&mutex_);
    counts_.body_bytes_in += static_cast<int64_t>(got);
  }
}

absl::Time Imposter::Now() const {
  absl::MutexLock lock(&mutex_);
  return options_.clock->Now() + skew_;
}

void Imposter::Send(http::Exchange& exchange, const ImposterFault& fault, ImposterAnswer answer) {
  if (fault.flip_bit && answer.is_object && *fault.flip_bit / 8 < answer.body.size()) {
    answer.body[*fault.flip_bit / 8] ^= static_cast<char>(1 << (*fault.flip_bit % 8));
  }
  const uint64_t length = answer.content_length.value_or(answer.body.size());
  answer.headers.emplace_back(
      "Date", absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", Now(), absl::UTCTimeZone()));
  if (!exchange.Start(answer.status, answer.headers, length).ok()) return;
  absl::string_view left = answer.body;
  const bool cut = fault.cut_after.has_value() && *fault.cut_after < left.size();
  if (cut) left = left.substr(0, *fault.cut_after);
  while (!left.empty()) {
    double rate = 0;
    {
      absl::MutexLock lock(&mutex_);
      rate = pace_.bytes_per_s;
    }
    const auto step_max = rate > 0
                              ? static_cast<size_t>(std::clamp(rate * kPieceSeconds, 1024.0,
                                                               static_cast<double>(kPieceBytesMax)))
                              : left.size();
    const absl::string_view step = left.substr(0, step_max);
    if (!Throttle(&Imposter::out_busy_until_, step.size()).ok()) return exchange.Cut();
    {
      // Before the peer can have them.
      absl::MutexLock lock(&mutex_);
      counts_.body_bytes_out += static_cast<int64_t>(step.size());
    }
    if (!exchange.Write(Bytes(step)).ok()) return;
    left.remove_prefix(step.size());
  }
  if (cut) return exchange.Cut();
  exchange.Finish().IgnoreError();  // a failure is the peer's
}

void Imposter::Handle(http::Exchange& exchange) {
  const http::ServerRequest& request = exchange.request();
  const absl::StatusOr<ImposterFault> fault = Meet(dialect_->TargetOf(request));
  if (!fault.ok()) return exchange.Cut();
  if (fault->no_answer) return Hang(exchange);
  if (fault->status != 0) {
    ImposterAnswer answer = dialect_->ErrorAnswer(request, fault->status, fault->code);
    if (fault->retry_after > absl::ZeroDuration()) {
      answer.headers.emplace_back("Retry-After",
                                  absl::StrCat(absl::ToInt64Seconds(fault->retry_after)));
    }
    return Send(exchange, *fault, std::move(answer));
  }
  const absl::Time now = Now();
  if (auto refusal = dialect_->Refuse(request, now)) {
    return Send(exchange, *fault, *std::move(refusal));
  }
  const absl::StatusOr<std::string> body = ReadBody(exchange);
  if (!body.ok()) return exchange.Cut();  // the peer is gone, or sends what no cloud takes
  ImposterAnswer answer = dialect_->Serve(context(), request, *body, now);
  if (fault->lose_reply) return exchange.Cut();
  Send(exchange, *fault, std::move(answer));
}

}  // namespace cedana::objstore
