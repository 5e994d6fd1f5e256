#include "storage/api/node.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "core/http/server.h"
#include "storage/api/organisations.h"
#include "storage/api/service.h"
#include "storage/metadata/tokens.h"
#include "storage/replica/collector.h"
#include "storage/replica/lost_commits.h"
#include "storage/replica/prober.h"
#include "storage/replica/read_ahead.h"
#include "storage/replica/registry.h"
#include "storage/replica/repair_worker.h"
#include "storage/replica/spread.h"
#include "storage/replica/worker.h"

namespace cedana::api {
namespace {

constexpr char kDefaultOrganisation[] = "default";

// What lies in a directory provider; /v2 has slots and workers of its own (bulk_slots.h).
bool IsBulk(const http::ServerRequest& request) {
  return absl::StartsWith(request.path, "/v3/objects/");
}

bool IsLoopback(const std::string& address) {
  in_addr v4{};
  if (::inet_pton(AF_INET, address.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6{};
  return ::inet_pton(AF_INET6, address.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

absl::StatusOr<base::UniqueFd> LockFolder(const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/lock");
  base::UniqueFd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.valid()) return base::ErrnoStatus(errno, path);
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) return base::ErrnoStatus(errno, path);
  return absl::FailedPreconditionError(
      absl::StrCat(folder, ": another cedana-storage serves this folder"));
}

absl::StatusOr<replica::KeyRing> OpenKeys(const NodeOptions& options, bool fresh) {
  if (options.master_key_hex.has_value()) {
    return replica::KeyRing::FromHex(*options.master_key_hex);
  }
  if (!options.master_key_file.empty()) {
    return replica::KeyRing::FromFile(options.master_key_file, /*create=*/false,
                                      base::SystemRandom());
  }
  const std::string folder = absl::StrCat(options.data_dir, "/keys");
  CEDANA_RETURN_IF_ERROR(base::MakeDirs(folder, 0700));
  // A key is drawn for an empty folder only: beside a catalog a new one would open nothing.
  return replica::KeyRing::FromFile(absl::StrCat(folder, "/master"), fresh, base::SystemRandom());
}

class RunningNode : public Node {
 public:
  explicit RunningNode(NodeOptions options) : options_(std::move(options)) {}

  ~RunningNode() override { Stop(absl::ZeroDuration()); }

  absl::Status Start() {
    CEDANA_RETURN_IF_ERROR(OpenFolder());
    CEDANA_RETURN_IF_ERROR(FirstStart());
    if (const absl::Status spread = replica::SpreadKeys({}, vault_); !spread.ok()) {
      base::LogWarn("a provider lacks organisation keys", {{"error", spread.message()}});
    }
    replica::CompareAllRecords({}, vault_);
    collector_ = std::make_unique<replica::Collector>(&vault_);
    repairer_ = std::make_unique<replica::Repairer>(&vault_, options_.repair);
    service_ = std::make_unique<Service>(
        ServiceParts{&vault_, collector_.get(), repairer_.get(), registry_.get()}, options_.bulk);
    // However many of them transfer, or wait to, others are served.
    const int workers = options_.bulk.shares + options_.bulk.waiting + options_.workers;
    CEDANA_ASSIGN_OR_RETURN(server_, http::Server::Start({.address = options_.address,
                                                          .port = options_.port,
                                                          .workers = workers,
                                                          .is_bulk = IsBulk,
                                                          .bulk_workers = options_.bulk_workers,
                                                          .io_timeout = options_.io_timeout,
                                                          .slow_time = options_.slow_time,
                                                          .tls_cert_file = options_.tls_cert_file,
                                                          .tls_key_file = options_.tls_key_file},
                                                         [this](http::Exchange& exchange) {
                                                           service_->Handle(exchange);
                                                         }));
    prober_ = std::make_unique<replica::Prober>(&vault_, registry_.get(), repairer_.get());
    repair_worker_ =
        std::make_unique<replica::RepairWorker>(&vault_, repairer_.get(), registry_.get());
    worker_ = std::make_unique<replica::Worker>(&vault_, collector_.get());
    read_ahead_ = std::make_unique<replica::ReadAheadWorker>(&vault_);
    return absl::OkStatus();
  }

  uint16_t port() const override { return server_->port(); }
  const replica::Vault& vault() const override { return vault_; }
  void Stop(absl::Duration grace) override {
    if (server_ != nullptr) server_->Stop(grace);
    prober_.reset();
    repair_worker_.reset();
    worker_.reset();
    read_ahead_.reset();
  }

 private:
  absl::Status OpenFolder() {
    if (options_.tls_cert_file.empty() != options_.tls_key_file.empty()) {
      return absl::InvalidArgumentError("TLS: --tls-cert and --tls-key are wanted together");
    }
    // Keys and tokens pass here.
    if (!IsLoopback(options_.address) && options_.tls_cert_file.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("listen ", options_.address,
                       ": anything but loopback needs TLS (--tls-cert FILE --tls-key FILE)"));
    }
    const std::string& folder = options_.data_dir;
    CEDANA_RETURN_IF_ERROR(base::MakeDirs(folder, 0700));
    CEDANA_ASSIGN_OR_RETURN(lock_, LockFolder(folder));
    const std::string catalog = absl::StrCat(folder, "/catalog.db");
    const bool fresh = ::access(catalog.c_str(), F_OK) != 0;
    CEDANA_ASSIGN_OR_RETURN(const replica::KeyRing keys, OpenKeys(options_, fresh));
    keys_.emplace(keys);
    grants_.emplace(keys_->grant_key());
    base::Clock* clock = options_.clock != nullptr ? options_.clock : &base::SystemClock();
    health_.emplace(clock);
    providers_.emplace(&*health_);
    CEDANA_ASSIGN_OR_RETURN(metadata_,
                            metadata::Metadata::Open(catalog, {.clock = clock,
                                                               .lease = options_.times.lease,
                                                               .grant = options_.times.grant}));
    vault_ = {.metadata = metadata_.get(),
              .providers = &*providers_,
              .keys = &*keys_,
              .grants = &*grants_,
              .clock = clock,
              .random = &base::SystemRandom(),
              .times = options_.times};
    return OpenProviders();
  }

  absl::Status OpenProviders() {
    if (options_.providers.empty()) {
      CEDANA_ASSIGN_OR_RETURN(const auto known, metadata_->providers().All());
      if (known.empty()) {
        options_.providers.push_back(
            {"local", absl::StrCat("file://", options_.data_dir, "/objects"), ""});
      }
    }
    registry_ = std::make_unique<replica::ProviderRegistry>(
        &vault_, absl::StrCat(options_.data_dir, "/providers"));
    return registry_->Load(options_.providers);
  }

  // Whatever of the first start is missing; a start that was interrupted goes on here.
  absl::Status FirstStart() {
    absl::StatusOr<metadata::Organisation> organisation =
        metadata_->identities().FindOrganisation(std::string(kDefaultOrganisation));
    if (absl::IsNotFound(organisation.status())) {
      organisation = MakeOrganisation(vault_, kDefaultOrganisation);
    }
    CEDANA_RETURN_IF_ERROR(organisation.status());
    // Says at once that a folder is served with another master key.
    CEDANA_RETURN_IF_ERROR(keys_->Unwrap(organisation->id, organisation->wrapped_key).status());
    CEDANA_RETURN_IF_ERROR(EnsureToken("token", organisation->id));
    return EnsureToken("operator-token", std::nullopt);
  }

  // A folder that has none of this kind gets one, in a file that only its owner reads. (The file is
  // written first: a token that is in the catalog only could never be shown again.)
  absl::Status EnsureToken(const std::string& name,
                           const std::optional<base::OrgId>& organisation) {
    CEDANA_ASSIGN_OR_RETURN(const auto tokens, metadata_->identities().Tokens(""));
    for (const metadata::Token& token : tokens) {
      if (token.organisation == organisation) return absl::OkStatus();
    }
    const metadata::DrawnToken drawn = metadata::DrawToken(*vault_.random, organisation);
    const std::string path = absl::StrCat(options_.data_dir, "/", name);
    CEDANA_RETURN_IF_ERROR(base::WriteFileAtomic(path, absl::StrCat(drawn.text, "\n"), 0600));
    return metadata_->identities().AddToken(drawn.row);
  }

  // In the order of construction; destroyed in reverse.
  NodeOptions options_;
  base::UniqueFd lock_;
  std::optional<replica::KeyRing> keys_;
  std::optional<replica::GrantSigner> grants_;
  std::optional<replica::HealthBoard> health_;
  std::optional<replica::ProviderSet> providers_;
  std::unique_ptr<metadata::Metadata> metadata_;
  replica::Vault vault_;
  std::unique_ptr<replica::ProviderRegistry> registry_;
  std::unique_ptr<replica::Collector> collector_;
  std::unique_ptr<replica::Repairer> repairer_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<replica::Prober> prober_;
  std::unique_ptr<replica::RepairWorker> repair_worker_;
  std::unique_ptr<replica::Worker> worker_;
  std::unique_ptr<replica::ReadAheadWorker> read_ahead_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Node>> Node::Start(const NodeOptions& options) {
  auto node = std::make_unique<RunningNode>(options);
  CEDANA_RETURN_IF_ERROR(node->Start());
  return node;
}

}  // namespace cedana::api
