// The service over real HTTP with clouds as its providers: clients upload and read straight there,
// by grants, and nothing wrong is ever committed.
#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "absl/strings/match.h"
#include "absl/time/clock.h"

#include "core/objstore/memory_store.h"
#include "core/objstore/testing/azure_imposter.h"
#include "core/objstore/testing/gcs_imposter.h"
#include "core/objstore/testing/imposter.h"
#include "core/objstore/testing/s3_imposter.h"
#include "core/objstore/testing/service_account.h"
#include "storage/api/testing/running_node.h"

namespace cedana::api {
namespace {

using base::Json;
using objstore::Imposter;

class Clouds : public NodeTest {
 protected:
  Clouds() {
    // Clouds judge signatures by real time.
    options_.clock = nullptr;
    options_.times.probe_interval = absl::Milliseconds(200);
  }

  void AddCloud(const std::string& name, const std::string& scheme,
                std::unique_ptr<objstore::ImposterDialect> dialect, const std::string& path,
                const Json& credentials) {
    clouds_[name] = *Imposter::Start({}, std::move(dialect));
    const std::string file = folder_ / (name + ".json");
    ASSERT_TRUE(base::WriteFileAtomic(file, base::DumpJson(credentials), 0600).ok());
    options_.providers.push_back(
        {name,
         absl::StrCat(scheme, "://packs?endpoint=", clouds_[name]->url(), path,
                      scheme == "s3" ? "&style=path" : "", "&domain=", name, "&credentials=", file),
         ""});
  }
  void AddS3(const std::string& name) {
    AddCloud(name, "s3", MakeS3Imposter({}, &stores_[name]), "",
             {{"access_key_id", "AKIAIMPOSTER"}, {"secret_access_key", "imposter-secret"}});
  }
  void AddGcs(const std::string& name) {
    const objstore::GcsCredentials& account = objstore::TestServiceAccount();
    AddCloud(name, "gcs",
             MakeGcsImposter({.bucket = "packs",
                              .client_email = account.client_email,
                              .public_key = objstore::TestServiceAccountPublicKey()},
                             &stores_[name]),
             "",
             {{"type", "service_account"},
              {"client_email", account.client_email},
              {"private_key", account.private_key}});
  }
  void AddAzure(const std::string& name) {
    const objstore::AzureImposterOptions defaults;
    AddCloud(name, "azure", MakeAzureImposter(defaults, &stores_[name]), "/acme",
             {{"account", defaults.account}, {"key", defaults.key_base64}});
  }

  struct Pack {
    std::string id = Draw<base::PackId>();
    std::string bytes;
  };
  Json Described(const Pack& pack) const {
    return {{"pack", pack.id}, {"bytes", pack.bytes.size()}, {"crc32c", Crc(pack.bytes)}};
  }
  // Sends the request that a grant describes, as it is; returns the cloud's status.
  int Send(const Json& grant, const std::string& bytes) {
    http::ClientRequest request{.method = grant["method"], .url = grant["url"]};
    for (const auto& [name, value] : grant["headers"].items()) {
      // The client says this itself.
      if (!absl::EqualsIgnoreCase(name, "content-length"))
        request.headers.emplace_back(name, value);
    }
    request.body = {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
    request.has_body = request.method == "PUT";
    last_ = Do(std::move(request));
    return last_.status;
  }
  // Grants for all of a save's packs, by pack and provider.
  std::map<std::string, std::map<std::string, Json>> Grants(const TestSave& save,
                                                            const std::vector<Pack>& packs) {
    std::map<std::string, std::map<std::string, Json>> found;
    for (size_t first = 0; first < packs.size(); first += 64) {
      Json wanted = Json::array();
      for (size_t i = first; i < std::min(packs.size(), first + 64); ++i) {
        wanted.push_back(Described(packs[i]));
      }
      const Answer answer = Call("POST", save.Target("/grants"), {{"packs", wanted}});
      EXPECT_EQ(answer.status, 200) << answer.body;
      for (const Json& grant : answer.json["grants"]) {
        found[grant["pack"]][grant["provider"]] = grant;
      }
    }
    return found;
  }
  Json CommitOf(const TestSave& save, const std::vector<Pack>& packs,
                const std::vector<std::string>& providers) {
    Json commit = save.Commit();
    commit["packs"] = Json::array();
    for (const Pack& pack : packs) {
      Json entry = Described(pack);
      entry["key_epoch"] = 1;
      entry["own"] = true;
      entry["providers"] = providers;
      commit["packs"].push_back(entry);
    }
    return commit;
  }
  TestSave Begin(const std::string& path) {
    TestSave save{.path = path};
    EXPECT_EQ(Call("PUT", save.Target(), save.Begin()).status, 200);
    return save;
  }
  // Reads each pack by a grant at each of its providers; returns from how many places.
  size_t ReadBack(const std::string& path, const std::vector<Pack>& packs) {
    const std::string lease = Draw<base::LeaseId>();
    EXPECT_EQ(Call("POST", "/v3/checkpoints/open", {{"path", path}, {"lease", lease}}).status, 200);
    size_t places = 0;
    for (const Pack& pack : packs) {
      const Answer grants =
          Call("POST", "/v3/leases/" + lease + "/grants", {{"packs", Json::array({pack.id})}});
      EXPECT_EQ(grants.status, 200) << grants.body;
      for (const Json& grant : grants.json["grants"]) {
        EXPECT_EQ(Send(grant, ""), 200) << last_.body;
        EXPECT_EQ(last_.body, pack.bytes);
        ++places;
      }
    }
    return places;
  }

  std::map<std::string, objstore::MemoryStore> stores_;
  std::map<std::string, std::unique_ptr<Imposter>> clouds_;
  Answer last_;
};

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

  // Elsewhere it can still become durable.
  EXPECT_EQ(Send(grants["s3"], packs[0].bytes), 200) << last_.body;
  const Answer committed =
      Call("POST", liar.Target("/commit"), CommitOf(liar, packs, {"gcs", "s3"}));
  EXPECT_EQ(committed.status, 200) << committed.body;
}

TEST_F(Clouds, ManyPacksAreReadBackOverSeveralCommits) {
  AddAzure("azure");
  AddS3("s3");
  options_.times.patience.healthy = absl::Milliseconds(500);
  options_.times.patience.read_back = absl::Milliseconds(500);
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
  EXPECT_EQ(Call("GET", "/metrics").status, 403);
  const Answer metrics = Call("GET", "/metrics", {}, operator_token_);
  ASSERT_EQ(metrics.status, 200) << metrics.body;
  for (const char* line :
       {"cedana_storage_provider_up{provider=\"a\"}",
        "cedana_storage_provider_packs{provider=\"a\"} 1\n", "cedana_storage_debt_packs 0\n",
        "cedana_storage_commits_total 1\n", "cedana_storage_requests_total{status=\"2xx\"} 3\n",
        "cedana_storage_requests_total{status=\"4xx\"} 2\n"}) {
    EXPECT_NE(metrics.body.find(line), std::string::npos) << line << " in\n" << metrics.body;
  }
}

}  // namespace
}  // namespace cedana::api
