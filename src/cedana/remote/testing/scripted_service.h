// A real HTTP server that plays the storage service and the providers: it gives the answers that a
// test wrote down, and remembers what it was asked.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/base/ids.h"
#include "core/base/json.h"
#include "core/http/server.h"

namespace cedana::remote {

struct Reply {
  enum class Kind {
    kAnswer,
    kCut,     // the head and half of the body, then the connection ends
    kHang,    // nothing, until the client leaves
    kObject,  // the range of `body` that was asked for, as 206
  };
  int status = 200;
  std::string body;
  http::Headers headers;
  Kind kind = Kind::kAnswer;
  absl::Duration delay;    // before the first byte of the answer
  double bytes_per_s = 0;  // of the request's body and of kObject; zero: as fast as it goes
};

// An error in the form of the interface.
Reply ErrorReply(int status, const std::string& code, const std::string& message);

struct Seen {
  std::string method;
  std::string target;
  std::string body;
  http::Headers headers;
  const std::string* Header(const std::string& lower_case_name) const;
};

class ScriptedService {
 public:
  ScriptedService();
  ~ScriptedService();

  std::string origin() const;
  // The answers, in order, to requests that begin so ("PUT /v3/saves/"); the last one stays. The
  // longest beginning that fits decides. "{origin}" in a body becomes the origin.
  void On(const std::string& beginning, std::vector<Reply> replies);
  std::vector<Seen> Requests(const std::string& beginning = "");
  int Count(const std::string& beginning) { return static_cast<int>(Requests(beginning).size()); }
  // From now on nobody listens.
  void Stop();

 private:
  void Handle(http::Exchange& exchange);
  Reply Next(const std::string& request);

  absl::Mutex mutex_;
  std::map<std::string, std::vector<Reply>> replies_ ABSL_GUARDED_BY(mutex_);
  std::vector<Seen> seen_ ABSL_GUARDED_BY(mutex_);
  std::atomic<bool> stopping_{false};
  std::string origin_;
  std::unique_ptr<http::Server> server_;
};

// {grants: […]} for `pack`, one entry for each name, at {origin}/objects/<name>.
std::string GrantsBody(const base::PackId& pack, const std::vector<std::string>& providers,
                       const std::string& method);
// A provider as the service names it to uploads.
struct OfferedProvider {
  std::string name;
  std::string domain;  // empty: its name
  std::string dialect = "directory";
  std::string origin = "{origin}";
};
// {copies, ack, grants: […]}, as of a service with a policy.
std::string UploadGrantsBody(const base::PackId& pack, int copies, int ack,
                             const std::vector<OfferedProvider>& providers);
// Members of a checkpoint and of keys, as the service sends them.
base::Json CheckpointJson(const std::string& path);
base::Json KeysJson();

}  // namespace cedana::remote
