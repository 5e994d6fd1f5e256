// Capture and serve against an imposter of CRIU in this process.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "cedana/criu/criu.h"
#include "cedana/criu/image_request.h"
#include "cedana/criu/testing/criu_imposter.h"
#include "core/base/status.h"
#include "core/base/thread.h"

namespace cedana::criu {
namespace {

using absl::StatusCode;

class TemporaryFolder : public testing::Test {
 protected:
  TemporaryFolder() {
    char pattern[] = "/tmp/criu-test.XXXXXX";
    folder_ = ::mkdtemp(pattern);
  }
  ~TemporaryFolder() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  std::string folder_;
};

class Capture : public TemporaryFolder {
 protected:
  void Listen() {
    Listen([this](const std::string& name, transfer::ByteSource& source) {
      return StoreInMap(name, source);
    });
  }
  void Listen(ImageCapture::Store store) {
    capture_ = ImageCapture::Listen(folder_, std::move(store)).value();
  }
  absl::Status StoreInMap(const std::string& name, transfer::ByteSource& source) {
    std::string content;
    std::vector<uint8_t> buffer(100000);
    while (true) {
      CEDANA_ASSIGN_OR_RETURN(const size_t got, source.Read(buffer));
      if (got == 0) break;
      content.append(buffer.begin(), buffer.begin() + static_cast<ptrdiff_t>(got));
    }
    absl::MutexLock lock(&mutex_);
    files_[name] = std::move(content);
    return absl::OkStatus();
  }
  absl::Status Drained() { return capture_->WaitDrained(absl::Seconds(30)); }

  absl::Mutex mutex_;
  std::map<std::string, std::string> files_;
  std::unique_ptr<ImageCapture> capture_;
};

TEST_F(Capture, StoresEveryFileToItsEnd) {
  Listen();
  CriuImposter criu(folder_, false);
  const std::string small = Pattern(100);
  const std::string large = Pattern(5 << 20);
  for (int round = 0; round < 20; ++round) {
    base::UniqueFd first = criu.OpenForDump(absl::StrCat("core-", round, ".img"));
    base::UniqueFd second = criu.OpenForDump(absl::StrCat("pages-", round, ".img"));
    EXPECT_TRUE(WriteAllTo(second.get(), large));
    EXPECT_TRUE(WriteAllTo(first.get(), small));
  }
  base::UniqueFd empty = criu.OpenForDump("empty.img");
  empty.Reset();
  // At once: requests may still be on their way.
  EXPECT_TRUE(Drained().ok()) << Drained();
  EXPECT_EQ(capture_->files(), 41u);
  EXPECT_EQ(files_.size(), 41u);
  EXPECT_EQ(files_["core-19.img"], small);
  EXPECT_EQ(files_["pages-0.img"], large);
  EXPECT_EQ(files_["empty.img"], "");
}

TEST_F(Capture, WaitsForThePipeThatIsStillOpen) {
  Listen();
  CriuImposter criu(folder_, false);
  base::UniqueFd pipe = criu.OpenForDump("slow.img");
  EXPECT_TRUE(WriteAllTo(pipe.get(), "half"));
  const absl::Status status = capture_->WaitDrained(absl::Milliseconds(100));
  EXPECT_EQ(status.code(), StatusCode::kDeadlineExceeded);
  EXPECT_NE(status.message().find("slow.img"), absl::string_view::npos) << status;
  pipe.Reset();
  EXPECT_TRUE(Drained().ok());
}

TEST_F(Capture, IsNotDrainedInTheMiddleOfARequest) {
  Listen();
  CriuImposter criu(folder_, false);
  const std::string request = EncodeRequest("pages-1.img");
  ASSERT_TRUE(criu.Send(request.substr(0, 7)));
  EXPECT_EQ(capture_->WaitDrained(absl::Milliseconds(50)).code(), StatusCode::kDeadlineExceeded);
  ASSERT_TRUE(criu.Send(request.substr(7)));
  EXPECT_EQ(capture_->WaitDrained(absl::Milliseconds(50)).code(), StatusCode::kDeadlineExceeded);
  base::Pipe pipe = base::MakePipe().value();
  const int fd = pipe.read.get();
  ASSERT_TRUE(criu.SendFds(&fd, 1));
  pipe.write.Reset();
  EXPECT_TRUE(Drained().ok());
}

TEST_F(Capture, TakesRequestsByteByByteAndSeveralConnections) {
  Listen();
  CriuImposter first(folder_, false);
  CriuImposter second(folder_, false);
  for (const char byte : EncodeRequest("a.img")) ASSERT_TRUE(first.Send({&byte, 1}));
  base::Pipe pipe = base::MakePipe().value();
  const int fd = pipe.read.get();
  ASSERT_TRUE(first.SendFds(&fd, 1));
  ASSERT_TRUE(WriteAllTo(pipe.write.get(), "one"));
  pipe.write.Reset();
  ASSERT_TRUE(WriteAllTo(second.OpenForDump("b.img").get(), "two"));
  first.Close();
  second.Close();
  EXPECT_TRUE(Drained().ok());
  EXPECT_EQ(files_["a.img"], "one");
  EXPECT_EQ(files_["b.img"], "two");
}

TEST_F(Capture, CloseGivesEpipeAndWakesEverybody) {
  Listen();
  CriuImposter criu(folder_, false);
  base::UniqueFd idle = criu.OpenForDump("idle.img");
  base::UniqueFd busy = criu.OpenForDump("pages-1.img");
  base::Thread closer("closer", [this] {
    absl::SleepFor(absl::Milliseconds(50));
    capture_->Close(absl::UnavailableError("storage is gone"));
  });
  const std::string block = Pattern(1 << 20);
  while (WriteAllTo(busy.get(), block)) {
  }
  EXPECT_EQ(Drained(), absl::UnavailableError("storage is gone"));
  EXPECT_TRUE(criu.HungUp());
  // Its thread closes the other end, in a moment.
  for (int i = 0; i < 5000 && WriteAllTo(idle.get(), "x"); ++i)
    absl::SleepFor(absl::Milliseconds(1));
  EXPECT_FALSE(WriteAllTo(idle.get(), "x"));
  capture_->Close(absl::InternalError("later"));
  EXPECT_EQ(Drained(), absl::UnavailableError("storage is gone"));
}

TEST_F(Capture, CloseReachesCriuWhileAStoreHangs) {
  absl::Notification let_go;
  Listen([&](const std::string&, transfer::ByteSource&) {
    let_go.WaitForNotification();
    return absl::OkStatus();
  });
  CriuImposter criu(folder_, false);
  base::UniqueFd pipe = criu.OpenForDump("pages-1.img");
  base::Thread closer("closer", [&] {
    absl::SleepFor(absl::Milliseconds(50));
    capture_->Close(absl::CancelledError("stop"));
  });
  while (WriteAllTo(pipe.get(), Pattern(1 << 20))) {
  }
  EXPECT_TRUE(criu.HungUp());
  let_go.Notify();
  closer.Join();
  capture_.reset();  // joins the thread that waits for let_go, which ends with this function
}

TEST_F(Capture, AStoreThatFailsEndsTheDump) {
  Listen([this](const std::string& name, transfer::ByteSource& source) -> absl::Status {
    if (name == "pages-1.img") return absl::ResourceExhaustedError("disk full");
    return StoreInMap(name, source);
  });
  CriuImposter criu(folder_, false);
  base::UniqueFd other = criu.OpenForDump("core-1.img");
  base::UniqueFd pages = criu.OpenForDump("pages-1.img");
  while (WriteAllTo(pages.get(), Pattern(1 << 20))) {
  }
  EXPECT_EQ(Drained(), absl::ResourceExhaustedError("pages-1.img: disk full"));
  EXPECT_TRUE(criu.HungUp());
}

TEST_F(Capture, AStoreThatStopsEarlyIsAnError) {
  Listen([](const std::string&, transfer::ByteSource& source) -> absl::Status {
    std::vector<uint8_t> buffer(10);
    return source.Read(buffer).status();
  });
  CriuImposter criu(folder_, false);
  base::UniqueFd pipe = criu.OpenForDump("pages-1.img");
  EXPECT_TRUE(WriteAllTo(pipe.get(), Pattern(20)));
  pipe.Reset();
  EXPECT_EQ(Drained().code(), StatusCode::kInternal);
}

TEST_F(Capture, RefusesWhatCriuWouldNotSend) {
  const base::Pipe pipe = base::MakePipe().value();
  const base::UniqueFd file(::dup(2));
  const int wrong_end[] = {pipe.write.get()};
  const int two[] = {pipe.read.get(), pipe.read.get()};
  struct Case {
    std::string bytes;
    const int* fds = nullptr;
    size_t count = 0;
    bool pass = false;
  };
  const Case cases[] = {
      {std::string("\x00\x28\x00\x00", 4)},          // 10 KiB
      {std::string("\xff\xff\xff\xff", 4)},          //
      {std::string(4, '\0')},                        // an empty message
      {std::string("\x02\x00\x00\x00\x0a\x7f", 6)},  // the name is longer than the message
      {EncodeRequest("../etc/passwd")},
      {EncodeRequest(std::string(300, 'x'))},
      {EncodeRequest("a.img"), wrong_end, 1, true},
      {EncodeRequest("a.img"), two, 2, true},
      {EncodeRequest("a.img"), nullptr, 0, true},
  };
  int number = 0;
  for (const Case& bad : cases) {
    SCOPED_TRACE(number++);
    Listen();
    CriuImposter criu(folder_, false);
    EXPECT_TRUE(criu.Send(bad.bytes));
    EXPECT_TRUE(!bad.pass || criu.SendFds(bad.fds, bad.count));
    EXPECT_TRUE(criu.HungUp());
    EXPECT_EQ(Drained().code(), StatusCode::kInvalidArgument) << Drained();
    EXPECT_EQ(capture_->files(), 0u);
    capture_.reset();
    ::unlink((folder_ + "/streamer-capture.sock").c_str());
  }
}

TEST_F(Capture, CriuThatDiesInTheMiddleOfARequestIsNoticed) {
  Listen();
  CriuImposter criu(folder_, false);
  ASSERT_TRUE(criu.Send(EncodeRequest("a.img")));
  criu.Close();
  while (Drained().ok()) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_EQ(Drained().code(), StatusCode::kAborted);
}

TEST_F(Capture, CarriesMoreFilesThanItHasThreads) {
  Listen();
  CriuImposter criu(folder_, false);
  std::vector<base::UniqueFd> pipes;
  // What is over must fit into the socket's buffer, or nobody gets on here: some 38 requests.
  for (int i = 0; i < 530; ++i) {
    pipes.push_back(criu.OpenForDump(absl::StrCat("f", i)));
    ASSERT_TRUE(pipes.back().valid());
  }
  EXPECT_EQ(capture_->WaitDrained(absl::Milliseconds(50)).code(), StatusCode::kDeadlineExceeded);
  EXPECT_LE(capture_->files(), 512u);
  pipes.clear();
  EXPECT_TRUE(Drained().ok()) << Drained();
  EXPECT_EQ(capture_->files(), 530u);
}

TEST_F(Capture, NeedsAFreshFolderWithAShortName) {
  Listen();
  const auto nothing = [](const std::string&, transfer::ByteSource&) { return absl::OkStatus(); };
  EXPECT_EQ(ImageCapture::Listen(folder_, nothing).status().code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(ImageCapture::Listen("/tmp/" + std::string(100, 'x'), nothing).status().code(),
            StatusCode::kInvalidArgument);
}

class ServeSocket : public TemporaryFolder {
 protected:
  void Listen() {
    Listen([this](const std::string& name, transfer::ByteSink& sink) {
      const std::string& content = files_.at(name);
      return sink.Write({reinterpret_cast<const uint8_t*>(content.data()), content.size()});
    });
  }
  void Listen(ImageServe::Serve serve) {
    serve_ = ImageServe::Listen(
                 folder_, [this](const std::string& name) { return files_.count(name) != 0; },
                 std::move(serve))
                 .value();
  }
  absl::Status Served() { return serve_->WaitServed(absl::Seconds(30)); }

  std::map<std::string, std::string> files_;
  std::unique_ptr<ImageServe> serve_;
};

TEST_F(ServeSocket, ServesWhatExists) {
  files_ = {{"inventory.img", Pattern(100)}, {"pages-1.img", Pattern(5 << 20)}, {"empty.img", ""}};
  Listen();
  CriuImposter criu(folder_, true);
  EXPECT_TRUE(criu.Send(EncodeRequest("absent.img")));
  EXPECT_EQ(criu.ReadReply(), 0);
  for (const auto& [name, content] : files_) {
    EXPECT_EQ(ReadAll(criu.OpenForRestore(name).get()), content) << name;
  }
  EXPECT_EQ(ReadAll(criu.OpenForRestore("pages-1.img").get()), files_["pages-1.img"]);
  EXPECT_TRUE(Served().ok()) << Served();
}

TEST_F(ServeSocket, ServesAllStreamsAtTheSameTime) {
  files_ = {{"pages-1.img", Pattern(4 << 20)}, {"pages-2.img", Pattern(3 << 20)}};
  Listen();
  CriuImposter criu(folder_, true);
  base::UniqueFd first = criu.OpenForRestore("pages-1.img");
  base::UniqueFd second = criu.OpenForRestore("pages-2.img");
  EXPECT_EQ(serve_->WaitServed(absl::Milliseconds(50)).code(), StatusCode::kDeadlineExceeded);
  EXPECT_EQ(ReadAll(second.get()), files_["pages-2.img"]);
  EXPECT_EQ(ReadAll(first.get()), files_["pages-1.img"]);
  EXPECT_TRUE(Served().ok());
}

TEST_F(ServeSocket, AStreamCutShortIsAnError) {
  files_ = {{"pages-1.img", Pattern(100)}};
  Listen([this](const std::string& name, transfer::ByteSink& sink) -> absl::Status {
    CEDANA_RETURN_IF_ERROR(
        sink.Write({reinterpret_cast<const uint8_t*>(files_.at(name).data()), 50}));
    return absl::DataLossError("block 7 of pack 12 at provider a");
  });
  CriuImposter criu(folder_, true);
  EXPECT_EQ(ReadAll(criu.OpenForRestore("pages-1.img").get()).size(), 50u);
  EXPECT_EQ(Served(), absl::DataLossError("pages-1.img: block 7 of pack 12 at provider a"));
}

TEST_F(ServeSocket, AReaderThatLeavesEarlyIsAnError) {
  files_ = {{"pages-1.img", Pattern(8 << 20)}};
  Listen();
  CriuImposter criu(folder_, true);
  base::UniqueFd pipe = criu.OpenForRestore("pages-1.img");
  char byte;
  ASSERT_EQ(::read(pipe.get(), &byte, 1), 1);
  pipe.Reset();
  EXPECT_EQ(Served().code(), StatusCode::kAborted) << Served();
}

TEST_F(ServeSocket, CloseCutsAFullPipe) {
  files_ = {{"pages-1.img", Pattern(8 << 20)}};
  Listen();
  CriuImposter criu(folder_, true);
  base::UniqueFd pipe = criu.OpenForRestore("pages-1.img");
  char byte;
  ASSERT_EQ(::read(pipe.get(), &byte, 1), 1);
  serve_->Close(absl::CancelledError("stop"));
  EXPECT_LT(ReadAll(pipe.get()).size(), files_["pages-1.img"].size());
  EXPECT_TRUE(criu.HungUp());
  EXPECT_EQ(Served(), absl::CancelledError("stop"));
}

}  // namespace
}  // namespace cedana::criu
