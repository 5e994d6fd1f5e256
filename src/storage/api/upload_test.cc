// Files through /v2: uploaded in any way, given back byte for byte, and nothing to be seen of what
// was cut, altered or hostile.
#include "storage/api/upload.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/http/testing/raw_peer.h"
#include "storage/api/testing/running_node.h"

namespace cedana::api {
namespace {

class UploadTest : public NodeTest {
 protected:
  void SetUp() override { StartNode(); }

  static std::string File(const std::string& name) {
    return "/v2/files/" + http::PercentEncode(name);
  }
  std::string UploadUrl(const std::string& name) {
    const Answer answer = Call("PUT", File(name));
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_TRUE(absl::StartsWith(answer.body, Origin() + "/v2/data/")) << answer.body;
    return answer.body;
  }
  std::string ReadUrl(const std::string& name) {
    const Answer answer = Call("GET", File(name));
    EXPECT_EQ(answer.status, 200) << answer.body;
    return answer.body;
  }
  std::string List(const std::string& folder) {
    return Call("GET", "/v2/files/dir/" + http::PercentEncode(folder)).body;
  }
  static std::string Noise(size_t bytes) {
    std::string text(bytes, '\0');
    base::SystemRandom().Fill(reinterpret_cast<uint8_t*>(text.data()), bytes);
    return text;
  }
  static std::string Chunk(absl::string_view bytes) {
    return absl::StrCat(absl::Hex(bytes.size()), "\r\n", bytes, "\r\n");
  }

  // An upload as an existing client sends it: chunked, of a length that it does not say.
  http::RawPeer BeginChunked(const std::string& url) {
    http::RawPeer peer = http::RawPeer::Connect(node_->port());
    peer.Send(absl::StrCat("PUT ", url.substr(Origin().size()),
                           " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"));
    return peer;
  }
  static int StatusOf(const std::string& answer) {
    return answer.size() < 12 ? 0 : std::stoi(answer.substr(9, 3));
  }
  int PutChunked(const std::string& url, absl::string_view bytes, size_t piece = 100000) {
    http::RawPeer peer = BeginChunked(url);
    for (size_t at = 0; at < bytes.size(); at += piece) peer.Send(Chunk(bytes.substr(at, piece)));
    peer.Send("0\r\n\r\n");
    return StatusOf(peer.ReadUntil("\r\n\r\n"));
  }
  void Collect() {
    EXPECT_EQ(Call("POST", "/v3/admin/collect", base::Json::object(), operator_token_).status, 200);
  }
  // Everything that is due, whatever it waits for.
  void CollectAll() {
    for (int i = 0; i < 3; ++i) {
      clock_.Advance(absl::Hours(2));
      // By a new connection: to whatever still ends on the old ones two hours have passed.
      client_ = *http::Client::Create({});
      Collect();
    }
  }
};

TEST_F(UploadTest, GivesBackByteForByteWhatCameInChunksOrWithALength) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{4096}, size_t{300001},
                            (size_t{9} << 20) + 5, size_t{40} << 20}) {
    const std::string bytes = Noise(size);
    ASSERT_EQ(PutChunked(UploadUrl("d/chunked.tar.gz"), bytes), 201) << size;
    ASSERT_EQ(Put(UploadUrl("d/sized"), bytes).status, 201) << size;
    for (const char* name : {"d/chunked.tar.gz", "d/sized"}) {
      const Answer whole = Get(ReadUrl(name));
      EXPECT_EQ(whole.status, 200);
      EXPECT_EQ(whole.Header("content-length"), absl::StrCat(size));
      EXPECT_EQ(whole.Header("content-type"), "application/octet-stream");
      EXPECT_TRUE(whole.body == bytes) << name << " " << size;
    }
  }
  EXPECT_EQ(List("d"), R"(["chunked.tar.gz","sized"])");
  EXPECT_EQ(List(""), R"(["d/"])");
}

TEST_F(UploadTest, AnswersRangesAndConditions) {
  const std::string bytes = Noise(3u << 20);
  const Answer put = Put(UploadUrl("a"), bytes);
  const std::string url = ReadUrl("a");
  const Answer part = Get(url, {{"Range", "bytes=1000000-1999999"}});
  EXPECT_EQ(part.status, 206);
  EXPECT_TRUE(part.body == bytes.substr(1000000, 1000000));
  EXPECT_EQ(part.Header("content-range"), absl::StrCat("bytes 1000000-1999999/", bytes.size()));
  EXPECT_EQ(part.Header("etag"), put.Header("etag"));
  EXPECT_EQ(Get(url, {{"If-None-Match", put.Header("etag")}}).status, 304);
  EXPECT_EQ(Get(url, {{"If-Match", "\"x\""}}).status, 412);
  EXPECT_EQ(Get(url, {{"Range", "bytes=3145728-"}}).status, 416);
  const Answer head = Do({.method = "HEAD", .url = url});
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.Header("content-length"), absl::StrCat(bytes.size()));
  for (const char* range : {"bytes=1-2", "bytes=3145728-"}) {  // HEAD has none
    const Answer ranged = Do({.method = "HEAD", .url = url, .headers = {{"Range", range}}});
    EXPECT_EQ(ranged.status, 200);
    EXPECT_EQ(ranged.Header("content-length"), absl::StrCat(bytes.size()));
    EXPECT_EQ(ranged.Header("content-range"), "");
  }
  // A part of one version is never completed with another's.
  Put(UploadUrl("a"), Noise(3u << 20));
  const Answer changed = Get(url, {{"Range", "bytes=5-"}, {"If-Range", put.Header("etag")}});
  EXPECT_EQ(changed.status, 200);
  EXPECT_EQ(changed.body.size(), bytes.size());
}

TEST_F(UploadTest, ReplacesAtTheCommitAndCollectsTheOldVersion) {
  const std::string one = Noise(2u << 20);
  const std::string two = Noise(1u << 20);
  EXPECT_EQ(PutChunked(UploadUrl("a"), one), 201);
  const std::string url = ReadUrl("a");
  http::RawPeer peer = BeginChunked(UploadUrl("a"));
  peer.Send(Chunk(two));
  EXPECT_TRUE(Get(url).body == one);
  peer.Send("0\r\n\r\n");
  EXPECT_EQ(StatusOf(peer.ReadUntil("\r\n\r\n")), 201);
  // The URL names the file, not the version.
  EXPECT_TRUE(Get(url).body == two);
  EXPECT_EQ(List(""), R"(["a"])");
  CollectAll();
  EXPECT_TRUE(Get(ReadUrl("a")).body == two);
  EXPECT_EQ(CountObjects("s"), 2u);  // a pack and a manifest
}

TEST_F(UploadTest, OfTwoAtOnceTheLastToEndWins) {
  http::RawPeer slow = BeginChunked(UploadUrl("a"));
  slow.Send(Chunk("slow"));
  EXPECT_EQ(PutChunked(UploadUrl("a"), "quick"), 201);
  EXPECT_EQ(Get(ReadUrl("a")).body, "quick");
  slow.Send("0\r\n\r\n");
  EXPECT_EQ(StatusOf(slow.ReadUntil("\r\n\r\n")), 201);
  EXPECT_EQ(Get(ReadUrl("a")).body, "slow");
}

TEST_F(UploadTest, ACutUploadLeavesNothing) {
  EXPECT_EQ(PutChunked(UploadUrl("old"), "old"), 201);
  const std::string bytes = Noise(40u << 20);
  for (const char* name : {"new", "old"}) {
    http::RawPeer chunked = BeginChunked(UploadUrl(name));
    chunked.Send(Chunk(bytes));  // a pack is uploaded by then
    chunked.Reset();
    http::RawPeer ended = BeginChunked(UploadUrl(name));
    ended.Send(Chunk("abc"));
    ended.Close();
    http::RawPeer inside = BeginChunked(UploadUrl(name));
    inside.Send("fff\r\nabc");
    inside.Close();
    http::RawPeer sized = http::RawPeer::Connect(node_->port());
    sized.Send(absl::StrCat("PUT ", UploadUrl(name).substr(Origin().size()),
                            " HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc"));
    sized.Close();
  }
  // Stopping waits for what is under way.
  node_->Stop(absl::Seconds(30));
  node_.reset();
  StartNode();
  EXPECT_EQ(Call("GET", File("new")).status, 404);
  EXPECT_EQ(List(""), R"(["old"])");
  EXPECT_EQ(Get(ReadUrl("old")).body, "old");
  CollectAll();
  EXPECT_EQ(CountObjects("s"), 2u);
}

TEST_F(UploadTest, AFileComesBeforeAViewOfItsName) {
  Commit("d/x");  // of lz4: its one name is x.tar.lz4
  const std::string view = ReadUrl("d/x.tar.lz4");
  EXPECT_TRUE(absl::StrContains(view, "/v2/data/view.")) << view;
  EXPECT_EQ(PutChunked(UploadUrl("d/x.tar.lz4"), "mine"), 201);
  EXPECT_EQ(PutChunked(UploadUrl("d/x"), "also mine"), 201);
  EXPECT_EQ(Get(ReadUrl("d/x.tar.lz4")).body, "mine");
  EXPECT_EQ(Get(ReadUrl("d/x")).body, "also mine");
  EXPECT_TRUE(absl::StrContains(ReadUrl("d/x.tar"), "/v2/data/view."));
  EXPECT_EQ(List("d"), R"(["x","x.tar.lz4"])");
  // The checkpoint is what it was for those who know checkpoints.
  const Answer listed = Call("GET", "/v3/checkpoints?prefix=d");
  ASSERT_EQ(listed.json["checkpoints"].size(), 1u) << listed.body;
  EXPECT_EQ(listed.json["checkpoints"][0]["path"], "d/x");

  EXPECT_EQ(Call("DELETE", "/v3/files?path=d%2Fx.tar.lz4").status, 200);
  EXPECT_EQ(Call("DELETE", "/v3/files?path=d%2Fx.tar.lz4").status, 404);
  EXPECT_TRUE(absl::StrContains(ReadUrl("d/x.tar.lz4"), "/v2/data/view."));
  EXPECT_EQ(Call("DELETE", "/v3/checkpoints?path=d%2Fx").status, 200);
  EXPECT_EQ(Call("GET", File("d/x.tar.lz4")).status, 404);
  EXPECT_EQ(Get(ReadUrl("d/x")).body, "also mine");
  EXPECT_EQ(List("d"), R"(["x"])");
}

TEST_F(UploadTest, RefusesPathsThatAreNone) {
  for (const char* bad :
       {"..%2Fa", "a%2F%2Fb", "a%2F..%2Fb", "%2F", "%00", "a%0Ab", "%FF", "a%2F", "..", "."}) {
    for (const char* method : {"PUT", "GET"}) {
      const Answer answer = Call(method, absl::StrCat("/v2/files/", bad));
      EXPECT_EQ(answer.status, 400) << method << " " << bad << answer.body;
    }
  }
  EXPECT_EQ(Call("PUT", "/v2/files/" + std::string(256, 'x')).status, 400);
  EXPECT_EQ(Call("PUT", "/v2/files/").status, 400);
  // Slashes that are not encoded, and names that look like calls.
  for (const char* name : {"a/b/c.tar", "user"}) {
    const Answer url = Call("PUT", absl::StrCat("/v2/files/", name));
    ASSERT_EQ(url.status, 200) << url.body;
    EXPECT_EQ(PutChunked(url.body, name), 201);
    EXPECT_EQ(Get(ReadUrl(name)).body, name);
    EXPECT_EQ(Get(Call("GET", absl::StrCat("/v2/files/", name)).body).body, name);
  }
}

TEST_F(UploadTest, TheNameOfTheListingCallIsAFileLikeOthers) {
  EXPECT_EQ(Call("GET", "/v2/files/dir").body, "[]");  // as it was, where there is none
  EXPECT_EQ(PutChunked(Call("PUT", "/v2/files/dir").body, "a file"), 201);
  EXPECT_EQ(Get(Call("GET", "/v2/files/dir").body).body, "a file");
  EXPECT_EQ(Call("GET", "/v2/files/dir/").body, R"(["dir"])");
  // Below it only what can be read back in the way it was written.
  for (const char* listing : {"/v2/files/dir/x", "/v2/files/dir/x/y", "/v2/files/dir/"}) {
    const Answer refused = Call("PUT", listing);
    EXPECT_EQ(refused.status, 400) << listing;
    EXPECT_TRUE(absl::StrContains(refused.body, "dir%2F")) << refused.body;
  }
  EXPECT_EQ(PutChunked(UploadUrl("dir/x"), "below"), 201);
  EXPECT_EQ(Get(ReadUrl("dir/x")).body, "below");
  EXPECT_EQ(Call("GET", "/v2/files/dir/dir").body, R"(["x"])");
}

TEST_F(UploadTest, WantsTheGrantAsItWasGiven) {
  const std::string url = UploadUrl("a");
  std::string altered = url;
  altered.back() = altered.back() == '0' ? '1' : '0';  // another name
  EXPECT_EQ(Put(altered, "x").status, 403);
  const auto with = [&](size_t part, const std::string& text) {
    const size_t base = url.rfind('/') + 1;
    std::vector<std::string> parts = absl::StrSplit(url.substr(base), '.');
    parts[part] = text;
    return url.substr(0, base) + absl::StrJoin(parts, ".");
  };
  EXPECT_EQ(Put(with(0, "read"), "x").status, 403);
  EXPECT_EQ(Put(with(0, "append"), "x").status, 403);
  EXPECT_EQ(Put(with(1, Draw<base::OrgId>()), "x").status, 403);
  EXPECT_EQ(Put(with(3, "99999999999999"), "x").status, 403);
  EXPECT_EQ(Put(with(4, ""), "x").status, 403);
  EXPECT_EQ(Put(Origin() + "/v2/data/x", "x").status, 403);
  EXPECT_EQ(Get(url).status, 403);
  EXPECT_EQ(Get(with(0, "read")).status, 403);
  EXPECT_EQ(Put(url, "x").status, 201);
  EXPECT_EQ(Put(ReadUrl("a"), "y").status, 403);
  const std::string read = ReadUrl("a");
  clock_.Advance(absl::Minutes(15));
  EXPECT_EQ(Put(url, "y").status, 403);
  EXPECT_EQ(Get(read).status, 403);
  EXPECT_EQ(Get(ReadUrl("a")).body, "x");
}

TEST_F(UploadTest, AnOrganisationSeesItsOwnFilesOnly) {
  Call("POST", "/v3/admin/orgs", {{"name", "other"}}, operator_token_);
  const std::string other =
      Call("POST", "/v3/admin/tokens", {{"organisation", "other"}}, operator_token_).json["token"];
  EXPECT_EQ(PutChunked(UploadUrl("a"), "mine"), 201);
  EXPECT_EQ(Call("GET", File("a"), {}, other).status, 404);
  EXPECT_EQ(Call("GET", "/v2/files/dir/", {}, other).body, "[]");
  EXPECT_EQ(Call("DELETE", "/v3/files?path=a", {}, other).status, 404);
  EXPECT_EQ(PutChunked(Call("PUT", File("a"), {}, other).body, "theirs"), 201);
  EXPECT_EQ(Get(ReadUrl("a")).body, "mine");
  EXPECT_EQ(Call("PUT", File("a"), {}, "-").status, 401);
  EXPECT_EQ(Call("PUT", File("a"), {}, operator_token_).status, 403);
}

TEST_F(UploadTest, HostileBodiesEndWithAnErrorAndNothingElse) {
  const std::string kBodies[] = {"fffffffffffffffff\r\n", "ffffffffffffffff\r\nabc", "-1\r\n",
                                 "zz\r\nabc", "3\r\nabcd\r\n0\r\n\r\n"};
  for (const std::string& body : kBodies) {
    http::RawPeer peer = BeginChunked(UploadUrl("a"));
    peer.Send(body);
    ::shutdown(peer.fd(), SHUT_WR);
    const int status = StatusOf(peer.ReadToEnd());
    EXPECT_TRUE(status == 400 || status == 503) << body << " " << status;
  }
  // No end of what is no content.
  http::RawPeer endless = BeginChunked(UploadUrl("a"));
  endless.Send("1;x=");
  const std::string more(64 << 10, 'x');
  for (int i = 0; i < 100 && endless.Send(more); ++i) {
  }
  endless.ReadToEnd();
  EXPECT_TRUE(endless.ended());
  // More than can be kept is refused before the first byte.
  http::RawPeer huge = http::RawPeer::Connect(node_->port());
  huge.Send(absl::StrCat("PUT ", UploadUrl("a").substr(Origin().size()),
                         " HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: ",
                         kUploadBytesMax + 1, "\r\n\r\n"));
  EXPECT_EQ(StatusOf(huge.ReadToEnd()), 400);
  EXPECT_EQ(List(""), "[]");
}

}  // namespace
}  // namespace cedana::api
