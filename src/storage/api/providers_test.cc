// The administration of providers and policies over real HTTP: what works, and that what is refused
// says why in one line and changes nothing.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <functional>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "storage/api/testing/running_clouds.h"

namespace cedana::api {
namespace {

using base::Json;

constexpr char kSecret[] = "imposter-secret";

class Providers : public Clouds {
 protected:
  Answer Admin(const std::string& method, const std::string& target, const Json& body = {}) {
    return Call(method, target, body, operator_token_);
  }
  Json List() { return Admin("GET", "/v3/admin/providers").json["providers"]; }
  // One more cloud, which the service does not know yet.
  Json SpecOf(const std::string& name, const std::string& secret = kSecret) {
    if (!clouds_.contains(name)) {
      clouds_[name] = *objstore::Imposter::Start({}, objstore::MakeS3Imposter({}, &stores_[name]));
    }
    return {{"name", name},
            {"url", absl::StrCat("s3://packs?style=path&endpoint=", clouds_[name]->url(),
                                 "&domain=", name)},
            {"credentials",
             base::DumpJson({{"access_key_id", "AKIAIMPOSTER"}, {"secret_access_key", secret}})}};
  }
  // Refused with this status, in one line, without a secret, and the list stays as it is.
  void ExpectRefused(int status, const std::string& method, const std::string& target,
                     const Json& body, const std::string& says) {
    const Json before = List();
    const Answer answer = Admin(method, target, body);
    EXPECT_EQ(answer.status, status) << answer.body;
    EXPECT_TRUE(absl::StrContains(answer.body, says)) << answer.body;
    EXPECT_FALSE(absl::StrContains(answer.body, kSecret)) << answer.body;
    const std::string message = base::StringOr(answer.json, "message", "");
    EXPECT_FALSE(message.empty());
    EXPECT_FALSE(absl::StrContains(message, "\n")) << message;
    const Json after = List();
    ASSERT_EQ(after.size(), before.size());
    for (size_t i = 0; i < after.size(); ++i) {
      EXPECT_EQ(after[i]["name"], before[i]["name"]);
      EXPECT_EQ(after[i]["state"], before[i]["state"]);
    }
  }
  bool WaitFor(const std::function<bool()>& holds) {
    for (int i = 0; i < 400; ++i) {
      if (holds()) return true;
      absl::SleepFor(absl::Milliseconds(50));
    }
    return false;
  }
  // A checkpoint of one pack at these providers.
  Pack SaveAt(const std::string& path, const std::vector<std::string>& providers) {
    const TestSave save = Begin(path);
    const Pack pack{.bytes = std::string(5000, 'x')};
    auto grants = Grants(save, {pack})[pack.id];
    for (const std::string& name : providers) {
      EXPECT_EQ(Send(grants[name], pack.bytes), 200) << name << ": " << last_.body;
    }
    const Answer committed =
        Call("POST", save.Target("/commit"), CommitOf(save, {pack}, providers));
    EXPECT_EQ(committed.status, 200) << committed.body;
    return pack;
  }
  int64_t Owed() {
    const Json debt = Admin("GET", "/v3/admin/status").json["debt"];
    return base::IntOr(debt, "packs", -1) + base::IntOr(debt, "manifests", -1);
  }
};

TEST_F(Providers, OneThatWorksIsAddedAndUsed) {
  AddS3("a");
  StartNode();
  const Answer added = Admin("POST", "/v3/admin/providers", SpecOf("b"));
  ASSERT_EQ(added.status, 200) << added.body;
  EXPECT_EQ(added.json["domain"], "b");
  const Answer list = Admin("GET", "/v3/admin/providers");
  ASSERT_EQ(list.json["providers"].size(), 2u);
  EXPECT_FALSE(absl::StrContains(list.body, kSecret));
  // The secret lies where only its owner reads it.
  struct stat file = {};
  ASSERT_EQ(::stat((folder_ / "providers" / "b.json").c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600u);
  // Nothing of the trial is left; the organisations' keys are there already.
  const auto objects = stores_["b"].List({}, "x/", "", 10);
  EXPECT_TRUE(objects.ok() && objects->empty());
  SaveAt("one", {"a", "b"});
  EXPECT_EQ(Call("GET", "/v3/checkpoints").json["checkpoints"][0]["durability"],
            "fully replicated");
}

TEST_F(Providers, OneThatDoesNotWorkIsNotAdded) {
  AddS3("a");
  StartNode();
  const std::string add = "/v3/admin/providers";
  ExpectRefused(409, "POST", add, SpecOf("a"), "is there already");
  ExpectRefused(412, "POST", add, SpecOf("b", "another-secret"), "write");
  Json spec = SpecOf("b");
  spec["name"] = "b/../c";
  ExpectRefused(400, "POST", add, spec, "name");
  spec = SpecOf("b");
  spec["url"] = "ftp://packs";
  ExpectRefused(400, "POST", add, spec, "storage URLs");
  spec = SpecOf("b");
  spec["credentials"] = absl::StrCat("{\"secret_access_key\": \"", kSecret, "\"");
  ExpectRefused(400, "POST", add, spec, "credentials");
  spec = SpecOf("b");
  ASSERT_TRUE(clouds_["b"]->SetListening(false).ok());
  ExpectRefused(412, "POST", add, spec, "write");
  ASSERT_TRUE(clouds_["b"]->SetListening(true).ok());
  // Rights for everything but deletion.
  clouds_["b"]->AddFault({.operation = objstore::Operation::kDelete, .times = -1, .status = 403});
  ExpectRefused(412, "POST", add, spec, "delete");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "providers" / "b.json"));
  // An organisation's token is not the operator's.
  EXPECT_EQ(Call("POST", add, SpecOf("b")).status, 403);
  EXPECT_EQ(Call("GET", add).status, 403);
}

TEST_F(Providers, ATestSaysWhatWorksAndWhatBites) {
  AddS3("s3");
  AddGcs("gcs");
  AddAzure("azure");
  StartNode();
  for (const std::string name : {"s3", "gcs", "azure"}) {
    const Answer good = Admin("POST", "/v3/admin/providers/" + name + "/test");
    ASSERT_EQ(good.status, 200) << good.body;
    EXPECT_EQ(good.json["ok"], true) << good.body;
    EXPECT_EQ(good.json["grants_enforce"]["checksum"], name != "azure");
    std::vector<std::string> whats;
    for (const Json& item : good.json["items"]) whats.push_back(item["what"]);
    for (const char* wanted :
         {"write", "write once only", "read a range", "list", "upload by grant",
          "upload by grant once only", "read by grant", "delete"}) {
      EXPECT_EQ(std::count(whats.begin(), whats.end(), wanted), 1) << wanted << ": " << good.body;
    }
    const bool bites = absl::StrContains(good.body, "deleted bytes");
    EXPECT_EQ(bites, name != "s3") << good.body;
    const auto left = stores_[name].List({}, "x/", "", 10);
    EXPECT_TRUE(left.ok() && left->empty());
  }
  // A bucket that keeps what is deleted.
  clouds_["kept"] = *objstore::Imposter::Start(
      {}, objstore::MakeS3Imposter({.versioning = true}, &stores_["kept"]));
  ASSERT_EQ(Admin("POST", "/v3/admin/providers", SpecOf("kept")).status, 200);
  Answer answer = Admin("POST", "/v3/admin/providers/kept/test");
  EXPECT_EQ(answer.json["ok"], true) << answer.body;
  EXPECT_TRUE(absl::StrContains(answer.body, "old versions")) << answer.body;
  // A clock that is wrong, but not so wrong that nothing works.
  clouds_["s3"]->SetClockSkew(absl::Minutes(3));
  answer = Admin("POST", "/v3/admin/providers/s3/test");
  EXPECT_EQ(answer.json["ok"], true) << answer.body;
  EXPECT_TRUE(absl::StrContains(answer.body, "grants will be refused")) << answer.body;
  // Bytes that are not what was written.
  clouds_["gcs"]->AddFault({.operation = objstore::Operation::kGet, .times = -1, .flip_bit = 7});
  answer = Admin("POST", "/v3/admin/providers/gcs/test");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.json["ok"], false) << answer.body;
  ExpectRefused(404, "POST", "/v3/admin/providers/none/test", {}, "none");
}

TEST_F(Providers, OneWhoseGrantsBindLessIsNotBelieved) {
  AddS3("a");
  StartNode();
  clouds_["lax"] = *objstore::Imposter::Start(
      {}, objstore::MakeS3Imposter({.checksums = false}, &stores_["lax"]));
  ASSERT_EQ(Admin("POST", "/v3/admin/providers", SpecOf("lax")).status, 200);
  const Answer answer = Admin("POST", "/v3/admin/providers/lax/test");
  EXPECT_EQ(answer.json["ok"], true) << answer.body;
  EXPECT_TRUE(absl::StrContains(answer.body, "checksum=no")) << answer.body;
  EXPECT_EQ(answer.json["grants_enforce"]["checksum"], false);
  EXPECT_EQ(answer.json["grants_enforce"]["size"], true);
  const auto left = stores_["lax"].List({}, "x/", "", 10);
  EXPECT_TRUE(left.ok() && left->empty());
  // What it took is read, however sure it is of it.
  const TestSave save = Begin("one");
  const Pack pack{.bytes = std::string(5000, 'x')};
  auto grants = Grants(save, {pack})[pack.id];
  std::string bent = pack.bytes;
  bent[1234] ^= 1;
  EXPECT_EQ(Send(grants["a"], pack.bytes), 200) << last_.body;
  EXPECT_EQ(Send(grants["lax"], bent), 200) << last_.body;
  const Answer refused = Call("POST", save.Target("/commit"), CommitOf(save, {pack}, {"a", "lax"}));
  EXPECT_EQ(refused.status, 412) << refused.body;
}

TEST_F(Providers, ADrainedProviderGoesWhenNothingNeedsIt) {
  AddS3("a");
  AddS3("b");
  AddS3("c");
  StartNode();
  const Pack pack = SaveAt("one", {"a", "b"});
  const Answer removed = Admin("DELETE", "/v3/admin/providers/b");
  ASSERT_EQ(removed.status, 200) << removed.body;
  EXPECT_EQ(removed.json["state"], "draining");
  EXPECT_TRUE(WaitFor([&] { return List().size() == 2; })) << List();
  EXPECT_EQ(Owed(), 0);
  EXPECT_EQ(ReadBack("one", {pack}), 2u);
  ExpectRefused(404, "DELETE", "/v3/admin/providers/b", {}, "none");
}

TEST_F(Providers, AProviderHasNoSamplesOfProbesBeforeTheFirstOne) {
  AddS3("a");
  AddS3("b");
  StartNode();
  const Json policy = {{"organisation", "default"}, {"copies", 2}, {"ack", 1}};
  ASSERT_EQ(Admin("PUT", "/v3/admin/policies", policy).status, 200);
  SaveAt("one", {"a", "b"});
  // What it holds has nowhere to go, so it stays: a start does not write to it.
  ASSERT_EQ(Admin("DELETE", "/v3/admin/providers/b").status, 200);
  node_.reset();
  clouds_["b"]->AddFault({.operation = objstore::Operation::kHead, .latency = absl::Seconds(1)});
  StartNode();
  const auto says = [&](const std::string& text) {
    return absl::StrContains(Admin("GET", "/metrics").body, text);
  };
  EXPECT_FALSE(says("cedana_storage_provider_up{provider=\"b\"}"));
  EXPECT_FALSE(says("cedana_storage_provider_latency_seconds{provider=\"b\"}"));
  EXPECT_TRUE(says("cedana_storage_provider_packs{provider=\"b\"} 1\n"));
  EXPECT_TRUE(WaitFor([&] { return says("cedana_storage_provider_up{provider=\"b\"} 1\n"); }));
}

TEST_F(Providers, WhatALostProviderHadIsWrittenElsewhere) {
  AddS3("a");
  AddS3("b");
  StartNode();
  const Json policy = {{"organisation", "default"}, {"copies", 2}, {"ack", 1}};
  ASSERT_EQ(Admin("PUT", "/v3/admin/policies", policy).status, 200);
  const Pack pack = SaveAt("one", {"a", "b"});
  ASSERT_TRUE(clouds_["b"]->SetListening(false).ok());
  ASSERT_EQ(Admin("DELETE", "/v3/admin/providers/b?lost=1").json["state"], "lost");
  EXPECT_TRUE(WaitFor([&] { return Owed() > 0; }));
  EXPECT_EQ(Call("GET", "/v3/checkpoints").json["checkpoints"][0]["durability"], "durable");
  // Now it is the last one.
  ExpectRefused(412, "DELETE", "/v3/admin/providers/a", {}, "last");
  ExpectRefused(412, "DELETE", "/v3/admin/providers/a?lost=1", {}, "last");
  ASSERT_EQ(Admin("POST", "/v3/admin/providers", SpecOf("c")).status, 200);
  EXPECT_TRUE(WaitFor([&] { return Owed() == 0; }));
  EXPECT_EQ(ReadBack("one", {pack}), 2u);
}

TEST_F(Providers, PoliciesAreWithinWhatThereIs) {
  AddS3("a");
  AddS3("b");
  StartNode();
  const std::string target = "/v3/admin/policies";
  const auto policy = [&] { return Admin("GET", target).json["policies"][0]; };
  EXPECT_EQ(policy()["copies"], 2);
  EXPECT_EQ(policy()["chosen"], false);
  const auto wanted = [](int copies, int ack) {
    return Json{{"organisation", "default"}, {"copies", copies}, {"ack", ack}};
  };
  ExpectRefused(412, "PUT", target, wanted(3, 2), "failure domains");
  ExpectRefused(400, "PUT", target, wanted(2, 3), "copies=N,ack=M");
  ExpectRefused(400, "PUT", target, wanted(0, 0), "copies=N,ack=M");
  ExpectRefused(400, "PUT", target, wanted(100, 1), "copies=N,ack=M");
  Json unknown = wanted(1, 1);
  unknown["organisation"] = "nobody";
  ExpectRefused(404, "PUT", target, unknown, "nobody");
  EXPECT_EQ(policy()["copies"], 2);
  EXPECT_EQ(Admin("GET", target + "?organisation=nobody").status, 404);
  EXPECT_EQ(Call("PUT", target, wanted(1, 1)).status, 403);

  const Pack pack = SaveAt("one", {"a", "b"});
  ASSERT_EQ(Admin("PUT", target, wanted(1, 1)).status, 200);
  EXPECT_EQ(policy()["copies"], 1);
  EXPECT_EQ(policy()["chosen"], true);
  SaveAt("two", {"b"});
  // More copies than before: what is there already owes them.
  ASSERT_EQ(Admin("PUT", target, {{"organisation", "default"}, {"default", true}}).json["copies"],
            2);
  EXPECT_TRUE(WaitFor([&] { return Owed() == 0; }));
  EXPECT_TRUE(WaitFor([&] { return List()[0]["packs"] == 2 && List()[1]["packs"] == 2; }))
      << List();
}

TEST_F(Providers, ARepairThatCompares) {
  AddS3("a");
  AddS3("b");
  StartNode();
  const Pack pack = SaveAt("one", {"a", "b"});
  const auto listed = stores_["a"].List({}, "", "", 100);
  ASSERT_TRUE(listed.ok());
  for (const objstore::ObjectInfo& object : *listed) {
    if (!absl::StrContains(object.key, pack.id)) continue;
    ASSERT_TRUE(stores_["a"].Delete({}, *objstore::ObjectKey::Parse(object.key)).ok());
  }
  const Answer answer = Admin("POST", "/v3/admin/repair", {{"scrub", true}});
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.json["scrubbed"]["a"]["missing"], 1) << answer.body;
  EXPECT_EQ(answer.json["scrubbed"]["b"]["missing"], 0) << answer.body;
  EXPECT_EQ(answer.json["more"], false);
  const std::string metrics = Admin("GET", "/metrics").body;
  EXPECT_TRUE(absl::StrContains(metrics, "\ncedana_storage_missing_shards_total 1\n")) << metrics;
  EXPECT_TRUE(WaitFor([&] { return Owed() == 0; }));
  EXPECT_EQ(ReadBack("one", {pack}), 2u);
  EXPECT_EQ(Call("POST", "/v3/admin/repair", Json::object()).status, 403);
}

}  // namespace
}  // namespace cedana::api
