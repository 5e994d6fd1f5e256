// The suites that every implementation of the ports must pass, over HTTP against the real service.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "cedana/remote/cedana_backend.h"
#include "core/base/status.h"
#include "core/transfer/testing/catalog_conformance.h"
#include "core/transfer/testing/store_conformance.h"
#include "test/integration/service_process.h"

namespace cedana::transfer {
namespace {

using integration::ServiceProcess;
using remote::CedanaBackend;

// One service for all tests; an organisation of its own for each.
ServiceProcess& Service() {
  static const std::unique_ptr<ServiceProcess> service = [] {
    const std::string dir = testing::TempDir() + "cedana_remote_conformance";
    std::filesystem::remove_all(dir);
    absl::StatusOr<std::unique_ptr<ServiceProcess>> started = ServiceProcess::Start(dir);
    if (!started.ok()) ADD_FAILURE() << started.status();
    return started.ok() ? *std::move(started) : nullptr;
  }();
  return *service;
}

absl::StatusOr<std::string> NewOrganisation() {
  const std::string name =
      "org-" + base::DrawId<base::OrgId>(base::SystemRandom()).ToHex().substr(0, 12);
  CEDANA_RETURN_IF_ERROR(Service().Admin({"org", "create", name}).status());
  CEDANA_ASSIGN_OR_RETURN(const std::string text,
                          Service().Admin({"token", "create", "--org", name, "-o", "json"}));
  CEDANA_ASSIGN_OR_RETURN(const base::Json json, base::ParseJson(text));
  return base::GetString(json, "token");
}

std::shared_ptr<CedanaBackend> NewBackend() {
  const absl::StatusOr<std::string> token = NewOrganisation();
  EXPECT_TRUE(token.ok()) << token.status();
  remote::RemoteOptions options;
  options.read.give_up_after = absl::Seconds(2);  // some tests ask for what is not there
  auto backend =
      CedanaBackend::Create({.url = Service().url(), .auth_token = token.value_or("x")}, options);
  EXPECT_TRUE(backend.ok()) << backend.status();
  return *std::move(backend);
}

// The suites own a Catalog; the back end owns ours.
class BorrowedCatalog : public Catalog {
 public:
  explicit BorrowedCatalog(Catalog& catalog) : catalog_(catalog) {}
  absl::StatusOr<BegunSave> Begin(const base::Context& c, const BeginRequest& r) override {
    return catalog_.Begin(c, r);
  }
  absl::Status Heartbeat(const base::Context& c, const base::SaveId& s) override {
    return catalog_.Heartbeat(c, s);
  }
  absl::StatusOr<CheckpointInfo> Commit(const base::Context& c, const CommitRequest& r) override {
    return catalog_.Commit(c, r);
  }
  absl::Status Abort(const base::Context& c, const base::SaveId& s) override {
    return catalog_.Abort(c, s);
  }
  absl::StatusOr<SaveOutcome> Outcome(const base::Context& c, const base::SaveId& s) override {
    return catalog_.Outcome(c, s);
  }
  absl::StatusOr<OpenedCheckpoint> Open(const base::Context& c, const std::string& path,
                                        const base::LeaseId& lease) override {
    return catalog_.Open(c, path, lease);
  }
  absl::Status RenewHold(const base::Context& c, const base::LeaseId& lease) override {
    return catalog_.RenewHold(c, lease);
  }
  absl::Status Close(const base::Context& c, const base::LeaseId& lease) override {
    return catalog_.Close(c, lease);
  }
  absl::StatusOr<std::vector<CheckpointInfo>> List(const base::Context& c,
                                                   const ListQuery& query) override {
    return catalog_.List(c, query);
  }
  absl::Status Delete(const base::Context& c, const std::string& path) override {
    return catalog_.Delete(c, path);
  }

 private:
  Catalog& catalog_;
};

CatalogInTest MakeCatalogInTest() {
  std::shared_ptr<CedanaBackend> backend = NewBackend();
  CatalogInTest in_test;
  in_test.catalog = std::make_unique<BorrowedCatalog>(backend->catalog());
  in_test.store_pack = [raw = backend.get()](const base::SaveId& save) {
    const std::vector<uint8_t> bytes(5000, 7);
    StoredPack pack{base::DrawId<base::PackId>(base::SystemRandom()),
                    bytes.size(),
                    codec::Crc32c(bytes),
                    1,
                    true,
                    {}};
    const auto providers = raw->OpenSink(save)->Put({}, pack.id, bytes, pack.crc32c);
    if (providers.ok()) pack.providers = *providers;  // none for a save that has ended
    return pack;
  };
  in_test.drops_leading_slash = true;
  in_test.storage = std::move(backend);
  return in_test;
}
INSTANTIATE_TEST_SUITE_P(OverHttp, CatalogConformance, ::testing::Values(&MakeCatalogInTest));

// Remembers what was put, so that a commit can name it.
class RecordingSink : public PackSink {
 public:
  RecordingSink(std::unique_ptr<PackSink> sink, std::vector<StoredPack>* packs)
      : sink_(std::move(sink)), packs_(packs) {}
  absl::StatusOr<std::vector<std::string>> Put(const base::Context& context,
                                               const base::PackId& pack,
                                               std::span<const uint8_t> bytes,
                                               uint32_t crc32c) override {
    auto put = sink_->Put(context, pack, bytes, crc32c);
    const bool known = std::any_of(packs_->begin(), packs_->end(),
                                   [&](const StoredPack& one) { return one.id == pack; });
    if (put.ok() && !known) packs_->push_back({pack, bytes.size(), crc32c, 1, true, *put});
    return put;
  }

 private:
  const std::unique_ptr<PackSink> sink_;
  std::vector<StoredPack>* const packs_;
};

struct StoreParts {
  std::shared_ptr<CedanaBackend> backend = NewBackend();
  std::vector<StoredPack> packs;
};

StoreInTest MakeStoreInTest() {
  auto parts = std::make_shared<StoreParts>();
  const auto save = base::DrawId<base::SaveId>(base::SystemRandom());
  const auto checkpoint = base::DrawId<base::CheckpointId>(base::SystemRandom());
  const auto begun = parts->backend->catalog().Begin({}, {save, checkpoint, "path", false});
  EXPECT_TRUE(begun.ok()) << begun.status();
  StoreInTest in_test;
  in_test.sink = std::make_unique<RecordingSink>(parts->backend->OpenSink(save), &parts->packs);
  in_test.open_source = [raw = parts.get(), save, checkpoint] {
    Catalog& catalog = raw->backend->catalog();
    CommitRequest commit{.save = save, .checkpoint = checkpoint, .path = "path"};
    commit.manifest = "manifest";
    commit.packs = raw->packs;
    const auto committed = catalog.Commit({}, commit);
    EXPECT_TRUE(committed.ok()) << committed.status();
    const auto lease = base::DrawId<base::LeaseId>(base::SystemRandom());
    EXPECT_TRUE(catalog.Open({}, "path", lease).ok());
    return raw->backend->OpenSource(lease);
  };
  in_test.store = std::move(parts);
  return in_test;
}
INSTANTIATE_TEST_SUITE_P(OverHttp, PackStoreConformance, ::testing::Values(&MakeStoreInTest));

}  // namespace
}  // namespace cedana::transfer
