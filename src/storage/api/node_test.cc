// The service over real HTTP on loopback: saves, grants, leases, files, administration.
#include <gtest/gtest.h>

#include <sys/mount.h>
#include <sys/stat.h>

#include <atomic>

#include "core/base/thread.h"
#include "core/http/testing/raw_peer.h"
#include "storage/api/testing/running_node.h"

namespace cedana::api {
namespace {

using base::Json;

class SaveCalls : public NodeTest {
 protected:
  void SetUp() override { StartNode(); }
};
using Objects = SaveCalls;
using Rights = SaveCalls;
using Folders = SaveCalls;
using Administration = SaveCalls;

TEST_F(SaveCalls, AreRepeatableFromBeginToDelete) {
  const TestSave save = Commit("a/b.tar.lz4");
  const Answer repeated = Call("POST", save.Target("/commit"), save.Commit());
  ASSERT_EQ(repeated.status, 200) << repeated.body;
  EXPECT_EQ(repeated.json["path"], "a/b");
  EXPECT_EQ(repeated.json["durability"], "fully replicated");
  EXPECT_EQ(repeated.json["facts"]["job_name"], "my-job-1");
  EXPECT_EQ(Call("GET", save.Target()).json["state"], "committed");
  EXPECT_EQ(Call("POST", save.Target("/abort")).status, 409);
  EXPECT_EQ(Call("PUT", save.Target(), save.Begin()).Code(), "already_exists");

  const Json open = {{"path", "/a/b.tar"}, {"lease", Draw<base::LeaseId>()}};
  const std::string lease = "/v3/leases/" + open["lease"].get<std::string>();
  const Answer opened = Call("POST", "/v3/checkpoints/open", open);
  ASSERT_EQ(opened.status, 200) << opened.body;
  EXPECT_EQ(opened.json["manifest"], base::Base64Encode(save.manifest));
  EXPECT_EQ(Call("POST", "/v3/checkpoints/open", open).status, 200);
  EXPECT_EQ(Call("POST", lease + "/heartbeat").json["lease_ms"], 300000);
  const Answer grants = Call("POST", lease + "/grants", {{"packs", {save.pack}}});
  ASSERT_EQ(grants.status, 200) << grants.body;
  const std::string url = grants.json["grants"][0]["url"];
  EXPECT_EQ(grants.json["grants"][0]["bytes"], save.bytes.size());
  EXPECT_EQ(Get(url).body, save.bytes);
  const Answer part = Get(url, {{"Range", "bytes=7-11"}});
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.body, save.bytes.substr(7, 5));
  EXPECT_EQ(Get(url, {{"Range", "bytes=100-"}}).Code(), "invalid_argument");
  EXPECT_EQ(Call("DELETE", lease).status, 200);
  EXPECT_EQ(Call("DELETE", lease).status, 200);
  EXPECT_EQ(Call("POST", lease + "/grants", {{"packs", {save.pack}}}).status, 404);

  EXPECT_EQ(Call("DELETE", "/v3/checkpoints?path=a%2Fb").status, 200);
  EXPECT_EQ(Call("DELETE", "/v3/checkpoints?path=a%2Fb").status, 404);
  EXPECT_EQ(Call("POST", "/v3/checkpoints/open", open).status, 404);
}

TEST_F(SaveCalls, EndWithTheirLease) {
  TestSave save{.path = "late"};
  const Answer begun = Call("PUT", save.Target(), save.Begin());
  ASSERT_EQ(begun.status, 200);
  EXPECT_EQ(begun.json["lease_ms"], 300000);
  EXPECT_EQ(begun.json["heartbeat_ms"], 20000);
  EXPECT_EQ(Put(UploadUrl(save), save.bytes).status, 201);
  clock_.Advance(absl::Minutes(5));
  EXPECT_EQ(Call("POST", save.Target("/heartbeat")).Code(), "failed_precondition");
  EXPECT_EQ(Call("POST", save.Target("/grants"), {{"packs", {save.Pack()}}}).status, 412);
  EXPECT_EQ(Call("POST", save.Target("/commit"), save.Commit()).status, 412);
  EXPECT_EQ(Call("POST", "/v3/admin/collect", Json::object(), operator_token_).status, 200);
  EXPECT_EQ(CountObjects("s"), 1u);  // a grant may still be used
  clock_.Advance(absl::Minutes(15));
  const Answer collected = Call("POST", "/v3/admin/collect", Json::object(), operator_token_);
  EXPECT_EQ(collected.json["swept_saves"], 1) << collected.body;
  EXPECT_EQ(CountObjects("s"), 0u);
}

TEST_F(SaveCalls, RefuseWhatIsMissingOrMalformed) {
  TestSave save{.path = "a"};
  EXPECT_EQ(Call("PUT", "/v3/saves/zz", save.Begin()).status, 400);
  EXPECT_EQ(Call("PUT", save.Target(), Json::array()).status, 400);
  EXPECT_EQ(Call("PUT", save.Target(), {{"path", "a"}}).status, 400);
  EXPECT_EQ(Call("PUT", save.Target(), {{"checkpoint", save.checkpoint}, {"path", 7}}).status, 400);
  for (const char* path : {"", "..", "a/../b", "a//b", "a\x01", "a/./b", ".tar"}) {
    TestSave hostile{.path = path};
    EXPECT_EQ(Call("PUT", hostile.Target(), hostile.Begin()).Code(), "invalid_argument") << path;
  }
  ASSERT_EQ(Call("PUT", save.Target(), save.Begin()).status, 200);
  Json commit = save.Commit();
  EXPECT_EQ(Call("POST", save.Target("/commit"), commit).Code(), "failed_precondition");
  commit["packs"][0]["own"] = false;
  EXPECT_EQ(Call("POST", save.Target("/commit"), commit).Code(), "parent_gone");
  commit["packs"] = "none";
  EXPECT_EQ(Call("POST", save.Target("/commit"), commit).status, 400);
  Json many = Json::array();
  for (int i = 0; i < 65; ++i) many.push_back(save.Pack());
  EXPECT_EQ(Call("POST", save.Target("/grants"), {{"packs", many}}).status, 400);
  // A JSON body past its bound is refused, and the connection can be used again.
  EXPECT_EQ(Call("PUT", save.Target(), {{"path", std::string(2u << 20, 'x')}}).status, 400);
  EXPECT_EQ(Call("GET", "/v3/nothing").status, 404);
  EXPECT_EQ(Call("GET", save.Target()).json["state"], "open");
}

class SlowPeers : public NodeTest {
 protected:
  // As many as there are workers send a byte now and then until the service has answered somebody
  // else.
  void TrickleWhileHealthIsAsked(const std::string& head) {
    std::vector<http::RawPeer> slow;
    for (int i = 0; i < options_.workers; ++i) {
      slow.push_back(http::RawPeer::Connect(node_->port()));
      slow.back().Send(head);
      if (i >= options_.bulk_workers) continue;  // waits for a worker
      EXPECT_FALSE(slow.back().ReadUntil("\r\n\r\n").empty());
    }
    std::atomic<bool> answered = false;
    base::Thread trickle("trickle", [&] {
      while (!answered) {
        for (http::RawPeer& peer : slow) peer.Send("x");
        absl::SleepFor(absl::Milliseconds(20));
      }
    });
    const absl::Time begin = absl::Now();
    EXPECT_EQ(Get(Origin() + "/healthz").status, 200);
    EXPECT_LT(absl::Now() - begin, absl::Seconds(5));
    answered = true;
  }
};

TEST_F(SlowPeers, HoldNoWorkerForLong) {
  options_.workers = 2;
  options_.bulk_workers = 2;  // even if they had all of them
  options_.slow_time = absl::Milliseconds(300);
  StartNode();
  TestSave save{.path = "slow", .bytes = std::string(1 << 20, 'x')};
  ASSERT_EQ(Call("PUT", save.Target(), save.Begin()).status, 200);
  const std::string target = UploadUrl(save).substr(Origin().size());
  TrickleWhileHealthIsAsked(absl::StrCat(
      "PUT ", target,
      " HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1048576\r\n\r\n"));
  TrickleWhileHealthIsAsked(absl::StrCat(
      "POST ", save.Target("/commit"), " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ", token_,
      "\r\nExpect: 100-continue\r\nContent-Length: 1048576\r\n\r\n"));
  // A body that nobody reads, of somebody who is not known.
  TrickleWhileHealthIsAsked(absl::StrCat("POST ", save.Target("/commit"),
                                         " HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n"));
}

TEST_F(SlowPeers, LeaveWorkersToCallsThatMoveNoBytes) {
  options_.workers = 2;
  options_.bulk_workers = 1;
  StartNode();
  TestSave save{.path = "slow", .bytes = std::string(1 << 20, 'x')};
  ASSERT_EQ(Call("PUT", save.Target(), save.Begin()).status, 200);
  const std::string url = UploadUrl(save);
  // As slow as they like.
  TrickleWhileHealthIsAsked(absl::StrCat(
      "PUT ", url.substr(Origin().size()),
      " HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1048576\r\n\r\n"));
  EXPECT_EQ(Call("POST", save.Target("/heartbeat")).status, 200);
}

TEST_F(SaveCalls, RefuseWhatIsNestedTooDeeply) {
  const auto commit_facts = [&](const std::string& value) {
    const TestSave save{.path = "deep"};
    std::string text = base::DumpJson(save.Commit());
    text.insert(text.rfind("\"job_id\""), absl::StrCat("\"details\":{\"a\":", value, "},"));
    http::ClientRequest request{.method = "POST",
                                .url = Origin() + save.Target("/commit"),
                                .headers = {{"Authorization", "Bearer " + token_}},
                                .has_body = true};
    request.body = {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
    return Do(std::move(request));
  };
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_EQ(commit_facts(nested(10)).Code(), "not_found");  // there is no such save
  const Answer deep = commit_facts(nested(100000));
  EXPECT_EQ(deep.Code(), "invalid_argument") << deep.body;
  EXPECT_EQ(deep.status, 400);
  EXPECT_EQ(Get(Origin() + "/healthz").status, 200);
}

TEST_F(SaveCalls, ListsTenThousandInPages) {
  metadata::Saves& saves = node_->vault().metadata->saves();
  const auto organisation = node_->vault().metadata->identities().FindOrganisation("default")->id;
  constexpr int kThreads = 64;  // share transactions, and with them the waits for the disk
  {
    std::vector<base::Thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back("commit", [&, t] {
        for (int i = t; i < 10000; i += kThreads) {
          const metadata::NewSave save{base::DrawId<base::SaveId>(base::SystemRandom()),
                                       base::DrawId<base::CheckpointId>(base::SystemRandom()),
                                       absl::StrCat("many/", i)};
          EXPECT_TRUE(saves.Begin(organisation, save).ok());
          metadata::NewCheckpoint wanted{.save = save.id};
          wanted.row.id = save.checkpoint;
          wanted.row.path = save.path;
          wanted.row.manifest_providers = {"local"};
          wanted.row.facts = "{}";
          EXPECT_TRUE(saves.Commit(organisation, wanted).ok());
        }
      });
    }
  }
  size_t seen = 0;
  uint64_t before = 0;
  while (true) {
    const Answer page =
        Call("GET", absl::StrCat("/v3/checkpoints?prefix=many&before_sequence=", before));
    ASSERT_EQ(page.status, 200) << page.body;
    const Json& list = page.json["checkpoints"];
    if (list.empty()) break;
    EXPECT_LE(list.size(), 1000u);
    seen += list.size();
    before = list.back()["sequence"];
  }
  EXPECT_EQ(seen, 10000u);
  EXPECT_EQ(Call("GET", "/v2/files/dir/many").json.size(), 10000u);
  EXPECT_EQ(Call("GET", "/v3/checkpoints?limit=x").status, 400);
}

TEST_F(Objects, AreTakenExactlyAsGranted) {
  TestSave save{.path = "a"};
  ASSERT_EQ(Call("PUT", save.Target(), save.Begin()).status, 200);
  const std::string url = UploadUrl(save);
  std::string flipped = save.bytes;
  flipped[3] = static_cast<char>(flipped[3] ^ 1);
  EXPECT_EQ(Put(url, flipped).Code(), "data_loss");
  EXPECT_EQ(Put(url, save.bytes + "x").Code(), "invalid_argument");
  EXPECT_EQ(Put(url, save.bytes.substr(1)).Code(), "invalid_argument");
  EXPECT_EQ(CountObjects("s"), 0u);
  EXPECT_EQ(Put(url, save.bytes).status, 201);
  const Answer again = Put(url, save.bytes);
  EXPECT_EQ(again.Code(), "already_exists");
  EXPECT_EQ(again.Header("x-object-bytes"), absl::StrCat(save.bytes.size()));
  // A write grant is none to read, and the other way round.
  EXPECT_EQ(Get(url).Code(), "permission_denied");
}

TEST_F(Objects, AlteredAndExpiredGrantsAreRefusedBeforeTheBody) {
  TestSave save{.path = "a", .bytes = std::string(1u << 20, 'b')};
  ASSERT_EQ(Call("PUT", save.Target(), save.Begin()).status, 200);
  const std::string url = UploadUrl(save);
  const auto altered = [&](const std::string& from, const std::string& to) {
    std::string text = url;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  const std::string kBad[] = {
      altered("size=1048576", "size=1048577"),
      altered("crc32c=", "crc32c=1"),
      altered("expires=", "expires=9"),
      altered("sig=", "sig=0"),
      altered(save.pack, Draw<base::PackId>()),
      altered("objects/local", "objects/other"),
      altered("/s/", "/s/../"),
      url.substr(0, url.find('?')),
  };
  for (const std::string& bad : kBad) EXPECT_EQ(Put(bad, save.bytes).status, 403) << bad;
  clock_.Advance(absl::Minutes(15));
  const Answer expired = Put(url, save.bytes);
  EXPECT_EQ(expired.Code(), "permission_denied");
  EXPECT_EQ(CountObjects("s"), 0u);
}

TEST_F(Rights, EveryCallWantsItsToken) {
  std::string wrong = token_;
  wrong.back() = wrong.back() == '0' ? '1' : '0';
  for (const std::string& token : {std::string("-"), wrong, std::string("x")}) {
    EXPECT_EQ(Call("GET", "/v2/user", {}, token).Code(), "unauthenticated");
    EXPECT_EQ(Call("GET", "/v3/nothing", {}, token).status, 401);
    EXPECT_EQ(Call("POST", "/v3/admin/collect", Json::object(), token).status, 401);
  }
  EXPECT_EQ(Call("GET", "/v2/user", {}, operator_token_).Code(), "permission_denied");
  EXPECT_EQ(Call("GET", "/v3/checkpoints", {}, operator_token_).status, 403);
  EXPECT_EQ(Call("GET", "/v3/admin/orgs").status, 403);
  EXPECT_EQ(Call("POST", "/v3/admin/collect", Json::object()).status, 403);
  EXPECT_EQ(Call("GET", "/healthz", {}, "-").status, 200);
  EXPECT_EQ(Call("GET", "/readyz", {}, "-").status, 200);
  EXPECT_FALSE(Call("GET", "/v2/user").Header("x-request-id").empty());
}

TEST_F(Rights, AnotherOrganisationSeesNothing) {
  const TestSave mine = Commit("a/b");
  ASSERT_EQ(Call("POST", "/v3/admin/orgs", {{"name", "other"}}, operator_token_).status, 200);
  const std::string other =
      Call("POST", "/v3/admin/tokens", {{"organisation", "other"}}, operator_token_).json["token"];
  EXPECT_EQ(Call("GET", "/v2/user", {}, other).status, 200);
  EXPECT_NE(Call("GET", "/v2/user", {}, other).body, Call("GET", "/v2/user").body);
  EXPECT_EQ(Call("GET", "/v3/checkpoints", {}, other).json["checkpoints"].size(), 0u);
  EXPECT_EQ(Call("GET", "/v2/files/dir/a", {}, other).body, "[]");
  EXPECT_EQ(Call("GET", "/v2/files/a%2Fb.tar", {}, other).status, 404);
  EXPECT_EQ(Call("DELETE", "/v3/checkpoints?path=a/b", {}, other).status, 404);
  EXPECT_EQ(Call("GET", mine.Target(), {}, other).json["state"], "unknown");
  EXPECT_EQ(Call("PUT", mine.Target(), mine.Begin(), other).status, 404);
  EXPECT_EQ(Call("POST", mine.Target("/heartbeat"), {}, other).status, 404);
  EXPECT_EQ(Call("POST", mine.Target("/abort"), {}, other).status, 404);
  EXPECT_EQ(Call("POST", mine.Target("/grants"), {{"packs", {mine.Pack()}}}, other).status, 404);
  EXPECT_EQ(Call("POST", mine.Target("/commit"), mine.Commit(), other).status, 404);
  const Json open = {{"path", "a/b"}, {"lease", Draw<base::LeaseId>()}};
  EXPECT_EQ(Call("POST", "/v3/checkpoints/open", open, other).status, 404);
  ASSERT_EQ(Call("POST", "/v3/checkpoints/open", open).status, 200);
  const std::string lease = "/v3/leases/" + open["lease"].get<std::string>();
  EXPECT_EQ(Call("POST", lease + "/heartbeat", {}, other).status, 404);
  EXPECT_EQ(Call("POST", lease + "/grants", {{"packs", {mine.pack}}}, other).status, 404);
  EXPECT_EQ(Call("DELETE", lease, {}, other).status, 200);  // says nothing, ends nothing
  EXPECT_EQ(Call("POST", lease + "/heartbeat").status, 200);
  // The same path is free there, and their packs cannot be referred to.
  TestSave theirs{.path = "a/b"};
  ASSERT_EQ(Call("PUT", theirs.Target(), theirs.Begin(), other).status, 200);
  Json commit = theirs.Commit();
  commit["packs"][0]["pack"] = mine.pack;
  commit["packs"][0]["own"] = false;
  EXPECT_EQ(Call("POST", theirs.Target("/commit"), commit, other).Code(), "parent_gone");
  commit["packs"][0]["own"] = true;
  EXPECT_EQ(Call("POST", theirs.Target("/commit"), commit, other).status, 412);
}

TEST_F(Folders, ListNamesAsTheOlderInterfaceKnowsThem) {
  Commit("a/b");
  Commit("a/c/d");
  Commit("a/c/e");
  Commit("top");
  EXPECT_EQ(Call("GET", "/v2/files/dir/a").body, R"(["b.tar.lz4","c/"])");
  EXPECT_EQ(Call("GET", "/v2/files/dir/a%2Fc").body, R"(["d.tar.lz4","e.tar.lz4"])");
  EXPECT_EQ(Call("GET", "/v2/files/dir/a/c/").body, R"(["d.tar.lz4","e.tar.lz4"])");
  EXPECT_EQ(Call("GET", "/v2/files/dir/").body, R"(["a/","top.tar.lz4"])");
  EXPECT_EQ(Call("GET", "/v2/files/dir").body, R"(["a/","top.tar.lz4"])");
  EXPECT_EQ(Call("GET", "/v2/files/dir/none").body, "[]");
  EXPECT_EQ(Call("GET", "/v2/files/dir/..%2Fa").status, 400);
  EXPECT_EQ(Call("GET", "/v2/files/dir/a%00").status, 400);
  EXPECT_EQ(Call("GET", "/v2/files/a%2Fnone.tar").Code(), "not_found");
  EXPECT_EQ(Call("GET", "/v2/files/a%2Fb.tar.lz4").status, 200);
  EXPECT_EQ(Call("GET", "/v2/files/a%2Fb").status, 404);
  EXPECT_EQ(Call("GET", "/v2/user").body.size(), 36u);
}

TEST_F(Administration, MakesOrganisationsAndTokensAndRevokesThem) {
  const Json acme = {{"name", "acme"}};
  EXPECT_EQ(Call("POST", "/v3/admin/orgs", acme, operator_token_).status, 200);
  EXPECT_EQ(Call("POST", "/v3/admin/orgs", acme, operator_token_).status, 409);
  EXPECT_EQ(Call("POST", "/v3/admin/orgs", {{"name", "a/b"}}, operator_token_).status, 400);
  EXPECT_EQ(CountObjects("k"), 2u);
  EXPECT_EQ(Call("GET", "/v3/admin/orgs", {}, operator_token_).json["organisations"].size(), 2u);
  const Json of_acme = {{"organisation", "acme"}};
  const Answer made = Call("POST", "/v3/admin/tokens", of_acme, operator_token_);
  ASSERT_EQ(made.status, 200) << made.body;
  const std::string token = made.json["token"];
  EXPECT_EQ(Call("GET", "/v2/user", {}, token).status, 200);
  const Answer list = Call("GET", "/v3/admin/tokens?organisation=acme", {}, operator_token_);
  EXPECT_EQ(list.json["tokens"].size(), 1u);
  EXPECT_EQ(list.body.find(token), std::string::npos);
  const std::string target = "/v3/admin/tokens/" + made.json["id"].get<std::string>();
  EXPECT_EQ(Call("DELETE", target, {}, operator_token_).status, 200);
  EXPECT_EQ(Call("GET", "/v2/user", {}, token).Code(), "unauthenticated");
  EXPECT_EQ(Call("DELETE", "/v3/admin/tokens/none", {}, operator_token_).status, 404);
  // Whole, as it is at hand; it is taken for its id, and never given back.
  EXPECT_EQ(Call("DELETE", absl::StrCat("/v3/admin/tokens/", token), {}, operator_token_).status,
            200);
  const std::string unknown = absl::StrCat("/v3/admin/tokens/cdn_", std::string(96, '7'), "x");
  EXPECT_EQ(Call("DELETE", unknown, {}, operator_token_).body.find("777"), std::string::npos);
  EXPECT_EQ(Call("POST", "/v3/admin/tokens", {{"organisation", "none"}}, operator_token_).status,
            404);
}

TEST_F(NodeTest, KeepsItsFolderPrivateAndToItself) {
  StartNode();
  for (const char* name : {"token", "operator-token", "keys/master", "catalog.db"}) {
    struct stat info {};
    ASSERT_EQ(::stat((folder_ / name).c_str(), &info), 0) << name;
    EXPECT_EQ(info.st_mode & 0777, 0600u) << name;
  }
  const absl::Status second = Node::Start(options_).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(second)) << second;
  const TestSave save = Commit("a");
  const std::string token = token_;
  node_.reset();
  StartNode();
  EXPECT_EQ(token_, token);
  EXPECT_EQ(Call("GET", save.Target()).json["state"], "committed");
  node_.reset();
  NodeOptions wrong = options_;
  wrong.master_key_hex = std::string(64, 'a');
  EXPECT_TRUE(absl::IsDataLoss(Node::Start(wrong).status()));
  std::filesystem::remove(folder_ / "keys" / "master");
  EXPECT_TRUE(absl::IsNotFound(Node::Start(options_).status()));
}

TEST_F(NodeTest, ListensOnLoopbackOnly) {
  for (const char* address : {"0.0.0.0", "::", "10.0.0.1", "example.com", ""}) {
    options_.address = address;
    EXPECT_TRUE(absl::IsInvalidArgument(Node::Start(options_).status())) << address;
  }
}

TEST_F(NodeTest, AFullDiskIsSaidInOneLineAndChangesNothing) {
  options_.providers = {{"tiny", absl::StrCat("file://", (folder_ / "tiny").string()), ""}};
  std::filesystem::create_directory(folder_ / "tiny");
  const std::string tiny = folder_ / "tiny";
  if (::mount("tmpfs", tiny.c_str(), "tmpfs", 0, "size=256k") != 0) {
    GTEST_SKIP() << "only root can mount";
  }
  StartNode();
  TestSave save{.path = "big", .bytes = std::string(1u << 20, 'x')};
  ASSERT_EQ(Call("PUT", save.Target(), save.Begin()).status, 200);
  const Answer full = Put(UploadUrl(save), save.bytes);
  EXPECT_EQ(full.status, 507) << full.body;
  EXPECT_EQ(full.Code(), "resource_exhausted");
  EXPECT_EQ(Call("POST", save.Target("/commit"), save.Commit()).status, 412);
  EXPECT_EQ(Call("GET", "/readyz", {}, "-").status, 200);
  TestSave small{.path = "small"};
  ASSERT_EQ(Call("PUT", small.Target(), small.Begin()).status, 200);
  EXPECT_EQ(Put(UploadUrl(small), small.bytes).status, 201);
  node_.reset();
  EXPECT_EQ(::umount(tiny.c_str()), 0);
}

}  // namespace
}  // namespace cedana::api
