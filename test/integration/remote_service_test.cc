// The plugin's own code against the service's own program: both sides of docs/http.md at once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "cedana/remote/cedana_backend.h"
#include "core/base/thread.h"
#include "core/transfer/load.h"
#include "core/transfer/save.h"
#include "test/integration/service_process.h"

namespace cedana::integration {
namespace {

using remote::CedanaBackend;
using remote::RemoteOptions;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class StringSource : public transfer::ByteSource {
 public:
  explicit StringSource(absl::string_view bytes) : left_(bytes) {}
  absl::StatusOr<size_t> Read(std::span<uint8_t> out) override {
    const size_t size = std::min(out.size(), left_.size());
    std::copy_n(left_.data(), size, out.data());
    left_.remove_prefix(size);
    return size;
  }

 private:
  absl::string_view left_;
};

class StringSink : public transfer::ByteSink {
 public:
  absl::Status Write(std::span<const uint8_t> bytes) override {
    bytes_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return absl::OkStatus();
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

class RemoteServiceTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = testing::TempDir() + "cedana_remote_service_" +
           testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(dir_);
    absl::StatusOr<std::unique_ptr<ServiceProcess>> service = ServiceProcess::Start(dir_, Flags());
    ASSERT_TRUE(service.ok()) << service.status();
    service_ = *std::move(service);
    backend_ = Connect(service_->token());
  }
  // Of the service, besides the usual ones.
  virtual std::vector<std::string> Flags() { return {}; }
  void TearDown() override {
    service_ = nullptr;
    std::filesystem::remove_all(dir_);
  }

  std::unique_ptr<CedanaBackend> Connect(const std::string& token) {
    RemoteOptions options;
    options.call.give_up_after = absl::Seconds(3);
    options.put.give_up_after = absl::Seconds(3);
    options.read.give_up_after = absl::Seconds(3);
    options.data_stall = absl::Seconds(1);
    absl::StatusOr<std::unique_ptr<CedanaBackend>> backend =
        CedanaBackend::Create({.url = service_->url() + "/v1", .auth_token = token}, options);
    EXPECT_TRUE(backend.ok()) << backend.status();
    return backend.ok() ? *std::move(backend) : nullptr;
  }

  absl::StatusOr<std::unique_ptr<transfer::Save>> Begin(CedanaBackend& backend,
                                                        const std::string& path) {
    transfer::SaveOptions options;
    options.save = base::DrawId<base::SaveId>(base::SystemRandom());
    options.checkpoint = base::DrawId<base::CheckpointId>(base::SystemRandom());
    options.path = path;
    options.codec = "lz4";
    return transfer::Save::Begin({}, options, &backend.catalog(),
                                 [&](const base::SaveId& id) { return backend.OpenSink(id); });
  }
  absl::Status SaveBytes(CedanaBackend& backend, const std::string& path,
                         const std::string& bytes) {
    absl::StatusOr<std::unique_ptr<transfer::Save>> save = Begin(backend, path);
    if (!save.ok()) return save.status();
    StringSource source(bytes);
    if (absl::Status status = (*save)->Store("pages-1.img", source); !status.ok()) return status;
    transfer::JobFacts facts;
    facts.job_name = "my-job-1";
    return (*save)->Finish(facts, absl::Seconds(10)).status();
  }
  absl::StatusOr<std::string> LoadBytes(CedanaBackend& backend, const std::string& path) {
    transfer::LoadOptions options;
    options.path = path;
    options.lease = base::DrawId<base::LeaseId>(base::SystemRandom());
    absl::StatusOr<std::unique_ptr<transfer::Load>> load =
        transfer::Load::Open({}, options, &backend.catalog(),
                             [&](const base::LeaseId& id) { return backend.OpenSource(id); });
    if (!load.ok()) return load.status();
    StringSink sink;
    const absl::Status status = (*load)->Serve("pages-1.img", sink);
    if (!status.ok()) return status;
    return sink.bytes();
  }

  // Incompressible, so that it fills several packs.
  static std::string RandomBytes(size_t size) {
    std::string bytes(size, '\0');
    base::SystemRandom().Fill(reinterpret_cast<uint8_t*>(bytes.data()), bytes.size());
    return bytes;
  }

  std::string dir_;
  std::unique_ptr<ServiceProcess> service_;
  std::unique_ptr<CedanaBackend> backend_;
};

TEST_F(RemoteServiceTest, TheHealthCheckProbesTheStorageAndLeavesNothingVisible) {
  const std::vector<plugin::HealthItem> items = backend_->Check({}, true);
  ASSERT_THAT(items, SizeIs(3));
  EXPECT_EQ(items[1].data, "valid") << items[1].errors[0];
  EXPECT_THAT(items[2].errors, IsEmpty()) << items[2].errors[0];
  EXPECT_THAT(items[2].data, HasSubstr(" ms"));
  const auto list = backend_->catalog().List({}, {});
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_THAT(*list, IsEmpty());
}

TEST_F(RemoteServiceTest, SavesListsLoadsAndDeletes) {
  const std::string bytes = RandomBytes(40 << 20) + std::string(1 << 20, 'z');
  ASSERT_TRUE(SaveBytes(*backend_, "my-checkpoints/a", bytes).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(SaveBytes(*backend_, "my-checkpoints/a", "x")));
  const auto list = backend_->catalog().List({}, {.job_name = "my-job-1"});
  ASSERT_TRUE(list.ok()) << list.status();
  ASSERT_THAT(*list, SizeIs(1));
  EXPECT_EQ((*list)[0].path, "my-checkpoints/a");
  EXPECT_EQ((*list)[0].image_bytes, bytes.size());
  EXPECT_EQ((*list)[0].codec, "lz4");
  const absl::StatusOr<std::string> loaded = LoadBytes(*backend_, "my-checkpoints/a.tar.lz4");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_TRUE(*loaded == bytes);
  EXPECT_TRUE(backend_->catalog().Delete({}, "my-checkpoints/a").ok());
  EXPECT_TRUE(absl::IsNotFound(LoadBytes(*backend_, "my-checkpoints/a").status()));
}

TEST_F(RemoteServiceTest, TokensThatAreWrongRevokedOrOfAnotherOrganisationSeeNothing) {
  ASSERT_TRUE(SaveBytes(*backend_, "a", "bytes").ok());
  const std::unique_ptr<CedanaBackend> wrong = Connect("wrong");
  EXPECT_TRUE(absl::IsUnauthenticated(SaveBytes(*wrong, "b", "x")));
  EXPECT_EQ(wrong->Check({}, false)[1].data, "invalid");

  ASSERT_TRUE(service_->Admin({"org", "create", "other"}).ok());
  const absl::StatusOr<std::string> created =
      service_->Admin({"token", "create", "--org", "other", "-o", "json"});
  ASSERT_TRUE(created.ok()) << created.status();
  const absl::StatusOr<base::Json> token = base::ParseJson(*created);
  ASSERT_TRUE(token.ok()) << *created;
  const std::unique_ptr<CedanaBackend> other = Connect(*base::GetString(*token, "token"));
  EXPECT_TRUE(absl::IsNotFound(LoadBytes(*other, "a").status()));
  EXPECT_TRUE(absl::IsNotFound(other->catalog().Delete({}, "a")));
  EXPECT_THAT(*other->catalog().List({}, {}), IsEmpty());
  EXPECT_TRUE(SaveBytes(*other, "a", "theirs").ok());
  EXPECT_EQ(*LoadBytes(*backend_, "a"), "bytes");

  ASSERT_TRUE(service_->Admin({"token", "revoke", *base::GetString(*token, "id")}).ok());
  EXPECT_TRUE(absl::IsUnauthenticated(LoadBytes(*other, "a").status()));
}

TEST_F(RemoteServiceTest, ASaveOutlivesAKilledServiceThatComesBack) {
  const std::string bytes = RandomBytes(40 << 20);
  absl::StatusOr<std::unique_ptr<transfer::Save>> save = Begin(*backend_, "a");
  ASSERT_TRUE(save.ok()) << save.status();
  service_->Kill();
  absl::Status stored;
  {
    base::Thread storing("store", [&] {
      StringSource source(bytes);
      stored = (*save)->Store("pages-1.img", source);
    });
    base::SystemClock().Sleep(absl::Milliseconds(500));
    ASSERT_TRUE(service_->Restart().ok());
  }
  ASSERT_TRUE(stored.ok()) << stored;
  const absl::StatusOr<transfer::CheckpointInfo> info = (*save)->Finish({}, absl::Seconds(10));
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_TRUE(*LoadBytes(*backend_, "a") == bytes);
}

TEST_F(RemoteServiceTest, ACommitWaitsForAServiceThatComesBack) {
  const std::string bytes = RandomBytes(1 << 20);
  absl::StatusOr<std::unique_ptr<transfer::Save>> save = Begin(*backend_, "a");
  ASSERT_TRUE(save.ok()) << save.status();
  StringSource source(bytes);
  ASSERT_TRUE((*save)->Store("pages-1.img", source).ok());
  service_->Kill();
  absl::StatusOr<transfer::CheckpointInfo> info;
  {
    base::Thread finishing("finish", [&] { info = (*save)->Finish({}, absl::Seconds(10)); });
    base::SystemClock().Sleep(absl::Milliseconds(1500));
    ASSERT_TRUE(service_->Restart().ok());
  }
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_TRUE(*LoadBytes(*backend_, "a") == bytes);
}

// With nobody frozen the storage may be away for longer than a frozen process would wait.
TEST_F(RemoteServiceTest, ARunningSaveIsPatient) {
  const std::string bytes = RandomBytes(1 << 20);
  absl::StatusOr<std::unique_ptr<transfer::Save>> save = Begin(*backend_, "a");
  ASSERT_TRUE(save.ok()) << save.status();
  StringSource source(bytes);
  ASSERT_TRUE((*save)->Store("pages-1.img", source).ok());
  service_->Kill();
  (*save)->SetPatience(absl::Minutes(1));
  absl::StatusOr<transfer::CheckpointInfo> info;
  {
    base::Thread finishing("finish", [&] { info = (*save)->Finish({}, absl::Minutes(1)); });
    base::SystemClock().Sleep(absl::Seconds(6));  // twice what Connect gives an upload
    ASSERT_TRUE(service_->Restart().ok());
  }
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_TRUE(*LoadBytes(*backend_, "a") == bytes);
}

class TwoCopiesTest : public RemoteServiceTest {
 protected:
  std::vector<std::string> Flags() override {
    return {"--provider", absl::StrCat("near=file://", dir_, "-near"), "--provider",
            absl::StrCat("far=file://", dir_, "-far")};
  }
  void TearDown() override {
    RemoteServiceTest::TearDown();
    for (const char* name : {"-near", "-far"}) std::filesystem::remove_all(dir_ + name);
  }
  std::vector<std::filesystem::directory_entry> Packs(const std::string& provider) {
    std::vector<std::filesystem::directory_entry> packs;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(absl::StrCat(dir_, "-", provider))) {
      if (entry.is_regular_file() && absl::StrContains(entry.path().string(), "/p-")) {
        packs.push_back(entry);
      }
    }
    return packs;
  }
  // Who is asked first for the packs of this checkpoint.
  std::string FirstProvider(const std::string& path) {
    const auto lease = base::DrawId<base::LeaseId>(base::SystemRandom());
    EXPECT_TRUE(backend_->catalog().Open({}, path, lease).ok());
    const std::string name = Packs("near")[0].path().filename();
    const auto pack = base::PackId::FromHex(absl::StripPrefix(name, "p-"));
    uint8_t out[10];
    const auto provider = backend_->OpenSource(lease)->Read({}, pack.value(), 0, out, {});
    EXPECT_TRUE(provider.ok()) << provider.status();
    return provider.value_or("");
  }
  // Flips a bit in the middle of every pack there.
  int DamagePacks(const std::string& provider) {
    int damaged = 0;
    for (const auto& entry : Packs(provider)) {
      std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      const auto middle = static_cast<std::streamoff>(entry.file_size() / 2);
      file.seekg(middle);
      const int byte = file.get();
      file.seekp(middle);
      file.put(static_cast<char>(byte ^ 1));
      ++damaged;
    }
    return damaged;
  }
};

TEST_F(TwoCopiesTest, OneLyingProviderOfTwoFailsNoRestoreAndIsTold) {
  const std::string bytes = RandomBytes(40 << 20);
  ASSERT_TRUE(SaveBytes(*backend_, "a", bytes).ok());
  const std::string liar = FirstProvider("a");
  ASSERT_GE(DamagePacks(liar), 2);
  const absl::StatusOr<std::string> loaded = LoadBytes(*backend_, "a");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_TRUE(*loaded == bytes);
  // The service has looked for itself, and repairs: in the end the good copies are not needed.
  const auto durability = [this] { return (*backend_->catalog().List({}, {}))[0].durability; };
  for (int i = 0; i < 100 && durability() != "fully replicated"; ++i) {
    base::SystemClock().Sleep(absl::Milliseconds(100));
  }
  EXPECT_EQ(durability(), "fully replicated");
  DamagePacks(liar == "near" ? "far" : "near");
  const absl::StatusOr<std::string> again = LoadBytes(*backend_, "a");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(*again == bytes);
}

TEST_F(TwoCopiesTest, AllCopiesWrongNamesPackAndProviders) {
  ASSERT_TRUE(SaveBytes(*backend_, "a", RandomBytes(10 << 20)).ok());
  DamagePacks("near");
  DamagePacks("far");
  const absl::Status status = LoadBytes(*backend_, "a").status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("pack "), HasSubstr("provider near"), HasSubstr("provider far")));
}

TEST_F(RemoteServiceTest, ASaveWithoutItsServiceFailsInTimeAndNothingIsVisible) {
  absl::StatusOr<std::unique_ptr<transfer::Save>> save = Begin(*backend_, "a");
  ASSERT_TRUE(save.ok()) << save.status();
  service_->Kill();
  const std::string bytes = RandomBytes(1 << 20);
  StringSource source(bytes);
  (void)(*save)->Store("pages-1.img", source);
  const absl::Status status = (*save)->Finish({}, absl::Seconds(2)).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_EQ(status.message().find('?'), absl::string_view::npos) << status;
  *save = nullptr;
  ASSERT_TRUE(service_->Restart().ok());
  EXPECT_THAT(*backend_->catalog().List({}, {}), IsEmpty());
}

}  // namespace
}  // namespace cedana::integration
