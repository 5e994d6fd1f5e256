// The whole of a back end against an imposter of each cloud: saves, lists, loads, deletes,
// collects, checks; and what goes wrong there in one clear line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cedana/direct/direct_backend.h"
#include "core/base/fd.h"
#include "core/base/json.h"
#include "core/codec/crc32c.h"
#include "core/objstore/memory_store.h"
#include "core/objstore/testing/azure_imposter.h"
#include "core/objstore/testing/gcs_imposter.h"
#include "core/objstore/testing/imposter.h"
#include "core/objstore/testing/s3_imposter.h"
#include "core/objstore/testing/service_account.h"
#include "core/transfer/load.h"
#include "core/transfer/save.h"
#include "core/transfer/testing/image_fakes.h"

namespace cedana::direct {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;

// A cloud on this machine with the settings that reach it.
struct Cloud {
  std::string scheme;
  objstore::MemoryStore objects;
  std::unique_ptr<objstore::Imposter> imposter;
  plugin::StorageConfig config;
};
using MakeCloud = std::unique_ptr<Cloud> (*)();

std::unique_ptr<Cloud> S3Of(std::unique_ptr<Cloud> cloud,
                            std::unique_ptr<objstore::ImposterDialect> dialect) {
  cloud->scheme = "s3";
  cloud->imposter = *objstore::Imposter::Start({}, std::move(dialect));
  cloud->config.aws = {"AKIAIMPOSTER", "imposter-secret", "", "us-east-1", cloud->imposter->url()};
  return cloud;
}

std::unique_ptr<Cloud> S3() {
  auto cloud = std::make_unique<Cloud>();
  auto dialect = objstore::MakeS3Imposter({}, &cloud->objects);
  return S3Of(std::move(cloud), std::move(dialect));
}

// A server that knows no CRC-32C, and buckets by host name only.
class OtherServer final : public objstore::ImposterDialect {
 public:
  explicit OtherServer(objstore::ObjectStore* objects)
      : inner_(objstore::MakeS3Imposter({.checksums = false}, objects)) {}
  objstore::ImposterTarget TargetOf(const http::ServerRequest& request) const override {
    return inner_->TargetOf(request);
  }
  std::optional<objstore::ImposterAnswer> Refuse(const http::ServerRequest& request,
                                                 absl::Time now) override {
    const std::string* const host = request.Header("host");
    if (request.Header("x-amz-checksum-crc32c") != nullptr || host == nullptr ||
        !absl::StartsWith(*host, "packs.")) {
      return ErrorAnswer(request, 501, "NotImplemented");
    }
    return inner_->Refuse(request, now);
  }
  objstore::ImposterAnswer Serve(const base::Context& context, const http::ServerRequest& request,
                                 absl::string_view body, absl::Time now) override {
    return inner_->Serve(context, request, body, now);
  }
  objstore::ImposterAnswer ErrorAnswer(const http::ServerRequest& request, int status,
                                       const std::string& code) const override {
    return inner_->ErrorAnswer(request, status, code);
  }

 private:
  const std::unique_ptr<objstore::ImposterDialect> inner_;
};

std::unique_ptr<Cloud> S3OfAnotherKind() {
  auto cloud = std::make_unique<Cloud>();
  auto dialect = std::make_unique<OtherServer>(&cloud->objects);
  cloud = S3Of(std::move(cloud), std::move(dialect));
  // Whatever is below localhost is this machine.
  cloud->config.aws.endpoint = absl::StrCat("http://localhost:", cloud->imposter->port());
  cloud->config.aws.style = "virtual";
  cloud->config.aws.checksum = false;
  return cloud;
}

std::unique_ptr<Cloud> Gcs() {
  auto cloud = std::make_unique<Cloud>();
  cloud->scheme = "gcs";
  const objstore::GcsCredentials& account = objstore::TestServiceAccount();
  cloud->imposter = *objstore::Imposter::Start(
      {}, objstore::MakeGcsImposter({.client_email = account.client_email,
                                     .public_key = objstore::TestServiceAccountPublicKey()},
                                    &cloud->objects));
  const std::string file = absl::StrCat(testing::TempDir(), "gcs-key-",
                                        absl::Hex(base::SystemRandom().Next64()), ".json");
  EXPECT_TRUE(base::WriteFileAtomic(file,
                                    base::DumpJson({{"type", "service_account"},
                                                    {"client_email", account.client_email},
                                                    {"private_key", account.private_key}}),
                                    0600)
                  .ok());
  cloud->config.gcs = {file, cloud->imposter->url()};
  return cloud;
}

std::unique_ptr<Cloud> Azure() {
  auto cloud = std::make_unique<Cloud>();
  cloud->scheme = "azure";
  const objstore::AzureImposterOptions options;
  cloud->imposter =
      *objstore::Imposter::Start({}, objstore::MakeAzureImposter(options, &cloud->objects));
  cloud->config.azure = {options.account, options.key_base64, "",
                         absl::StrCat(cloud->imposter->url(), "/", options.account)};
  return cloud;
}

class DirectCloud : public testing::TestWithParam<MakeCloud> {
 protected:
  void SetUp() override {
    cloud_ = GetParam()();
    cloud_->config.folder = "packs/team/ckpt";
    options_.calls = {.give_up_after = absl::Milliseconds(500),
                      .backoff_first = absl::Milliseconds(10)};
    options_.data = {.give_up_after = absl::Seconds(3),
                     .backoff_first = absl::Milliseconds(10),
                     .bounds_attempts = false};
    options_.data_stall = absl::Milliseconds(300);
  }
  std::unique_ptr<DirectBackend> Open(const plugin::StorageConfig& config) {
    auto backend = DirectBackend::Create(cloud_->scheme, config, options_);
    EXPECT_TRUE(backend.ok()) << backend.status();
    return backend.ok() ? *std::move(backend) : nullptr;
  }
  std::unique_ptr<DirectBackend> Open() { return Open(cloud_->config); }
  std::string Path(const std::string& name) const {
    return absl::StrCat(cloud_->config.folder, "/", name);
  }
  absl::StatusOr<transfer::CheckpointInfo> Save(DirectBackend& backend, const std::string& name,
                                                const std::string& bytes) {
    transfer::SaveOptions options;
    options.save = base::DrawId<base::SaveId>(base::SystemRandom());
    options.checkpoint = base::DrawId<base::CheckpointId>(base::SystemRandom());
    options.path = Path(name);
    options.pipelines = 1;
    auto save = transfer::Save::Begin({}, options, &backend.catalog(),
                                      [&](const base::SaveId& id) { return backend.OpenSink(id); });
    if (!save.ok()) return save.status();
    transfer::StringSource source(bytes);
    if (absl::Status status = (*save)->Store("pages-1.img", source); !status.ok()) return status;
    return (*save)->Finish({}, absl::Seconds(4));
  }
  absl::StatusOr<std::string> Load(DirectBackend& backend, const std::string& name) {
    transfer::LoadOptions options;
    options.path = Path(name);
    options.lease = base::DrawId<base::LeaseId>(base::SystemRandom());
    auto load = transfer::Load::Open({}, options, &backend.catalog(), [&](const base::LeaseId& id) {
      return backend.OpenSource(id);
    });
    if (!load.ok()) return load.status();
    return transfer::ReadImageFile(**load, "pages-1.img", 64 << 20);
  }
  static std::string Noise(size_t bytes) {
    std::string noise(bytes, '\0');
    base::SystemRandom().Fill(reinterpret_cast<uint8_t*>(noise.data()), noise.size());
    return noise;
  }

  std::unique_ptr<Cloud> cloud_;
  DirectOptions options_;
};

TEST_P(DirectCloud, SavesListsLoadsDeletesAndCollects) {
  const auto a = Open();
  const auto b = Open();
  const std::string bytes = Noise(10 << 20);
  const auto info = Save(*a, "one", bytes);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_LT(absl::AbsDuration(info->created - absl::Now()), absl::Minutes(1));
  ASSERT_TRUE(Save(*b, "two", "small").ok());
  EXPECT_TRUE(absl::IsAlreadyExists(Save(*b, "one", "other").status()));
  const auto list = b->catalog().List({}, {});
  ASSERT_TRUE(list.ok()) << list.status();
  ASSERT_EQ(list->size(), 2u);
  EXPECT_EQ((*list)[0].path, Path("two"));
  EXPECT_EQ((*list)[1].path, Path("one"));
  EXPECT_TRUE(*Load(*b, "one.tar") == bytes);
  ASSERT_TRUE(a->catalog().Delete({}, Path("one")).ok());
  EXPECT_TRUE(absl::IsNotFound(Load(*b, "one").status()));
  const auto report = b->Collect({}, /*dry_run=*/false);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->kept_checkpoints, 1u);
  EXPECT_EQ(report->packs, 0u);
  EXPECT_EQ(*Load(*a, "two"), "small");
}

TEST_P(DirectCloud, BytesThatLeaveAreProgress) {
  const auto backend = Open();
  const auto sink = backend->OpenSink(base::DrawId<base::SaveId>(base::SystemRandom()));
  const std::string noise = Noise(1 << 20);
  const std::span<const uint8_t> pack(reinterpret_cast<const uint8_t*>(noise.data()), noise.size());
  EXPECT_EQ(sink->moved_bytes(), 0u);
  ASSERT_TRUE(
      sink->Put({}, base::DrawId<base::PackId>(base::SystemRandom()), pack, codec::Crc32c(pack))
          .ok());
  EXPECT_GE(sink->moved_bytes(), pack.size());
}

TEST_P(DirectCloud, CheckWritesReadsListsAndDeletes) {
  const auto items = Open()->Check({}, /*full=*/true);
  bool probed = false;
  for (const plugin::HealthItem& item : items) {
    EXPECT_TRUE(item.errors.empty()) << item.component << ": " << item.errors[0];
    probed = probed || item.component == "storage probe";
  }
  EXPECT_TRUE(probed);
  const auto left = cloud_->objects.List({}, "", "", 10);
  EXPECT_TRUE(left.ok() && left->empty());
}

TEST_P(DirectCloud, AWrongCredentialIsOneClearLineWithoutTheSecret) {
  plugin::StorageConfig config = cloud_->config;
  config.aws.secret_access_key = "not-the-secret";
  config.azure.key = "bm90LXRoZS1zZWNyZXQ=";
  if (cloud_->scheme == "gcs") {
    // Another account than the cloud knows: its key is good, its name is not.
    config.gcs.credentials_file += ".other";
    ASSERT_TRUE(base::WriteFileAtomic(
                    config.gcs.credentials_file,
                    base::DumpJson({{"type", "service_account"},
                                    {"client_email", "else@example.com"},
                                    {"private_key", objstore::TestServiceAccount().private_key}}),
                    0600)
                    .ok());
  }
  const auto backend = Open(config);
  const absl::Status status = Save(*backend, "one", "x").status();
  EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
  const std::string line(status.message());
  EXPECT_THAT(line, HasSubstr(cloud_->scheme + "://packs/team/ckpt"));
  EXPECT_THAT(line, Not(AnyOf(HasSubstr("not-the-secret"), HasSubstr("bm90LXRo"),
                              HasSubstr("Signature="), HasSubstr("sig="), HasSubstr("\n"))));
  EXPECT_FALSE(backend->Check({}, /*full=*/true).empty());
}

TEST_P(DirectCloud, AnUnreachableCloudAndAMissingBucketAreNamed) {
  plugin::StorageConfig elsewhere = cloud_->config;
  elsewhere.folder = "nobucket/ckpt";
  const absl::Status missing = Open(elsewhere)->catalog().List({}, {}).status();
  EXPECT_FALSE(missing.ok());
  EXPECT_THAT(std::string(missing.message()), HasSubstr("nobucket/ckpt"));
  ASSERT_TRUE(cloud_->imposter->SetListening(false).ok());
  const absl::Status status = Save(*Open(), "one", "x").status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("packs/team/ckpt"));
}

TEST_P(DirectCloud, FaultsOfACloudAreRiddenOut) {
  const auto backend = Open();
  const std::string bytes = Noise(5 << 20);
  cloud_->imposter->AddFault({.skip = 1, .times = 1, .status = 503});
  cloud_->imposter->AddFault({.operation = objstore::Operation::kPut,
                              .skip = 3,
                              .times = 2,
                              .status = 429,
                              .retry_after = absl::Seconds(0)});
  cloud_->imposter->AddFault(
      {.operation = objstore::Operation::kPut, .skip = 4, .times = 1, .lose_reply = true});
  const auto info = Save(*backend, "one", bytes);
  ASSERT_TRUE(info.ok()) << info.status();
  cloud_->imposter->ClearFaults();
  cloud_->imposter->AddFault(
      {.operation = objstore::Operation::kGet, .skip = 6, .times = 1, .cut_after = 1000});
  cloud_->imposter->AddFault({.operation = objstore::Operation::kGet, .times = 1, .status = 500});
  const auto back = Load(*backend, "one");
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_TRUE(*back == bytes);
  cloud_->imposter->ClearFaults();
  // Every bit is authenticated before use.
  cloud_->imposter->AddFault({.operation = objstore::Operation::kGet,
                              .prefix = absl::StrCat("team/ckpt/", kPacks),
                              .flip_bit = 12345});
  const absl::Status bent = Load(*backend, "one").status();
  EXPECT_TRUE(absl::IsDataLoss(bent)) << bent;
}

TEST_P(DirectCloud, AFullCloudSaysSo) {
  const auto backend = Open();
  ASSERT_TRUE(Save(*backend, "one", "x").ok());
  cloud_->imposter->AddFault({.operation = objstore::Operation::kPut,
                              .prefix = absl::StrCat("team/ckpt/", kPacks),
                              .status = 507});
  const absl::Status status = Save(*backend, "two", Noise(1 << 20)).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  cloud_->imposter->ClearFaults();
  EXPECT_TRUE(Save(*backend, "two", "y").ok());
}

INSTANTIATE_TEST_SUITE_P(S3, DirectCloud, testing::Values(&S3));
INSTANTIATE_TEST_SUITE_P(S3OfAnotherKind, DirectCloud, testing::Values(&S3OfAnotherKind));
INSTANTIATE_TEST_SUITE_P(Gcs, DirectCloud, testing::Values(&Gcs));
INSTANTIATE_TEST_SUITE_P(Azure, DirectCloud, testing::Values(&Azure));

}  // namespace
}  // namespace cedana::direct
