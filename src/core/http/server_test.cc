// The server against raw bytes.
#include "core/http/server.h"

#include <atomic>
#include <stdexcept>

#include "absl/strings/str_split.h"
#include "absl/synchronization/notification.h"
#include "core/base/thread.h"
#include "core/http/testing/raw_peer.h"

namespace cedana::http {
namespace {

constexpr char kGet[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

std::unique_ptr<Server> Serve(Handler handler, ServerOptions options = {}) {
  return *Server::Start(std::move(options), std::move(handler));
}

void Hello(Exchange& exchange) { exchange.Respond(200, {}, "hello").IgnoreError(); }

void Echo(Exchange& exchange) {
  const auto body = exchange.ReadAll(1 << 20);
  if (!body.ok()) {
    exchange.Respond(400, {}, std::string(body.status().message())).IgnoreError();
  } else {
    exchange.Respond(200, {}, absl::StrCat("[", *body, "]")).IgnoreError();
  }
}

std::string Ask(uint16_t port, absl::string_view bytes) {
  RawPeer peer = RawPeer::Connect(port);
  EXPECT_TRUE(peer.Send(bytes));
  return peer.ReadToEnd();
}

TEST(Server, KeepsTheConnection) {
  const auto server = Serve(Hello);
  RawPeer peer = RawPeer::Connect(server->port());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(peer.Send(kGet));
    const std::string answer = peer.ReadUntil("hello");
    EXPECT_TRUE(absl::StartsWith(answer, "HTTP/1.1 200 OK\r\n")) << answer;
    EXPECT_FALSE(absl::StrContains(answer, "Connection: close"));
  }
}

TEST(Server, AnswersPipelinedRequestsInOrderUntilOneIsGarbage) {
  const auto server = Serve(Echo);
  const std::string answer = Ask(
      server->port(), absl::StrCat("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\none",
                                   "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                                   "2;ext=1\r\ntw\r\n1\r\no\r\n0\r\nTrailer: x\r\n\r\n",
                                   kGet, "\x01\x02 garbage\r\n\r\n", kGet));
  const size_t one = answer.find("[one]");
  const size_t two = answer.find("[two]");
  const size_t three = answer.find("[]");
  const size_t bad = answer.find("HTTP/1.1 400");
  EXPECT_TRUE(one < two && two < three && three < bad && bad != std::string::npos) << answer;
  EXPECT_EQ(answer.find("HTTP/1.1", bad + 1), std::string::npos);
}

TEST(Server, RefusesWhatIsNoRequest) {
  const auto server = Serve(Echo);
  const std::vector<std::pair<std::string, int>> cases = {
      {"GET / HTTP/1.1\r\n\r\n", 400},  // no Host
      {"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400},
      {"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400},
      {"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: x\r\nContent-Length: 3\r\n\r\n", 400},
      {"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", 400},
      {"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\n", 400},
      {"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
      {"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
      {"PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: tea\r\n\r\n", 417},
      {"GET x HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET /?a=%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET / HTTP/9.1\r\nHost: x\r\n\r\n", 400},
      {"hello\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400},
      {absl::StrCat("GET / HTTP/1.1\r\nHost: x\r\nBig: ", std::string(100000, 'x'), "\r\n\r\n"),
       431},
      {absl::StrCat("GET /", std::string(100000, 'x'), " HTTP/1.1\r\nHost: x\r\n\r\n"), 431},
  };
  for (const auto& [bytes, status] : cases) {
    const std::string answer = Ask(server->port(), bytes);
    EXPECT_TRUE(absl::StartsWith(answer, absl::StrCat("HTTP/1.1 ", status, " ")))
        << bytes.substr(0, 200) << "\n-> " << answer;
    EXPECT_TRUE(absl::StrContains(answer, "Connection: close"));
  }
}

TEST(Server, RefusesABadChunk) {
  const auto server = Serve(Echo);
  const std::string head = "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string& body : {std::string("x\r\n"), std::string("2\r\nabc\r\n0\r\n\r\n"),
                                  std::string("fffffffffffffffff\r\n"), std::string("-1\r\n")}) {
    const std::string answer = Ask(server->port(), head + body);
    EXPECT_TRUE(absl::StartsWith(answer, "HTTP/1.1 400")) << body << " -> " << answer;
  }
}

TEST(Server, LimitsWhatIsNoBodyInAChunkedBody) {
  const auto server = Serve(Echo);
  const std::string head = "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string& start : {std::string("2;x="), std::string("0\r\nTrailer: ")}) {
    RawPeer peer = RawPeer::Connect(server->port());
    peer.Send(head + start);
    const std::string more(64 << 10, 'x');
    for (int i = 0; i < 100 && peer.Send(more); ++i) {
    }
    const std::string answer = peer.ReadToEnd();
    EXPECT_TRUE(answer.empty() || absl::StartsWith(answer, "HTTP/1.1 400")) << answer;
    EXPECT_TRUE(peer.ended());
  }
}

TEST(Server, ReadsABodyThatComesByteByByte) {
  const auto server = Serve(Echo);
  RawPeer peer = RawPeer::Connect(server->port());
  for (const char c : std::string("PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                                  "5\r\nabcde\r\n0\r\n\r\n"
                                  "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nxyz")) {
    ASSERT_TRUE(peer.Send(absl::string_view(&c, 1)));
    absl::SleepFor(absl::Microseconds(200));
  }
  EXPECT_TRUE(absl::EndsWith(peer.ReadUntil("[abcde]"), "[abcde]"));
  EXPECT_TRUE(absl::EndsWith(peer.ReadUntil("[xyz]"), "[xyz]"));
}

TEST(Server, RefusesBeforeTheBody) {
  const auto server =
      Serve([](Exchange& exchange) { exchange.Respond(403, {}, "no").IgnoreError(); });
  const std::string answer =
      Ask(server->port(),
          "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 33554432\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_TRUE(absl::StartsWith(answer, "HTTP/1.1 403")) << answer;
  EXPECT_TRUE(absl::StrContains(answer, "Connection: close"));
  EXPECT_TRUE(absl::EndsWith(answer, "no"));
}

TEST(Server, AsksForTheBodyAtTheFirstRead) {
  const auto server = Serve(Echo);
  RawPeer peer = RawPeer::Connect(server->port());
  for (int i = 0; i < 2; ++i) {
    peer.Send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    EXPECT_EQ(peer.ReadUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    peer.Send("abc");
    EXPECT_TRUE(absl::StartsWith(peer.ReadUntil("[abc]"), "HTTP/1.1 200"));
  }
}

TEST(Server, DrainsASmallBodyAndCutsOffALargeOne) {
  const auto server = Serve(Hello);
  RawPeer peer = RawPeer::Connect(server->port());
  peer.Send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n" + std::string(50000, 'x'));
  EXPECT_FALSE(absl::StrContains(peer.ReadUntil("hello"), "Connection: close"));
  peer.Send(kGet);
  EXPECT_TRUE(absl::StartsWith(peer.ReadUntil("hello"), "HTTP/1.1 200"));
  peer.Send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n");
  peer.Send(std::string(5000000, 'x'));
  const std::string answer = peer.ReadToEnd();
  EXPECT_TRUE(absl::StrContains(answer, "Connection: close")) << answer;
  EXPECT_TRUE(absl::EndsWith(answer, "hello"));
}

TEST(Server, SendsNoBodyForHead) {
  const auto server = Serve([](Exchange& exchange) {
    if (exchange.request().path == "/stream") {
      ASSERT_TRUE(exchange.Start(200, {}, 7).ok());
      EXPECT_TRUE(exchange.Finish().ok());
    } else {
      Hello(exchange);
    }
  });
  RawPeer peer = RawPeer::Connect(server->port());
  peer.Send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\nHEAD /stream HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(absl::StrContains(peer.ReadUntil("\r\n\r\n"), "Content-Length: 5\r\n"));
  EXPECT_TRUE(absl::StrContains(peer.ReadUntil("\r\n\r\n"), "Content-Length: 7\r\n"));
  peer.Send(kGet);
  EXPECT_TRUE(absl::StartsWith(peer.ReadUntil("hello"), "HTTP/1.1 200"));
}

TEST(Server, SpeaksToHttp10) {
  const auto server = Serve([](Exchange& exchange) {
    EXPECT_TRUE(exchange.Start(200, {}, std::nullopt).ok());
    const uint8_t bytes[] = {'a', 'b'};
    EXPECT_TRUE(exchange.Write(bytes).ok());
    EXPECT_TRUE(exchange.Finish().ok());
  });
  const std::string answer = Ask(server->port(), "GET / HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(absl::EndsWith(answer, "\r\n\r\nab")) << answer;
  EXPECT_FALSE(absl::StrContains(answer, "chunked"));
}

TEST(Server, SaysInternalErrorWhenTheHandlerFails) {
  const auto server = Serve([](Exchange& exchange) {
    if (exchange.request().path == "/throw") throw std::runtime_error("secret detail");
    if (exchange.request().path == "/odd") throw 5;
  });
  for (const char* path : {"/throw", "/odd", "/silent"}) {
    const std::string answer =
        Ask(server->port(),
            absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    EXPECT_TRUE(absl::StartsWith(answer, "HTTP/1.1 500")) << answer;
    EXPECT_FALSE(absl::StrContains(answer, "secret"));
  }
}

TEST(Server, RefusesAnswersThatWouldBreakTheProtocol) {
  const auto server = Serve([](Exchange& exchange) {
    EXPECT_FALSE(exchange.Respond(200, {{"a", "b\r\nc: d"}}, "").ok());
    EXPECT_FALSE(exchange.Respond(200, {{"a b", "c"}}, "").ok());
    EXPECT_FALSE(exchange.Respond(200, {{"Content-Length", "3"}}, "").ok());
    EXPECT_FALSE(exchange.Respond(100, {}, "").ok());
    EXPECT_FALSE(exchange.Write({}).ok());
    EXPECT_FALSE(exchange.Finish().ok());
    ASSERT_TRUE(exchange.Start(200, {}, 2).ok());
    EXPECT_FALSE(exchange.Respond(200, {}, "").ok());
    EXPECT_FALSE(exchange.Finish().ok());
    const uint8_t bytes[] = {'a', 'b', 'c'};
    EXPECT_FALSE(exchange.Write(bytes).ok());
    EXPECT_TRUE(exchange.Write(std::span(bytes).first(2)).ok());
    EXPECT_TRUE(exchange.Finish().ok());
    EXPECT_FALSE(exchange.Finish().ok());
  });
  EXPECT_TRUE(absl::EndsWith(
      Ask(server->port(), "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "\r\n\r\nab"));
}

TEST(Server, ClosesWhoDoesNotFinishItsHeader) {
  const auto server = Serve(Hello, {.io_timeout = absl::Milliseconds(150)});
  RawPeer peer = RawPeer::Connect(server->port());
  const absl::Time begin = absl::Now();
  // Progress does not help: the limit is for the whole header.
  for (const char c :
       std::string("GET / HTTP/1.1\r\nHost: x\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyy")) {
    if (!peer.Send(absl::string_view(&c, 1))) break;
    absl::SleepFor(absl::Milliseconds(10));
  }
  const std::string answer = peer.ReadToEnd();
  EXPECT_TRUE(answer.empty() || absl::StartsWith(answer, "HTTP/1.1 408")) << answer;
  EXPECT_LT(absl::Now() - begin, absl::Seconds(4));
  EXPECT_TRUE(peer.ended());
}

TEST(Server, ClosesIdleConnections) {
  const auto server = Serve(Hello, {.idle_timeout = absl::Milliseconds(100)});
  RawPeer peer = RawPeer::Connect(server->port());
  peer.Send(kGet);
  EXPECT_TRUE(absl::EndsWith(peer.ReadToEnd(), "hello"));
  EXPECT_TRUE(peer.ended());
}

TEST(Server, EndsReadsAndWritesThatDoNotMove) {
  absl::Status read;
  absl::Status wrote;
  absl::Notification done;
  const auto server = Serve(
      [&](Exchange& exchange) {
        std::vector<uint8_t> buffer(1 << 20);
        if (exchange.request().method == "PUT") {
          while (read.ok()) read = exchange.ReadBody(buffer).status();
          return;
        }
        ASSERT_TRUE(exchange.Start(200, {}, std::nullopt).ok());
        while (wrote.ok()) wrote = exchange.Write(buffer);
        done.Notify();
      },
      {.io_timeout = absl::Milliseconds(100)});
  Ask(server->port(), "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_EQ(read.code(), absl::StatusCode::kDeadlineExceeded) << read;
  RawPeer peer = RawPeer::Connect(server->port());
  peer.Send(kGet);
  done.WaitForNotification();
  EXPECT_EQ(wrote.code(), absl::StatusCode::kDeadlineExceeded) << wrote;
}

TEST(Server, EndsWhatMovesTooSlowly) {
  absl::Status read;
  absl::Status wrote;
  const auto server = Serve(
      [&](Exchange& exchange) {
        std::vector<uint8_t> buffer(4 << 20);
        if (exchange.request().method == "PUT") {
          while (read.ok()) read = exchange.ReadBody(buffer).status();
          exchange.Respond(503, {}, "too slow").IgnoreError();
        } else if (exchange.request().path == "/large") {
          ASSERT_TRUE(exchange.Start(200, {}, std::nullopt).ok());
          wrote = exchange.Write(buffer);  // judged while it goes on, not at its end
          while (wrote.ok()) wrote = exchange.Write(buffer);
        } else {
          Hello(exchange);
        }
      },
      {.workers = 1, .slow_bytes = 1000, .slow_time = absl::Milliseconds(300)});
  // Each moves now and then, and would for minutes: the one worker is free again soon.
  const auto trickle = [&](absl::string_view head, const std::function<void(RawPeer&)>& step) {
    RawPeer slow = RawPeer::Connect(server->port());
    const int little = 4096;
    ::setsockopt(slow.fd(), SOL_SOCKET, SO_RCVBUF, &little, sizeof(little));
    slow.Send(head);
    absl::Notification answered;
    base::Thread feeder("feeder", [&] {
      while (!answered.HasBeenNotified()) {
        step(slow);
        absl::SleepFor(absl::Milliseconds(20));
      }
    });
    const absl::Time begin = absl::Now();
    EXPECT_TRUE(absl::EndsWith(
        Ask(server->port(), "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "hello"));
    EXPECT_LT(absl::Now() - begin, absl::Seconds(4));
    answered.Notify();
  };
  trickle("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n",
          [](RawPeer& peer) { peer.Send("x"); });
  EXPECT_EQ(read.code(), absl::StatusCode::kDeadlineExceeded) << read;
  EXPECT_TRUE(absl::StrContains(read.message(), "too slow")) << read;
  trickle("GET /large HTTP/1.1\r\nHost: x\r\n\r\n", [](RawPeer& peer) {
    char byte = 0;
    ::recv(peer.fd(), &byte, 1, MSG_DONTWAIT);
  });
  EXPECT_EQ(wrote.code(), absl::StatusCode::kDeadlineExceeded) << wrote;
}

TEST(Server, WaitsForSlowLinksThatMove) {
  const auto server = Serve(Echo, {.slow_bytes = 1000, .slow_time = absl::Milliseconds(100)});
  RawPeer peer = RawPeer::Connect(server->port());
  // Some 25 kB/s, for several times the slow time.
  const std::string piece(500, 'x');
  peer.Send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n");
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(peer.Send(piece));
    absl::SleepFor(absl::Milliseconds(20));
  }
  EXPECT_TRUE(absl::StartsWith(peer.ReadUntil("]"), "HTTP/1.1 200"));
}

TEST(Server, KeepsNoWorkerForABodyThatNobodyReads) {
  const auto server = Serve(Hello, {.workers = 1});
  RawPeer slow = RawPeer::Connect(server->port());
  slow.Send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n");
  EXPECT_TRUE(absl::EndsWith(slow.ReadUntil("hello"), "hello"));
  const absl::Time begin = absl::Now();
  RawPeer peer = RawPeer::Connect(server->port());
  peer.Send(kGet);
  EXPECT_TRUE(absl::EndsWith(peer.ReadUntil("hello"), "hello"));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(1));
  // The rest comes late, but it comes.
  slow.Send(std::string(100, 'x'));
  slow.Send(kGet);
  EXPECT_TRUE(absl::EndsWith(slow.ReadUntil("hello"), "hello"));
}

TEST(Server, KeepsWorkersForWhatIsNoBulk) {
  absl::Notification end;
  std::atomic<int> bulk{0};
  std::atomic<int> most{0};
  const auto server = Serve(
      [&](Exchange& exchange) {
        if (exchange.request().path == "/bulk") {
          most = std::max(most.load(), ++bulk);
          end.WaitForNotification();
          --bulk;
        }
        Hello(exchange);
      },
      {.workers = 3,
       .is_bulk = [](const ServerRequest& request) { return request.path == "/bulk"; },
       .bulk_workers = 2});
  std::vector<RawPeer> peers;
  for (int i = 0; i < 6; ++i) {
    peers.push_back(RawPeer::Connect(server->port()));
    peers.back().Send("GET /bulk HTTP/1.1\r\nHost: x\r\n\r\n");
  }
  for (int i = 0; i < 3; ++i) {
    RawPeer peer = RawPeer::Connect(server->port());
    peer.Send(kGet);
    EXPECT_TRUE(absl::EndsWith(peer.ReadUntil("hello"), "hello"));
  }
  end.Notify();
  for (RawPeer& peer : peers) EXPECT_TRUE(absl::EndsWith(peer.ReadUntil("hello"), "hello"));
  EXPECT_LE(most, 2);
}

TEST(Server, LetsTheHandlerJudgeAPeerThatDoesNotMove) {
  std::atomic<int> asked{0};
  std::atomic<int> asked_max{20};  // twice the timeout
  absl::Status wrote;
  absl::Notification done;
  const auto server = Serve(
      [&](Exchange& exchange) {
        exchange.JudgeStalls(absl::Milliseconds(10), [&]() -> absl::Status {
          if (++asked < asked_max) return absl::OkStatus();
          return absl::DeadlineExceededError("enough");
        });
        if (exchange.request().method == "PUT") return Echo(exchange);
        std::vector<uint8_t> buffer(1 << 20);
        ASSERT_TRUE(exchange.Start(200, {}, std::nullopt).ok());
        while (wrote.ok()) wrote = exchange.Write(buffer);
        done.Notify();
      },
      {.io_timeout = absl::Milliseconds(100)});
  RawPeer slow = RawPeer::Connect(server->port());
  slow.Send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc");
  while (asked < 15) absl::SleepFor(absl::Milliseconds(1));
  slow.Send("def");
  EXPECT_TRUE(absl::EndsWith(slow.ReadUntil("[abcdef]"), "[abcdef]"));
  asked = 0;
  const std::string answer =
      Ask(server->port(), "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc");
  EXPECT_TRUE(absl::EndsWith(answer, "enough")) << answer;
  asked = 0;
  RawPeer deaf = RawPeer::Connect(server->port());
  deaf.Send(kGet);
  done.WaitForNotification();
  EXPECT_EQ(wrote.message(), "enough") << wrote;
  EXPECT_EQ(asked, asked_max);
}

TEST(Server, AsksTheJudgeOfAPeerThatMovesNowAndThen) {
  const auto server = Serve([&](Exchange& exchange) {
    int asked = 0;
    exchange.JudgeStalls(absl::Milliseconds(20), [&]() -> absl::Status {
      return ++asked < 3 ? absl::OkStatus() : absl::DeadlineExceededError("enough");
    });
    Echo(exchange);
  });
  RawPeer peer = RawPeer::Connect(server->port());
  peer.Send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
  absl::Notification answered;
  base::Thread feeder("feeder", [&] {
    for (int i = 0; i < 1000 && !answered.HasBeenNotified(); ++i) {
      peer.Send("x");
      absl::SleepFor(absl::Milliseconds(3));
    }
  });
  const absl::Time begin = absl::Now();
  EXPECT_TRUE(absl::EndsWith(peer.ReadUntil("enough"), "enough"));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(2));  // while it still sends
  answered.Notify();
}

TEST(Server, TellsTheHandlerThatThePeerIsGone) {
  absl::Notification begun;
  absl::Notification seen;
  absl::Status read;
  const auto server = Serve([&](Exchange& exchange) {
    uint8_t buffer[100];
    EXPECT_FALSE(exchange.cancelled());
    EXPECT_EQ(*exchange.ReadBody(buffer), 3u);
    begun.Notify();
    while (!exchange.cancelled()) absl::SleepFor(absl::Milliseconds(1));
    read = exchange.ReadBody(buffer).status();
    seen.Notify();
  });
  RawPeer peer = RawPeer::Connect(server->port());
  peer.Send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
  begun.WaitForNotification();
  peer.Close();
  seen.WaitForNotification();
  EXPECT_EQ(read.code(), absl::StatusCode::kUnavailable) << read;
}

TEST(Server, LimitsConnections) {
  const auto server = Serve(Hello, {.connections_max = 2});
  RawPeer one = RawPeer::Connect(server->port());
  RawPeer two = RawPeer::Connect(server->port());
  for (RawPeer* peer : {&one, &two}) {
    peer->Send(kGet);
    EXPECT_TRUE(absl::EndsWith(peer->ReadUntil("hello"), "hello"));
  }
  RawPeer three = RawPeer::Connect(server->port());
  EXPECT_TRUE(absl::StartsWith(three.ReadToEnd(), "HTTP/1.1 503"));
  one.Close();
  std::string answer;
  for (int i = 0; i < 100 && !absl::StrContains(answer, "200"); ++i) {
    RawPeer again = RawPeer::Connect(server->port());
    if (!again.Send(kGet)) continue;
    answer = again.ReadUntil("hello");
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_TRUE(absl::StrContains(answer, "200"));
}

TEST(Server, QueuesWhatTheWorkersCannotTake) {
  std::atomic<int> at_once{0};
  std::atomic<int> most{0};
  const auto server = Serve(
      [&](Exchange& exchange) {
        const int now = ++at_once;
        for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
        }
        absl::SleepFor(absl::Milliseconds(20));
        --at_once;
        Hello(exchange);
      },
      {.workers = 2});
  std::vector<RawPeer> peers;
  for (int i = 0; i < 10; ++i) {
    peers.push_back(RawPeer::Connect(server->port()));
    peers.back().Send(kGet);
  }
  for (RawPeer& peer : peers) EXPECT_TRUE(absl::EndsWith(peer.ReadUntil("hello"), "hello"));
  EXPECT_EQ(most, 2);
}

TEST(Server, StopsInTimeLettingRequestsEnd) {
  absl::Notification begun;
  const auto server = Serve([&](Exchange& exchange) {
    begun.Notify();
    absl::SleepFor(absl::Milliseconds(100));
    EXPECT_FALSE(exchange.cancelled());
    Hello(exchange);
  });
  RawPeer idle = RawPeer::Connect(server->port());
  RawPeer busy = RawPeer::Connect(server->port());
  busy.Send(kGet);
  begun.WaitForNotification();
  const absl::Time begin = absl::Now();
  server->Stop(absl::Seconds(10));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(5));
  const std::string answer = busy.ReadToEnd();
  EXPECT_TRUE(absl::EndsWith(answer, "hello")) << answer;
  EXPECT_TRUE(absl::StrContains(answer, "Connection: close"));
  EXPECT_EQ(idle.ReadToEnd(), "");
  EXPECT_TRUE(idle.ended());
  EXPECT_FALSE(RawPeer::Connect(server->port()).connected());
  server->Stop(absl::Seconds(1));
}

TEST(Server, CutsWhatIsLeftAfterTheGrace) {
  absl::Notification begun;
  absl::Notification read_failed;
  auto server = Serve([&](Exchange& exchange) {
    uint8_t buffer[100];
    begun.Notify();
    // A body that never comes.
    EXPECT_FALSE(exchange.ReadBody(buffer).ok());
    EXPECT_TRUE(exchange.cancelled());
    read_failed.Notify();
  });
  RawPeer peer = RawPeer::Connect(server->port());
  peer.Send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n");
  begun.WaitForNotification();
  const absl::Time begin = absl::Now();
  server->Stop(absl::Milliseconds(100));
  read_failed.WaitForNotification();
  server.reset();
  EXPECT_LT(absl::Now() - begin, absl::Seconds(5));
  peer.ReadToEnd();
  EXPECT_TRUE(peer.ended());
}

TEST(Server, RefusesATakenPortAndABadAddress) {
  const auto server = Serve(Hello);
  EXPECT_EQ(Server::Start({.port = server->port()}, Hello).status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Server::Start({.address = "nowhere"}, Hello).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(ServerRequest, SplitsBeforeDecoding) {
  ServerRequest request;
  const std::vector<std::pair<std::string, std::vector<std::string>>> cases = {
      {"/", {}},
      {"/a", {"a"}},
      {"/a/", {"a", ""}},
      {"/a//b", {"a", "", "b"}},
      {"/a%2Fb/%2e%2E", {"a/b", ".."}},
      {"/%00", {std::string(1, '\0')}}};
  for (const auto& [path, segments] : cases) {
    request.path = path;
    EXPECT_EQ(*request.Segments(), segments) << path;
  }
  for (const char* bad : {"/%", "/%1", "/%zz", "/a%2"}) {
    request.path = bad;
    EXPECT_FALSE(request.Segments().ok()) << bad;
  }
}

}  // namespace
}  // namespace cedana::http
