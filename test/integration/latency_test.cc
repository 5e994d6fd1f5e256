// Hedged reads over real HTTP: three clouds at 5, 40 and 120 ms, each with a slow tail of 2 % at
// two seconds, drawn for each request by itself.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "cedana/remote/grant_source.h"
#include "cedana/remote/testing/scripted_service.h"
#include "core/base/thread.h"
#include "core/codec/crc32c.h"
#include "core/objstore/memory_store.h"
#include "core/objstore/open_store.h"
#include "core/objstore/testing/s3_imposter.h"

namespace cedana::integration {
namespace {

using objstore::Imposter;
using objstore::ImposterPace;

constexpr size_t kPackBytes = 4u << 20;
constexpr int kPacks = 8;
constexpr size_t kBlockBytes = 256u << 10;
constexpr double kSlowShare = 0.02;

ImposterPace Pace(absl::Duration latency, double slow_share) {
  return {.latency = latency, .slow_share = slow_share, .slow_latency = absl::Seconds(2)};
}

// A provider: the cloud, and the service's way to sign for it.
struct Cloud {
  Cloud(std::string its_name, uint64_t seed, http::Client* client) : name(std::move(its_name)) {
    objstore::S3ImposterOptions account;
    cloud = *Imposter::Start({.seed = seed}, objstore::MakeS3Imposter(account, &objects));
    const auto url =
        objstore::StoreUrl::Parse(absl::StrCat("s3://packs?style=path&endpoint=", cloud->url()));
    store = *objstore::OpenStore(*url, {.s3 = account.credentials}, client);
  }

  const std::string name;
  objstore::MemoryStore objects;
  std::unique_ptr<Imposter> cloud;
  std::unique_ptr<objstore::ObjectStore> store;
};

class LatencyTest : public testing::Test {
 protected:
  void SetUp() override {
    std::mt19937 random(7);
    bytes_.resize(kPackBytes);
    for (uint8_t& byte : bytes_) byte = static_cast<uint8_t>(random());
    for (int i = 0; i < kPacks; ++i) {
      packs_.push_back(*base::PackId::FromHex(absl::StrFormat("%032x", i + 1)));
      const auto key = *objstore::ObjectKey::Parse("p/" + packs_.back().ToHex());
      for (Cloud* cloud : {&near_, &mid_, &far_}) {
        ASSERT_TRUE(cloud->objects.Put({}, key, bytes_, {}).ok());
      }
    }
    GrantAt({&near_, &mid_, &far_});
  }
  // The service grants reads at these, in this order.
  void GrantAt(const std::vector<Cloud*>& order) {
    base::Json grants = base::Json::array();
    for (const base::PackId& pack : packs_) {
      const auto key = *objstore::ObjectKey::Parse("p/" + pack.ToHex());
      const absl::Time expires = absl::Now() + absl::Minutes(15);
      for (Cloud* cloud : order) {
        const objstore::SignedRequest request = *cloud->store->SignGet(key, expires);
        base::Json headers = base::Json::object();
        for (const auto& [name, value] : request.headers) headers[name] = value;
        grants.push_back({{"pack", pack.ToHex()},
                          {"provider", cloud->name},
                          {"dialect", "s3"},
                          {"method", request.method},
                          {"url", request.url},
                          {"headers", headers},
                          {"expires_ms", absl::ToUnixMillis(expires)}});
      }
    }
    service_.On("POST /v3/leases/", {{200, base::DumpJson({{"grants", std::move(grants)}})}});
  }
  void SetPaces(double slow_share) {
    near_.cloud->SetPace(integration::Pace(absl::Milliseconds(5), slow_share));
    mid_.cloud->SetPace(integration::Pace(absl::Milliseconds(40), slow_share));
    far_.cloud->SetPace(integration::Pace(absl::Milliseconds(120), slow_share));
  }
  std::unique_ptr<remote::GrantSource> Open(remote::ProviderHealth& health) {
    return std::make_unique<remote::GrantSource>(
        base::LeaseId(), &api_, client_.get(), &health,
        remote::ReadPolicies{{.give_up_after = absl::Seconds(25), .bounds_attempts = false}, {}},
        remote::Services{});
  }
  // One block; checks its bytes.
  absl::Duration ReadBlock(remote::GrantSource& source, size_t number) {
    std::vector<uint8_t> out(kBlockBytes);
    const size_t offset = number % (kPackBytes / kBlockBytes) * kBlockBytes;
    const absl::Duration start = base::SystemClock().Monotonic();
    const auto provider = source.Read({}, packs_[number % kPacks], offset, out, {});
    const absl::Duration took = base::SystemClock().Monotonic() - start;
    EXPECT_TRUE(provider.ok()) << provider.status();
    EXPECT_TRUE(std::equal(out.begin(), out.end(), bytes_.begin() + static_cast<long>(offset)));
    return took;
  }
  std::vector<absl::Duration> ReadBlocks(remote::GrantSource& source, int reads, int threads) {
    std::vector<absl::Duration> took(static_cast<size_t>(reads));
    std::atomic<int> next{0};
    {
      std::vector<base::Thread> readers;
      for (int i = 0; i < threads; ++i) {
        readers.emplace_back("reader", [&] {
          for (int read = next++; read < reads; read = next++) {
            took[static_cast<size_t>(read)] = ReadBlock(source, static_cast<size_t>(read) * 7);
          }
        });
      }
    }
    std::sort(took.begin(), took.end());
    return took;
  }
  int64_t Gets() {
    return near_.cloud->counts().gets + mid_.cloud->counts().gets + far_.cloud->counts().gets;
  }

  std::vector<uint8_t> bytes_;
  std::vector<base::PackId> packs_;
  remote::ScriptedService service_;
  std::unique_ptr<http::Client> client_ =
      *http::Client::Create({.stall_timeout = absl::Seconds(10)});
  remote::HttpApi api_{service_.origin(), "token", client_.get()};
  Cloud near_{"near", 1, client_.get()};
  Cloud mid_{"mid", 2, client_.get()};
  Cloud far_{"far", 3, client_.get()};
};

TEST_F(LatencyTest, TheSlowTailIsCutForAtMostFivePercentMoreRequests) {
  SetPaces(0);
  std::vector<absl::Duration> alone;
  {
    GrantAt({&mid_});
    remote::ProviderHealth health(&base::SystemClock());
    alone = ReadBlocks(*Open(health), 40, 1);
    GrantAt({&near_, &mid_, &far_});
  }
  const absl::Duration second_fastest = alone[alone.size() / 2];

  SetPaces(kSlowShare);
  const int64_t before = Gets();
  remote::ProviderHealth health(&base::SystemClock());
  constexpr int kReads = 2000;
  const std::vector<absl::Duration> took = ReadBlocks(*Open(health), kReads, 2);
  const int64_t extra = Gets() - before - kReads;
  const absl::Duration p50 = took[kReads / 2];
  const absl::Duration p99 = took[kReads * 99 / 100];
  std::printf("second fastest %.1f ms; p50 %.1f ms, p99 %.1f ms, worst %.0f ms, %.1f %% extra\n",
              absl::ToDoubleMilliseconds(second_fastest), absl::ToDoubleMilliseconds(p50),
              absl::ToDoubleMilliseconds(p99), absl::ToDoubleMilliseconds(took.back()),
              100.0 * static_cast<double>(extra) / kReads);
  EXPECT_LE(p99, 2 * second_fastest);
  EXPECT_LT(p50, second_fastest / 2);
  EXPECT_LE(extra, kReads * 5 / 100);
}

// In the service's order the fastest is first, and it is asked at once.
TEST_F(LatencyTest, TheFirstByteFollowsTheFastest) {
  SetPaces(0);
  std::vector<absl::Duration> took;
  for (int i = 0; i < 9; ++i) {
    remote::ProviderHealth health(&base::SystemClock());  // as of a daemon that was just started
    took.push_back(ReadBlock(*Open(health), 1));
  }
  std::sort(took.begin(), took.end());
  EXPECT_LT(took[4], absl::Milliseconds(30));
}

// Where this client sees the providers differently, its own word counts.
TEST_F(LatencyTest, TheOrderIsLearntFromWhatUploadsSaw) {
  SetPaces(0);
  GrantAt({&far_, &mid_, &near_});
  remote::ProviderHealth health(&base::SystemClock());
  for (int i = 0; i < 4; ++i) {
    for (const auto& [name, ms] :
         {std::pair("far", 12), std::pair("mid", 6), std::pair("near", 1)}) {
      auto upload = health.Begin(name, remote::Direction::kUpload, 32u << 20);
      base::SystemClock().Sleep(absl::Milliseconds(ms));
      upload->Progress(32u << 20);
      upload->End(absl::OkStatus());
    }
  }
  EXPECT_LT(ReadBlock(*Open(health), 1), absl::Milliseconds(30));
}

}  // namespace
}  // namespace cedana::integration
