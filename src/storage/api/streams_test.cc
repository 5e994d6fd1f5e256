// The shards of a streamed dump, uploaded and downloaded at once by a client that interleaves them;
// and that nobody who is slow keeps others out.
#include <gtest/gtest.h>

#include <atomic>
#include <map>

#include "absl/strings/match.h"
#include "core/base/thread.h"
#include "core/http/testing/raw_peer.h"
#include "storage/api/testing/running_node.h"

namespace cedana::api {
namespace {

constexpr int kStreams = 8;
constexpr size_t kPiece = 512u << 10;
constexpr size_t kPieces = 24;  // of each stream: more than sockets hold by themselves

class Streams : public NodeTest {
 protected:
  Streams() {
    // Silence that would end any other request, and looks at it that are frequent.
    options_.io_timeout = absl::Milliseconds(200);
    options_.bulk.ask_every = absl::Milliseconds(20);
    // Not those of saves, which are renewed by real time.
    options_.times.lease = absl::Hours(24);
  }

  static std::string Name(const std::string& folder, int stream) {
    return absl::StrCat(folder, "/img-", stream, ".lz4");
  }
  std::string Url(const char* method, const std::string& name, const std::string& token = "") {
    const Answer answer = Call(method, "/v2/files/" + http::PercentEncode(name), {}, token);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return answer.body;
  }
  http::RawPeer Begin(const char* method, const std::string& url, absl::string_view headers) {
    http::RawPeer peer = http::RawPeer::Connect(node_->port());
    const timeval limit{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(peer.fd(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    peer.Send(absl::StrCat(method, " ", url.substr(Origin().size()), " HTTP/1.1\r\nHost: x\r\n",
                           headers, "\r\n"));
    return peer;
  }
  http::RawPeer BeginUpload(const std::string& name, const std::string& token = "") {
    return Begin("PUT", Url("PUT", name, token), "Transfer-Encoding: chunked\r\n");
  }
  static bool SendChunk(http::RawPeer& peer, absl::string_view bytes) {
    return peer.Send(absl::StrCat(absl::Hex(bytes.size()), "\r\n", bytes, "\r\n"));
  }
  static int End(http::RawPeer& peer) {
    peer.Send("0\r\n\r\n");
    return StatusOf(peer.ReadUntil("\r\n\r\n"));
  }
  static int StatusOf(const std::string& answer) {
    return answer.size() < 12 ? 0 : std::stoi(answer.substr(9, 3));
  }
  // Different everywhere, and found again by number.
  static const std::string& Piece(int stream, size_t piece) {
    static auto* const pieces = new std::map<std::pair<int, size_t>, std::string>();
    std::string& bytes = (*pieces)[{stream, piece}];
    if (bytes.empty()) {
      bytes.resize(kPiece);
      base::SystemRandom().Fill(reinterpret_cast<uint8_t*>(bytes.data()), kPiece);
    }
    return bytes;
  }
  // Every server-side limit on silence passes, by its own clock.
  void LongSilence() {
    clock_.Advance(absl::Minutes(2));
    absl::SleepFor(2 * options_.io_timeout);
  }
  std::string OtherToken() {
    Call("POST", "/v3/admin/orgs", {{"name", "other"}}, operator_token_);
    return Call("POST", "/v3/admin/tokens", {{"organisation", "other"}}, operator_token_)
        .json["token"];
  }
};

TEST_F(Streams, EightGoUpAndComeDownInterleavedWhileOneIsSilent) {
  StartNode();
  // img-0 says a little and then nothing, as long as pages move in the others.
  std::vector<http::RawPeer> up;
  for (int i = 0; i < kStreams; ++i) up.push_back(BeginUpload(Name("d", i)));
  ASSERT_TRUE(SendChunk(up[0], Piece(0, 0)));
  for (size_t piece = 0; piece < kPieces; ++piece) {
    for (int i = 1; i < kStreams; ++i) {
      ASSERT_TRUE(SendChunk(up[i], Piece(i, piece))) << "img-" << i << " at piece " << piece;
    }
    if (piece % 8 == 7) LongSilence();
  }
  LongSilence();
  ASSERT_TRUE(SendChunk(up[0], Piece(0, 1)));
  for (int i = 0; i < kStreams; ++i) EXPECT_EQ(End(up[i]), 201) << "img-" << i;

  // Merged piece by piece; the last one is not read before the others are through.
  std::vector<http::RawPeer> down;
  for (int i = 0; i < kStreams; ++i) {
    down.push_back(Begin("GET", Url("GET", Name("d", i)), ""));
    const int late = kStreams - 1;
    if (i != late) {
      EXPECT_EQ(StatusOf(down[i].ReadUntil("\r\n\r\n")), 200);
    }
  }
  const auto expect = [&](int stream, size_t piece) {
    const std::string& wanted = Piece(stream, piece);
    // Pieces are random: the end of one is found nowhere else.
    const std::string got = down[stream].ReadUntil(wanted.substr(wanted.size() - 64));
    EXPECT_TRUE(got == wanted) << "img-" << stream << " piece " << piece << ": " << got.size();
  };
  for (size_t piece = 0; piece < 2; ++piece) expect(0, piece);
  for (size_t piece = 0; piece < kPieces; ++piece) {
    for (int i = 1; i < kStreams - 1; ++i) expect(i, piece);
    if (piece % 8 == 7) LongSilence();
  }
  EXPECT_EQ(StatusOf(down[kStreams - 1].ReadUntil("\r\n\r\n")), 200);
  for (size_t piece = 0; piece < kPieces; ++piece) expect(kStreams - 1, piece);
}

TEST_F(Streams, TwoRestoresOfOneOrganisationGoOnAtOnce) {
  StartNode();
  for (const char* folder : {"one", "two"}) {
    std::vector<http::RawPeer> up;
    for (int i = 0; i < kStreams; ++i) {
      up.push_back(BeginUpload(Name(folder, i)));
      ASSERT_TRUE(SendChunk(up[i], Piece(i, 0)));
    }
    for (http::RawPeer& peer : up) EXPECT_EQ(End(peer), 201);
  }
  std::vector<http::RawPeer> down;
  for (const char* folder : {"one", "two"}) {
    for (int i = 0; i < kStreams; ++i)
      down.push_back(Begin("GET", Url("GET", Name(folder, i)), ""));
  }
  for (http::RawPeer& peer : down) {
    const std::string head = peer.ReadUntil("\r\n\r\n");
    EXPECT_EQ(StatusOf(head), 200) << head;
  }
}

TEST_F(Streams, WhoTricklesGivesWayAsSoonAsSomebodyWaits) {
  options_.bulk.shares = 2 * kBulkShares;  // one transfer of each organisation
  StartNode();
  http::RawPeer trickler = BeginUpload("a");
  ASSERT_TRUE(SendChunk(trickler, "abc"));
  for (int i = 0; i < 10; ++i) {
    LongSilence();
    ASSERT_TRUE(SendChunk(trickler, "d")) << i;
  }
  const Answer put = Put(Url("PUT", "b"), "another");
  EXPECT_EQ(put.status, 201) << put.body;
  EXPECT_EQ(StatusOf(trickler.ReadUntil("\r\n\r\n")), 503);
  EXPECT_EQ(Call("GET", "/v2/files/a").status, 404);
}

TEST_F(Streams, StreamsThatTrickleGiveWayToAnotherOrganisation) {
  // All of it is held by two organisations, half and half.
  options_.bulk.shares = 2 * kStreamsMax;
  StartNode();
  const std::string other = OtherToken();
  std::vector<http::RawPeer> tricklers;
  for (const std::string& token : {std::string(), other}) {
    for (int i = 0; i < 2; ++i) {
      tricklers.push_back(BeginUpload(Name("d", i), token));
      ASSERT_TRUE(SendChunk(tricklers.back(), "abc"));
    }
  }
  Call("POST", "/v3/admin/orgs", {{"name", "third"}}, operator_token_);
  const std::string third =
      Call("POST", "/v3/admin/tokens", {{"organisation", "third"}}, operator_token_).json["token"];
  absl::SleepFor(absl::Milliseconds(100));  // all of them are being read
  LongSilence();
  for (http::RawPeer& peer : tricklers) SendChunk(peer, "d");
  const Answer put = Put(Url("PUT", "b", third), "another");
  EXPECT_EQ(put.status, 201) << put.body;
}

TEST_F(Streams, ATransferThatIsGivenUpWithoutAWordEnds) {
  options_.bulk.silent_max = absl::Minutes(3);
  StartNode();
  http::RawPeer peer = BeginUpload("a");
  ASSERT_TRUE(SendChunk(peer, "abc"));
  std::string answer;
  for (int i = 0; i < 10 && answer.empty(); ++i) {
    LongSilence();
    pollfd entry{peer.fd(), POLLIN, 0};
    if (::poll(&entry, 1, 0) > 0) answer = peer.ReadUntil("\r\n\r\n");
  }
  EXPECT_EQ(StatusOf(answer), 503) << answer;
}

TEST_F(Streams, OtherRequestsStillHaveTheServersTimeout) {
  StartNode();
  http::RawPeer peer = http::RawPeer::Connect(node_->port());
  peer.Send(absl::StrCat("POST /v3/checkpoints/open HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ",
                         token_, "\r\nContent-Length: 100\r\n\r\n{"));
  const absl::Time begin = absl::Now();
  peer.ReadToEnd();
  EXPECT_TRUE(peer.ended());
  EXPECT_LT(absl::Now() - begin, absl::Seconds(4));
}

}  // namespace
}  // namespace cedana::api
