// A cloud on this machine: an HTTP server that speaks one provider's dialect over any ObjectStore,
// and fails on cue. What the real cloud documents (signatures, expiry, checksums, lengths,
// create-only) the dialect enforces; what goes wrong with it is a plan that tests change while it
// runs.
//
//   MemoryStore objects;
//   auto cloud = *Imposter::Start({}, MakeS3Imposter({...}, &objects));
//   cloud->AddFault({.operation = Operation::kPut, .skip = 2, .status = 503});
//   cloud->SetPace({.latency = absl::Milliseconds(40), .bytes_per_s = 200e6});
//   cloud->SetListening(false);  // connections are refused
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/context.h"
#include "core/base/fd.h"
#include "core/http/server.h"
#include "core/objstore/fault_store.h"
#include "core/objstore/object_store.h"

namespace cedana::objstore {

// One thing that goes wrong. All effects that are set happen, in this order.
struct ImposterFault {
  std::optional<Operation> operation;  // absent: any
  std::string prefix;                  // of the key, or of a listing's prefix
  int skip = 0;                        // so many matching requests pass first
  int times = -1;                      // then so many are hit; -1: all
  double share = 1.0;                  // of those, drawn from the seed

  absl::Duration latency;  // waited first
  bool no_answer = false;  // nothing is read or answered until the plan changes; then cut
  // Answered instead of doing it, before the body. `code` is the dialect's error code; empty: the
  // one that the dialect documents for this status. 507: full, whatever the dialect calls that.
  int status = 0;
  std::string code;
  absl::Duration retry_after;         // sent with `status`; zero: not
  bool lose_reply = false;            // done, then the connection is cut
  std::optional<uint64_t> flip_bit;   // of the object's bytes that a read delivers
  std::optional<uint64_t> cut_after;  // so many bytes of an answer's body, then the connection ends
};

// How fast it is for everybody. The slow tail is drawn from the seed, for each request by itself.
struct ImposterPace {
  absl::Duration latency;
  double slow_share = 0;
  absl::Duration slow_latency;  // instead of `latency`
  double bytes_per_s = 0;       // of all bodies together, each direction by itself; 0: no limit
};

struct ImposterAnswer {
  int status = 200;
  http::Headers headers;
  std::string body;
  bool is_object = false;                  // the body is an object's bytes: flip_bit applies
  std::optional<uint64_t> content_length;  // of an answer to HEAD
};

// What a request asks for. No key: a listing (then its prefix), or nothing the dialect knows.
struct ImposterTarget {
  Operation operation = Operation::kGet;
  std::string key;
};

// What a provider says. Called by several threads at once.
class ImposterDialect {
 public:
  virtual ~ImposterDialect() = default;
  virtual ImposterTarget TargetOf(const http::ServerRequest& request) const = 0;
  // What is refused before the body is asked for (signature, expiry, missing length); nothing: go
  // on. `now` is the cloud's clock.
  virtual std::optional<ImposterAnswer> Refuse(const http::ServerRequest& request,
                                               absl::Time now) = 0;
  // Does it. `body` is complete: a body cut short never comes here.
  virtual ImposterAnswer Serve(const base::Context& context, const http::ServerRequest& request,
                               absl::string_view body, absl::Time now) = 0;
  // An error in the provider's words; `code` as in ImposterFault.
  virtual ImposterAnswer ErrorAnswer(const http::ServerRequest& request, int status,
                                     const std::string& code) const = 0;
};

struct ImposterOptions {
  uint16_t port = 0;  // 0: any free one; kept through SetListening(false)
  uint64_t seed = 1;
  int workers = 128;  // requests that can hang at once
  // Borrowed; the cloud's clock is this one plus its skew.
  base::Clock* clock = &base::SystemClock();
};

struct ImposterCounts {
  int64_t requests = 0;  // with an answer, or a fault instead of one
  int64_t faults = 0;
  int64_t puts = 0;
  int64_t gets = 0;
  int64_t body_bytes_in = 0;
  int64_t body_bytes_out = 0;
};

// Thread-safe. On 127.0.0.1 only. Destruction ends what hangs.
class Imposter {
 public:
  // The largest request body it takes; every body is in memory while it is served.
  static constexpr size_t kBodyBytesMax = 64u << 20;

  static absl::StatusOr<std::unique_ptr<Imposter>> Start(ImposterOptions options,
                                                         std::unique_ptr<ImposterDialect> dialect);
  ~Imposter();

  uint16_t port() const { return port_; }
  std::string url() const;  // "http://127.0.0.1:PORT"

  // The first fault that matches a request, and is not used up, is applied to it.
  void AddFault(ImposterFault fault);
  void ClearFaults();
  void SetPace(ImposterPace pace);
  void SetClockSkew(absl::Duration skew);
  // False: connections are refused, those that are open are cut. Not to be called by two threads.
  absl::Status SetListening(bool listening);
  ImposterCounts counts() const;

 private:
  Imposter(ImposterOptions options, std::unique_ptr<ImposterDialect> dialect)
      : options_(options), dialect_(std::move(dialect)), draws_(options.seed) {}
  absl::Time Now() const;  // by the cloud's clock

  absl::Status Reserve();
  void Handle(http::Exchange& exchange);
  // What the plan has for this request: the fault that hits it (empty: none), after all waiting.
  // Not OK: the imposter stops.
  absl::StatusOr<ImposterFault> Meet(const ImposterTarget& target);
  void Hang(http::Exchange& exchange);
  absl::StatusOr<std::string> ReadBody(http::Exchange& exchange);
  void Send(http::Exchange& exchange, const ImposterFault& fault, ImposterAnswer answer);
  // Waits until `bytes` may have passed in this direction.
  absl::Status Throttle(absl::Duration Imposter::*busy_until, size_t bytes);
  double Draw() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  base::Context context() const { return {.cancel = stop_}; }

  const ImposterOptions options_;
  const std::unique_ptr<ImposterDialect> dialect_;
  const std::shared_ptr<base::CancelSource> stop_ = std::make_shared<base::CancelSource>();
  base::UniqueFd reservation_;  // bound, never listening: keeps the port while the server is away
  uint16_t port_ = 0;

  mutable absl::Mutex mutex_;
  std::list<ImposterFault> faults_ ABSL_GUARDED_BY(mutex_);
  ImposterPace pace_ ABSL_GUARDED_BY(mutex_);
  int plan_ ABSL_GUARDED_BY(mutex_) = 0;  // counts the changes of the plan
  absl::Duration skew_ ABSL_GUARDED_BY(mutex_);
  uint64_t draws_ ABSL_GUARDED_BY(mutex_);
  absl::Duration in_busy_until_ ABSL_GUARDED_BY(mutex_);
  absl::Duration out_busy_until_ ABSL_GUARDED_BY(mutex_);
  ImposterCounts counts_ ABSL_GUARDED_BY(mutex_);

  std::unique_ptr<http::Server> server_;  // last: its handlers use all of the above
};

}  // namespace cedana::objstore
