// A provider that end-to-end tests can spoil while it runs (README.md).
#include <signal.h>

#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/fd.h"
#include "core/base/json.h"
#include "core/base/status.h"
#include "core/http/server.h"
#include "core/objstore/directory_store.h"
#include "core/objstore/testing/azure_imposter.h"
#include "core/objstore/testing/gcs_imposter.h"
#include "core/objstore/testing/imposter.h"
#include "core/objstore/testing/s3_imposter.h"
#include "core/objstore/testing/service_account.h"

namespace cedana {
namespace {

using base::Json;
using objstore::Imposter;
using objstore::Operation;

struct Options {
  std::string dialect = "s3";
  std::string data;
  std::string credentials;
  uint16_t port = 0;
  uint16_t control = 0;
  uint64_t seed = 1;
};

absl::StatusOr<Options> ParseOptions(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    const std::string value = argv[i + 1];
    int number = 0;
    const bool is_number = absl::SimpleAtoi(value, &number) && number >= 0 && number <= 65535;
    if (name == "--dialect" && (value == "s3" || value == "gcs" || value == "azure")) {
      options.dialect = value;
    } else if (name == "--data") {
      options.data = value;
    } else if (name == "--credentials") {
      options.credentials = value;
    } else if (name == "--port" && is_number) {
      options.port = static_cast<uint16_t>(number);
    } else if (name == "--control" && is_number) {
      options.control = static_cast<uint16_t>(number);
    } else if (name == "--seed" && is_number) {
      options.seed = static_cast<uint64_t>(number);
    } else {
      return absl::InvalidArgumentError(absl::StrCat("cloud: ", name, " ", value, ": not known"));
    }
  }
  if (options.data.empty()) return absl::InvalidArgumentError("cloud: --data DIR is wanted");
  return options;
}

double NumberOr(const Json& json, const char* key, double fallback) {
  const auto it = json.find(key);
  return it != json.end() && it->is_number() ? it->get<double>() : fallback;
}

absl::StatusOr<objstore::ImposterFault> FaultFromJson(const Json& json) {
  objstore::ImposterFault fault;
  const std::string operation = base::StringOr(json, "operation", "");
  if (operation == "put")
    fault.operation = Operation::kPut;
  else if (operation == "get")
    fault.operation = Operation::kGet;
  else if (operation == "head")
    fault.operation = Operation::kHead;
  else if (operation == "list")
    fault.operation = Operation::kList;
  else if (operation == "delete")
    fault.operation = Operation::kDelete;
  else if (!operation.empty())
    return absl::InvalidArgumentError("operation: not known");
  fault.prefix = base::StringOr(json, "prefix", "");
  fault.skip = static_cast<int>(base::IntOr(json, "skip", 0));
  fault.times = static_cast<int>(base::IntOr(json, "times", -1));
  fault.share = NumberOr(json, "share", 1.0);
  fault.latency = absl::Milliseconds(base::IntOr(json, "latency_ms", 0));
  fault.no_answer = base::BoolOr(json, "no_answer", false);
  fault.status = static_cast<int>(base::IntOr(json, "status", 0));
  fault.code = base::StringOr(json, "code", "");
  fault.retry_after = absl::Seconds(base::IntOr(json, "retry_after_s", 0));
  fault.lose_reply = base::BoolOr(json, "lose_reply", false);
  if (json.contains("flip_bit")) {
    fault.flip_bit = static_cast<uint64_t>(base::IntOr(json, "flip_bit", 0));
  }
  if (json.contains("cut_after")) {
    fault.cut_after = static_cast<uint64_t>(base::IntOr(json, "cut_after", 0));
  }
  return fault;
}

Json CountsJson(const objstore::ImposterCounts& counts) {
  return {{"requests", counts.requests},
          {"faults", counts.faults},
          {"puts", counts.puts},
          {"gets", counts.gets},
          {"body_bytes_in", counts.body_bytes_in},
          {"body_bytes_out", counts.body_bytes_out}};
}

absl::Status Obey(Imposter& cloud, http::Exchange& exchange) {
  const http::ServerRequest& request = exchange.request();
  CEDANA_ASSIGN_OR_RETURN(const std::string body, exchange.ReadAll(1u << 16));
  Json json = Json::object();
  if (!body.empty()) {
    CEDANA_ASSIGN_OR_RETURN(json, base::ParseJson(body));
    if (!json.is_object()) return absl::InvalidArgumentError("a JSON object is wanted");
  }
  if (request.path == "/counts") return absl::OkStatus();
  if (request.path == "/fault" && request.method == "DELETE") {
    cloud.ClearFaults();
    return absl::OkStatus();
  }
  if (request.path == "/fault") {
    CEDANA_ASSIGN_OR_RETURN(objstore::ImposterFault fault, FaultFromJson(json));
    cloud.AddFault(std::move(fault));
    return absl::OkStatus();
  }
  if (request.path == "/pace") {
    cloud.SetPace({.latency = absl::Milliseconds(base::IntOr(json, "latency_ms", 0)),
                   .slow_share = NumberOr(json, "slow_share", 0),
                   .slow_latency = absl::Milliseconds(base::IntOr(json, "slow_ms", 0)),
                   .bytes_per_s = NumberOr(json, "bytes_per_s", 0)});
    return absl::OkStatus();
  }
  if (request.path == "/skew") {
    cloud.SetClockSkew(absl::Seconds(base::IntOr(json, "seconds", 0)));
    return absl::OkStatus();
  }
  if (request.path == "/listen") return cloud.SetListening(base::BoolOr(json, "on", true));
  return absl::NotFoundError(absl::StrCat(request.path, ": no such control"));
}

// What speaks the dialect, and the credentials that it takes.
struct Cloud {
  std::unique_ptr<objstore::ImposterDialect> dialect;
  Json credentials;
};

Cloud MakeCloud(const std::string& dialect, objstore::ObjectStore* objects) {
  if (dialect == "gcs") {
    const objstore::GcsCredentials& account = objstore::TestServiceAccount();
    return {objstore::MakeGcsImposter({.client_email = account.client_email,
                                       .public_key = objstore::TestServiceAccountPublicKey()},
                                      objects),
            {{"type", "service_account"},
             {"client_email", account.client_email},
             {"private_key", account.private_key}}};
  }
  if (dialect == "azure") {
    const objstore::AzureImposterOptions azure;
    return {objstore::MakeAzureImposter(azure, objects),
            {{"account", azure.account}, {"key", azure.key_base64}}};
  }
  const objstore::S3ImposterOptions s3;
  return {objstore::MakeS3Imposter(s3, objects),
          {{"access_key_id", s3.credentials.access_key_id},
           {"secret_access_key", s3.credentials.secret_access_key}}};
}

absl::Status Run(const Options& options) {
  CEDANA_RETURN_IF_ERROR(base::MakeDirs(options.data, 0755));
  CEDANA_ASSIGN_OR_RETURN(const auto objects, objstore::DirectoryStore::Open(options.data));
  Cloud made = MakeCloud(options.dialect, objects.get());
  if (!options.credentials.empty()) {
    CEDANA_RETURN_IF_ERROR(
        base::WriteFileAtomic(options.credentials, base::DumpJson(made.credentials), 0600));
  }
  CEDANA_ASSIGN_OR_RETURN(
      const auto cloud,
      Imposter::Start({.port = options.port, .seed = options.seed}, std::move(made.dialect)));
  const auto control = [&cloud](http::Exchange& exchange) {
    const absl::Status done = Obey(*cloud, exchange);
    const std::string answer =
        done.ok() ? base::DumpJson(CountsJson(cloud->counts())) : std::string(done.message());
    (void)exchange.Respond(done.ok() ? 200 : 400, {}, answer + "\n");
  };
  CEDANA_ASSIGN_OR_RETURN(const auto server,
                          http::Server::Start({.port = options.control, .workers = 2}, control));
  std::printf("listening %u %u\n", cloud->port(), server->port());
  std::fflush(stdout);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  int received = 0;
  sigwait(&set, &received);
  return absl::OkStatus();
}

}  // namespace
}  // namespace cedana

int main(int argc, char** argv) {
  // Before any thread starts, so that all of them inherit it.
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  const absl::StatusOr<cedana::Options> options = cedana::ParseOptions(argc, argv);
  const absl::Status status = options.ok() ? cedana::Run(*options) : options.status();
  if (status.ok()) return 0;
  std::fprintf(stderr, "cloud: %s\n", std::string(status.message()).c_str());
  return 1;
}
