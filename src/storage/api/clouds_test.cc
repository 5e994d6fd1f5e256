// The service over real HTTP with clouds as its providers: clients upload and read straight there,
// by grants, and nothing wrong is ever committed.
#include <gtest/gtest.h>

#include <functional>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "storage/api/testing/running_clouds.h"

namespace cedana::api {
namespace {

using base::Json;

TEST_F(Clouds, ClientsUploadAndReadByGrantsOfAllThreeDialects) {
  AddS3("s3");
  AddGcs("gcs");
  AddAzure("azure");
  StartNode();
  ASSERT_EQ(Call("PUT", "/v3/admin/policies",
                 {{"organisation", "default"}, {"copies", 3}, {"ack", 3}}, operator_token_)
                .status,
            200);
  const TestSave save = Begin("a");
  const std::vector<Pack> packs = {{.bytes = std::string(100000, 'x')}, {.bytes = "small"}};
  for (const auto& [pack, grants] : Grants(save, packs)) {
    const std::string& bytes = pack == packs[0].id ? packs[0].bytes : packs[1].bytes;
    ASSERT_EQ(grants.size(), 3u);
    for (const auto& [provider, grant] : grants) {
      EXPECT_EQ(Send(grant, bytes) / 100, 2) << provider << ": " << last_.body;
      // Once only.
      const int again = Send(grant, bytes);
      const bool exists = again == 409 || again == 412 ||
                          absl::StrContains(last_.body, "UnauthorizedBlobOverwrite");
      EXPECT_TRUE(exists) << provider << ": " << again << " " << last_.body;
    }
  }
  const Answer committed =
      Call("POST", save.Target("/commit"), CommitOf(save, packs, {"s3", "gcs", "azure"}));
  ASSERT_EQ(committed.status, 200) << committed.body;
  EXPECT_EQ(committed.json["durability"], "fully replicated");
  EXPECT_EQ(ReadBack("a", packs), 6u);
}

// What a grant binds, the cloud refuses; what it does not, the service refuses at the commit.
TEST_F(Clouds, OneWrongByteIsNeverCommitted) {
  AddS3("s3");
  AddGcs("gcs");
  AddAzure("azure");
  StartNode();
  // Everywhere, so that the service cannot put another copy in the place of a wrong one.
  const auto policy = [&](int copies) {
    return Call("PUT", "/v3/admin/policies",
                {{"organisation", "default"}, {"copies", copies}, {"ack", copies}}, operator_token_)
        .status;
  };
  ASSERT_EQ(policy(3), 200);
  const TestSave save = Begin("a");
  const std::vector<Pack> packs = {{.bytes = std::string(5000, 'x')}};
  std::string wrong = packs[0].bytes;
  wrong[4321] ^= 1;
  auto grants = Grants(save, packs)[packs[0].id];
  EXPECT_EQ(Send(grants["s3"], wrong), 400) << last_.body;
  EXPECT_EQ(Send(grants["gcs"], wrong), 400) << last_.body;
  ASSERT_EQ(Send(grants["azure"], wrong), 201) << last_.body;
  EXPECT_EQ(Send(grants["s3"], packs[0].bytes), 200) << last_.body;
  Answer refused = Call("POST", save.Target("/commit"), CommitOf(save, packs, {"s3", "azure"}));
  EXPECT_EQ(refused.status, 412) << refused.body;
  EXPECT_NE(refused.body.find("provider azure"), std::string::npos) << refused.body;
  EXPECT_EQ(Call("GET", "/v3/checkpoints").json["checkpoints"].size(), 0u);

  // An uploader that also lies to the cloud about the checksum is found out all the same.
  const TestSave liar = Begin("b");
  grants = Grants(liar, packs)[packs[0].id];
  grants["azure"]["headers"]["x-ms-meta-crc32c"] =
      absl::StrCat(absl::Hex(Crc(packs[0].bytes), absl::kZeroPad8));
  ASSERT_EQ(Send(grants["azure"], wrong), 201) << last_.body;
  EXPECT_EQ(Send(grants["gcs"], packs[0].bytes), 200) << last_.body;
  refused = Call("POST", liar.Target("/commit"), CommitOf(liar, packs, {"gcs", "azure"}));
  EXPECT_EQ(refused.status, 412) << refused.body;

  // With two copies it becomes durable without the liar: the service copies what is good.
  ASSERT_EQ(policy(2), 200);
  const Answer committed =
      Call("POST", liar.Target("/commit"), CommitOf(liar, packs, {"gcs", "azure"}));
  EXPECT_EQ(committed.status, 200) << committed.body;
  const Answer status = Call("GET", "/v3/admin/status", {}, operator_token_);
  for (const Json& provider : status.json["providers"]) {
    EXPECT_EQ(provider["packs"], provider["name"] == "azure" ? 0 : 1) << provider;
  }
}

TEST_F(Clouds, ManyPacksAreReadBackOverSeveralCommits) {
  AddAzure("azure");
  AddS3("s3");
  options_.times.patience.healthy = absl::Milliseconds(500);
  options_.times.patience.read_back = absl::Milliseconds(500);
  options_.times.read_ahead = absl::Hours(1);  // as if the dump had just ended
  StartNode();
  const TestSave save = Begin("a");
  std::vector<Pack> packs(200);
  for (size_t i = 0; i < packs.size(); ++i) packs[i].bytes = std::string(20000 + i, 'x');
  auto grants = Grants(save, packs);
  for (const Pack& pack : packs) {
    ASSERT_EQ(Send(grants[pack.id]["azure"], pack.bytes), 201) << last_.body;
    ASSERT_EQ(Send(grants[pack.id]["s3"], pack.bytes), 200) << last_.body;
  }
  const int64_t before = clouds_["azure"]->counts().body_bytes_out;
  clouds_["azure"]->SetPace({.bytes_per_s = 4e6});  // all of them take a second
  const Json commit = CommitOf(save, packs, {"azure", "s3"});
  int refused = 0;
  Answer answer = Call("POST", save.Target("/commit"), commit);
  for (; answer.status == 503 && refused < 20; ++refused) {
    EXPECT_EQ(answer.Header("retry-after"), "1");
    answer = Call("POST", save.Target("/commit"), commit);
  }
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.json["durability"], "fully replicated");
  EXPECT_GE(refused, 1);
  // It went on each time. (Listings and what was cut off are read beside the packs.)
  EXPECT_LT(clouds_["azure"]->counts().body_bytes_out - before, 3 * 200 * 20100);
}

TEST_F(Clouds, WhatWasReadWhileTheDumpWentOnIsNotWaitedFor) {
  AddAzure("azure");
  AddS3("s3");
  options_.times.patience.healthy = absl::Milliseconds(500);
  options_.times.patience.read_back = absl::Milliseconds(500);
  options_.times.read_ahead = absl::Milliseconds(20);
  StartNode();
  const TestSave save = Begin("a");
  std::vector<Pack> packs(20);
  uint64_t bytes = 0;
  for (size_t i = 0; i < packs.size(); ++i) {
    packs[i].bytes = std::string(200000 + i, 'x');
    bytes += packs[i].bytes.size();
  }
  auto grants = Grants(save, packs);
  const int64_t before = clouds_["azure"]->counts().body_bytes_out;
  for (const Pack& pack : packs) {
    ASSERT_EQ(Send(grants[pack.id]["azure"], pack.bytes), 201) << last_.body;
    ASSERT_EQ(Send(grants[pack.id]["s3"], pack.bytes), 200) << last_.body;
  }
  const auto read = [&] { return clouds_["azure"]->counts().body_bytes_out - before; };
  for (int i = 0; i < 500 && read() < static_cast<int64_t>(bytes); ++i) {
    absl::SleepFor(absl::Milliseconds(20));
  }
  ASSERT_GE(read(), static_cast<int64_t>(bytes));
  absl::SleepFor(absl::Milliseconds(200));          // the last bytes are on their way
  clouds_["azure"]->SetPace({.bytes_per_s = 1e6});  // to read them again would take four seconds
  const Answer answer =
      Call("POST", save.Target("/commit"), CommitOf(save, packs, {"azure", "s3"}));
  EXPECT_EQ(answer.status, 200) << answer.body;
}

TEST_F(Clouds, ASilentCloudThatIsReadAheadHoldsUpNoStop) {
  AddAzure("azure");
  AddS3("s3");
  options_.times.read_ahead = absl::Milliseconds(20);
  StartNode();
  Begin("a");
  clouds_["azure"]->AddFault({.no_answer = true});
  absl::SleepFor(absl::Milliseconds(300));  // it is being listed
  const absl::Time start = absl::Now();
  node_.reset();
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
}

TEST_F(Clouds, AClientsReportOfFailuresCausesALook) {
  options_.times.probe_interval = absl::Hours(1);
  AddS3("a");
  AddS3("b");
  StartNode();
  const auto health = [&] {
    return Call("GET", "/v3/admin/status", {}, operator_token_)
        .json["providers"][0]["health"]
        .get<std::string>();
  };
  const auto wait_for = [&](const std::string& wanted, const std::function<void()>& between) {
    for (int i = 0; i < 200 && health() != wanted; ++i) {
      between();
      absl::SleepFor(absl::Milliseconds(50));
    }
    return health();
  };
  EXPECT_EQ(wait_for("healthy", [] {}), "healthy");
  const TestSave save = Begin("a");
  ASSERT_TRUE(clouds_["a"]->SetListening(false).ok());
  absl::SleepFor(absl::Seconds(1));
  EXPECT_EQ(health(), "healthy");  // nobody has looked
  const auto report = [&] {
    const Json reports = {{"a", {{"ok", 0}, {"failed", 3}}}, {"b", {{"ok", 3}, {"failed", 0}}}};
    EXPECT_EQ(Call("POST", save.Target("/grants"), {{"packs", Json::array()}, {"reports", reports}})
                  .status,
              200);
  };
  EXPECT_EQ(wait_for("dark", report), "dark");
}

TEST_F(Clouds, MetricsCountRequestsCommitsAndProviders) {
  AddS3("a");
  StartNode();
  const TestSave save = Begin("a");
  const std::vector<Pack> packs = {{.bytes = "pack"}};
  ASSERT_EQ(Send(Grants(save, packs)[packs[0].id]["a"], packs[0].bytes), 200);
  ASSERT_EQ(Call("POST", save.Target("/commit"), CommitOf(save, packs, {"a"})).status, 200);
  EXPECT_EQ(Call("GET", "/v3/nothing").status, 404);
  const TestSave other = Begin("b");
  const Json reports = {{"a", {{"ok", 0}, {"failed", 0}, {"breaker", "open"}}}};
  EXPECT_EQ(Call("POST", other.Target("/grants"), {{"packs", Json::array()}, {"reports", reports}})
                .status,
            200);
  EXPECT_EQ(Call("GET", "/v3/admin/status", {}, operator_token_).json["providers"][0]["breaker"],
            "open");
  EXPECT_EQ(Call("GET", "/metrics").status, 403);
  const Answer metrics = Call("GET", "/metrics", {}, operator_token_);
  ASSERT_EQ(metrics.status, 200) << metrics.body;
  for (const char* line :
       {"cedana_storage_provider_up{provider=\"a\"}",
        "cedana_storage_provider_packs{provider=\"a\"} 1\n", "cedana_storage_debt_packs 0\n",
        "cedana_storage_provider_breaker_open{provider=\"a\"} 1\n",
        "cedana_storage_commits_total 1\n", "cedana_storage_requests_total{status=\"2xx\"} 6\n",
        "cedana_storage_requests_total{status=\"4xx\"} 2\n"}) {
    EXPECT_NE(metrics.body.find(line), std::string::npos) << line << " in\n" << metrics.body;
  }
}

}  // namespace
}  // namespace cedana::api
