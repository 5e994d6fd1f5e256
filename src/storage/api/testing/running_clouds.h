// A whole service whose providers are clouds: imposters, on loopback, that a test can break on cue.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "core/objstore/memory_store.h"
#include "core/objstore/testing/azure_imposter.h"
#include "core/objstore/testing/gcs_imposter.h"
#include "core/objstore/testing/imposter.h"
#include "core/objstore/testing/s3_imposter.h"
#include "core/objstore/testing/service_account.h"
#include "storage/api/testing/running_node.h"

namespace cedana::api {

class Clouds : public NodeTest {
 protected:
  Clouds() {
    // Clouds judge signatures by real time.
    options_.clock = nullptr;
    options_.times.probe_interval = absl::Milliseconds(200);
    // Tests count requests, and spoil the n-th.
    options_.times.grant_trial = absl::InfiniteDuration();
  }

  void AddCloud(const std::string& name, const std::string& scheme,
                std::unique_ptr<objstore::ImposterDialect> dialect, const std::string& path,
                const base::Json& credentials) {
    clouds_[name] = *objstore::Imposter::Start({}, std::move(dialect));
    const std::string file = folder_ / (name + ".json");
    ASSERT_TRUE(base::WriteFileAtomic(file, base::DumpJson(credentials), 0600).ok());
    options_.providers.push_back(
        {name,
         absl::StrCat(scheme, "://packs?endpoint=", clouds_[name]->url(), path,
                      scheme == "s3" ? "&style=path" : "", "&domain=", name, "&credentials=", file),
         ""});
  }
  void AddS3(const std::string& name) {
    AddCloud(name, "s3", objstore::MakeS3Imposter({}, &stores_[name]), "",
             {{"access_key_id", "AKIAIMPOSTER"}, {"secret_access_key", "imposter-secret"}});
  }
  void AddGcs(const std::string& name) {
    const objstore::GcsCredentials& account = objstore::TestServiceAccount();
    AddCloud(name, "gcs",
             objstore::MakeGcsImposter({.bucket = "packs",
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
    AddCloud(name, "azure", objstore::MakeAzureImposter(defaults, &stores_[name]), "/acme",
             {{"account", defaults.account}, {"key", defaults.key_base64}});
  }

  struct Pack {
    std::string id = Draw<base::PackId>();
    std::string bytes;
  };
  base::Json Described(const Pack& pack) const {
    return {{"pack", pack.id}, {"bytes", pack.bytes.size()}, {"crc32c", Crc(pack.bytes)}};
  }
  // Sends the request that a grant describes, as it is; returns the cloud's status.
  int Send(const base::Json& grant, const std::string& bytes) {
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
  std::map<std::string, std::map<std::string, base::Json>> Grants(const TestSave& save,
                                                                  const std::vector<Pack>& packs) {
    std::map<std::string, std::map<std::string, base::Json>> found;
    for (size_t first = 0; first < packs.size(); first += 64) {
      base::Json wanted = base::Json::array();
      for (size_t i = first; i < std::min(packs.size(), first + 64); ++i) {
        wanted.push_back(Described(packs[i]));
      }
      const Answer answer = Call("POST", save.Target("/grants"), {{"packs", wanted}});
      EXPECT_EQ(answer.status, 200) << answer.body;
      for (const base::Json& grant : answer.json["grants"]) {
        found[grant["pack"]][grant["provider"]] = grant;
      }
    }
    return found;
  }
  base::Json CommitOf(const TestSave& save, const std::vector<Pack>& packs,
                      const std::vector<std::string>& providers) {
    base::Json commit = save.Commit();
    commit["packs"] = base::Json::array();
    for (const Pack& pack : packs) {
      base::Json entry = Described(pack);
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
      const Answer grants = Call("POST", "/v3/leases/" + lease + "/grants",
                                 {{"packs", base::Json::array({pack.id})}});
      EXPECT_EQ(grants.status, 200) << grants.body;
      for (const base::Json& grant : grants.json["grants"]) {
        EXPECT_EQ(Send(grant, ""), 200) << last_.body;
        EXPECT_EQ(last_.body, pack.bytes);
        ++places;
      }
    }
    return places;
  }

  std::map<std::string, objstore::MemoryStore> stores_;
  std::map<std::string, std::unique_ptr<objstore::Imposter>> clouds_;
  Answer last_;
};

}  // namespace cedana::api
