#include <pthread.h>

#include <csignal>
#include <cstdio>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/environment.h"
#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "storage/cli/commands.h"

namespace cedana::cli {
namespace {

constexpr absl::Duration kStopGrace = absl::Seconds(10);
constexpr size_t kProvidersFileBytesMax = 256u << 10;

absl::Status ParseListen(const std::string& listen, api::NodeOptions* node) {
  const size_t colon = listen.rfind(':');
  uint32_t port = 0;
  if (colon == std::string::npos || !absl::SimpleAtoi(listen.substr(colon + 1), &port) ||
      port > UINT16_MAX) {
    return absl::InvalidArgumentError(absl::StrCat("listen ", listen, ": ADDRESS:PORT is wanted"));
  }
  node->address = listen.substr(0, colon);
  if (node->address.size() > 2 && node->address.front() == '[' && node->address.back() == ']') {
    node->address = node->address.substr(1, node->address.size() - 2);
  }
  if (node->address == "localhost") node->address = "127.0.0.1";
  node->port = static_cast<uint16_t>(port);
  return absl::OkStatus();
}

absl::Status SetTimes(const ServeOptions& options, replica::Times* times) {
  const auto set = [](double seconds, absl::Duration* time) {
    if (seconds > 0) *time = absl::Seconds(seconds);
  };
  set(options.lease_s, &times->lease);
  set(options.heartbeat_s, &times->heartbeat);
  set(options.grant_s, &times->grant);
  set(options.sweep_interval_s, &times->sweep_interval);
  if (options.grace_s >= 0) times->grace = absl::Seconds(options.grace_s);
  if (options.lease_s > 0 && options.heartbeat_s <= 0) {
    times->heartbeat = std::min(times->heartbeat, times->lease / 4);
  }
  if (times->heartbeat * 2 > times->lease) {
    return absl::InvalidArgumentError("lease: at least two heartbeats must fit in it");
  }
  return absl::OkStatus();
}

std::string UrlHost(const std::string& address) {
  return address.find(':') == std::string::npos ? address : absl::StrCat("[", address, "]");
}

}  // namespace

absl::Status Serve(const ServeOptions& options) {
  base::InitLog("cedana-storage", base::ParseLogLevel(options.log_level),
                base::ParseLogFormat(options.log_format));
  api::NodeOptions node_options;
  node_options.data_dir = options.data_dir;
  node_options.master_key_file = options.master_key_file;
  node_options.master_key_hex = base::GetEnv("CEDANA_STORAGE_MASTER_KEY");
  CEDANA_RETURN_IF_ERROR(ParseListen(options.listen, &node_options));
  CEDANA_RETURN_IF_ERROR(SetTimes(options, &node_options.times));
  node_options.tls_cert_file = options.tls_cert_file;
  node_options.tls_key_file = options.tls_key_file;
  for (const std::string& text : options.providers) {
    CEDANA_ASSIGN_OR_RETURN(replica::ProviderSpec spec, replica::ParseProvider(text));
    node_options.providers.push_back(std::move(spec));
  }
  if (!options.providers_file.empty()) {
    CEDANA_ASSIGN_OR_RETURN(const std::string text,
                            base::ReadFile(options.providers_file, kProvidersFileBytesMax));
    absl::StatusOr<std::vector<replica::ProviderSpec>> listed = replica::ParseProviders(text);
    if (!listed.ok()) return base::Annotate(listed.status(), options.providers_file);
    for (replica::ProviderSpec& spec : *listed) node_options.providers.push_back(std::move(spec));
  }
  // Blocked before any thread starts, so that only the wait below takes them.
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t stop_signals;
  sigemptyset(&stop_signals);
  sigaddset(&stop_signals, SIGTERM);
  sigaddset(&stop_signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &stop_signals, nullptr);

  CEDANA_ASSIGN_OR_RETURN(const std::unique_ptr<api::Node> node, api::Node::Start(node_options));
  const std::string url = absl::StrCat(options.tls_cert_file.empty() ? "http://" : "https://",
                                       UrlHost(node_options.address), ":", node->port());
  std::printf("listening on %s\n", url.c_str());
  std::fflush(stdout);
  base::LogInfo("serving", {{"url", url}, {"data", options.data_dir}});
  int signal = 0;
  sigwait(&stop_signals, &signal);
  base::LogInfo("stopping", {{"signal", signal}});
  node->Stop(kStopGrace);
  return absl::OkStatus();
}

}  // namespace cedana::cli
