// What needs no CRIU: requests, command lines, logs, statistics, the hook.
#include "cedana/criu/criu.h"
#include "cedana/criu/connection_text_internal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "absl/random/random.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "cedana/criu/image_request.h"
#include "cedana/criu/program_internal.h"
#include "cedana/criu/run_program_internal.h"
#include "core/base/fd.h"
#include "core/base/status.h"
#include "core/base/thread.h"

namespace cedana::criu {
namespace {

using absl::StatusCode;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::Not;

std::string NewFolder() {
  char pattern[] = "/tmp/criu-test.XXXXXX";
  return ::mkdtemp(pattern);
}

TEST(ImageRequest, ReadsWhatCriuSends) {
  const std::string request = EncodeRequest("pages-1.img");
  EXPECT_EQ(request, std::string("\x0d\x00\x00\x00\x0a\x0bpages-1.img", 17));
  EXPECT_EQ(DecodeRequest(request.substr(4)).value(), "pages-1.img");
  // A member of a later CRIU is passed over.
  EXPECT_EQ(DecodeRequest(std::string("\x10\x01\x0a\x01") + "a").value(), "a");
  EXPECT_EQ(EncodeReply(true), std::string("\x02\x00\x00\x00\x08\x01", 6));
}

TEST(ImageRequest, RefusesHostileBytes) {
  const std::string bad[] = {"",
                             "\x0a",
                             std::string("\x0a\x00", 2),
                             "\x0a\x05"
                             "abc",
                             "\x0a\x01"
                             "a\x0a\x01"
                             "b",
                             std::string("\x08\x01", 2),
                             "\x0b",
                             "\x0f",
                             std::string(12, '\xff'),
                             "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                             "a",
                             "\x0a\x01/",
                             "\x0a\x02..",
                             "\x0a\x01.",
                             std::string("\x0a\x03"
                                         "a\0b",
                                         5),
                             "\x0a\x02"
                             "a\n"};
  for (const std::string& message : bad) {
    EXPECT_EQ(DecodeRequest(message).status().code(), StatusCode::kInvalidArgument)
        << absl::CHexEscape(message);
  }
  EXPECT_TRUE(CheckImageName(std::string(255, 'x')).ok());
  EXPECT_FALSE(CheckImageName(std::string(256, 'x')).ok());
}

TEST(ImageRequest, NoBytesWhateverBreakIt) {
  absl::BitGen random;
  const std::string good = EncodeRequest("pages-1.img").substr(4);
  for (int i = 0; i < 20000; ++i) {
    std::string message = good.substr(0, absl::Uniform<size_t>(random, 0, good.size() + 1));
    for (char& byte : message) {
      if (absl::Bernoulli(random, 0.2)) byte = static_cast<char>(absl::Uniform(random, 0, 256));
    }
    const auto name = DecodeRequest(message);
    EXPECT_TRUE(!name.ok() || CheckImageName(*name).ok());
  }
}

TEST(Command, DumpHasWhatIsAlwaysNeeded) {
  const CriuProgram program{"/opt/criu", 40201};
  const auto dump = DumpCommand(program, {.pid = 12,
                                          .folder = "/run/c/1",
                                          .hook = "/bin/hook",
                                          .external = {"tty[8800:1a]"},
                                          .extra = {"--ext-unix-sk"}});
  EXPECT_THAT(dump, IsSupersetOf({"/opt/criu", "dump", "-t", "12", "--stream", "-D", "/run/c/1",
                                  "--action-script", "/bin/hook", "--manage-cgroups=ignore",
                                  "--network-lock", "skip", "--file-locks", "--link-remap",
                                  "--ghost-limit", "1G", "--external", "tty[8800:1a]"}));
  EXPECT_EQ(dump.back(), "--ext-unix-sk");
  for (const char* choice :
       {"--leave-running", "--tcp-established", "--tcp-close", "--shell-job"}) {
    EXPECT_THAT(dump, Not(Contains(choice)));
  }
  EXPECT_THAT(
      DumpCommand(program, {.leave_running = true, .tcp_established = true, .shell_job = true}),
      IsSupersetOf({"--leave-running", "--tcp-established", "--shell-job", "nftables"}));
}

TEST(Command, RestoreRepeatsTheFlagsOfTheDump) {
  const auto restore = RestoreCommand({"/opt/criu", 40201}, {.folder = "/run/c/1",
                                                             .hook = "/bin/hook",
                                                             .tcp_close = true,
                                                             .inherit_fd = {"fd[7]:pipe:[85473]"}});
  EXPECT_THAT(restore,
              IsSupersetOf({"restore", "-d", "-S", "--stream", "--pidfile", "/run/c/1/pf",
                            "--manage-cgroups=ignore", "--network-lock", "nftables", "--file-locks",
                            "--tcp-close", "--inherit-fd", "fd[7]:pipe:[85473]"}));
  EXPECT_THAT(HookEnvironment("/run/c/1"), ElementsAre("CEDANA_HOOK_SOCKET=/run/c/1/hook.sock"));
}

TEST(Program, VersionsAreReadAndOldOnesRefused) {
  EXPECT_EQ(ParseVersion("Version: 4.2.1\nGitID: 0\n").value(), 40201);
  EXPECT_EQ(ParseVersion("Version: 4.2\n").value(), 40200);
  EXPECT_FALSE(ParseVersion("usage: something\n").ok());
  const std::string folder = NewFolder();
  const std::string program = folder + "/criu";
  ASSERT_TRUE(base::WriteFileAtomic(program, "#!/bin/sh\necho Version: 3.17.1\n", 0755).ok());
  const absl::Status old = FindCriu(program, "").status();
  EXPECT_EQ(old.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(old.message()), HasSubstr("3.17"));
  ASSERT_TRUE(base::WriteFileAtomic(program, "#!/bin/sh\necho Version: 4.1.1\n", 0755).ok());
  EXPECT_EQ(FindCriu(program, "")->version, 40101);
  EXPECT_EQ(FindCriu("", folder)->path, program);
  EXPECT_EQ(FindCriu(folder + "/absent", folder).status().code(), StatusCode::kFailedPrecondition);
  std::filesystem::remove_all(folder);
}

TEST(RunProgram, CollectsOutputAndKillsWhatDoesNotEnd) {
  const auto result =
      RunProgram({"/bin/sh", "-c", "echo out; echo err >&2; exit 3"}, absl::Seconds(10));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->exit_code, 3);
  EXPECT_EQ(result->output, "out\nerr\n");
  EXPECT_EQ(RunProgram({"/bin/sleep", "100"}, absl::Milliseconds(50)).status().code(),
            StatusCode::kDeadlineExceeded);
  EXPECT_EQ(RunProgram({"/absent"}, absl::Seconds(1)).status().code(), StatusCode::kNotFound);
}

TEST(TellingError, TakesTheFirstThatTells) {
  EXPECT_EQ(FirstTellingLine(
                "(00.000010) Error (criu/rlimit.c:30): rlimit: Can't setup RLIMIT_NOFILE for self\n"
                "(00.081234)      7: Error (criu/files-reg.c:2100): File tmp/x has bad size 9 "
                "(expect 4)\n"
                "(00.081240) Error (criu/cr-restore.c:1490): 7 exited, status=1\n"
                "(00.090001) Error (criu/cr-restore.c:2605): Restoring FAILED.\n"),
            "File tmp/x has bad size 9 (expect 4) (criu/files-reg.c:2100)");
  EXPECT_EQ(FirstTellingLine("(00.1) Error (criu/bfd.c:131): bfd: Error flushing image: Broken "
                             "pipe\n(00.2) Error (criu/cr-dump.c:2111): Dumping FAILED.\n"),
            "");
  EXPECT_EQ(FirstTellingLine("(00.1) Warn  (criu/x.c:1): odd\n"), "");
}

TEST(TellingError, LooksInLogAndThenInStderr) {
  const std::string folder = NewFolder();
  EXPECT_EQ(TellingError(folder, true), "");
  ASSERT_TRUE(
      base::WriteFileAtomic(folder + "/criu.stderr", "criu: unrecognized option '--foo'\n", 0600)
          .ok());
  EXPECT_EQ(TellingError(folder, true), "criu: unrecognized option '--foo'");
  ASSERT_TRUE(base::WriteFileAtomic(folder + "/criu.stderr",
                                    "Error (criu/img-streamer.c:66): Unable to connect\n", 0600)
                  .ok());
  EXPECT_EQ(TellingError(folder, true), "Unable to connect (criu/img-streamer.c:66)");
  ASSERT_TRUE(base::WriteFileAtomic(folder + "/r.log", "(00.1) Error (a.c:1): log\n", 0600).ok());
  EXPECT_EQ(TellingError(folder, true), "log (a.c:1)");
  EXPECT_EQ(TellingError(folder, false), "Unable to connect (criu/img-streamer.c:66)");
  std::filesystem::remove_all(folder);
}

TEST(DumpStats, ReadsFreezeTimes) {
  const std::string folder = NewFolder();
  EXPECT_EQ(ReadDumpStats(folder).status().code(), StatusCode::kNotFound);
  const std::string entry("\x0a\x08\x08\x64\x10\xb0\xea\x01\x18\x00", 10);
  const std::string file = absl::StrCat(std::string("\x05\x11\x30\x55\x13\x78\x34\x78", 8),
                                        std::string("\x0a\x00\x00\x00", 4), entry);
  ASSERT_TRUE(base::WriteFileAtomic(folder + "/stats-dump", file, 0600).ok());
  const auto stats = ReadDumpStats(folder);
  ASSERT_TRUE(stats.ok()) << stats.status();
  EXPECT_EQ(stats->freezing_us, 100u);
  EXPECT_EQ(stats->frozen_us, 30000u);
  for (size_t size = 0; size < file.size(); ++size) {
    ASSERT_TRUE(base::WriteFileAtomic(folder + "/stats-dump", file.substr(0, size), 0600).ok());
    EXPECT_EQ(ReadDumpStats(folder).status().code(), StatusCode::kDataLoss) << size;
  }
  std::filesystem::remove_all(folder);
}

TEST(Tables, OnlyCrius) {
  EXPECT_THAT(ParseCriuTables("table inet filter\ntable inet CRIU-0e1b2a3c-1f\ntable ip CRIU-x\n"),
              ElementsAre("CRIU-0e1b2a3c-1f"));
}

TEST(Tables, LockOnlyTheConnectionThatTheyName) {
  const std::string table =
      "table inet CRIU-1 {\n\tset conns4 {\n\t\telements = { 127.0.0.1 . 4000 . 127.0.0.1 . 80,\n"
      "\t\t\t     10.0.0.1 . 5 . 10.0.0.2 . 6 }\n\t}\n\tset conns6 {\n"
      "\t\telements = { ::1 . 7 . ::1 . 8 }\n";
  EXPECT_TRUE(LocksConnection(table, "127.0.0.1 . 4000 . 127.0.0.1 . 80"));
  EXPECT_TRUE(LocksConnection(table, "10.0.0.1 . 5 . 10.0.0.2 . 6"));
  EXPECT_TRUE(LocksConnection(table, "::1 . 7 . ::1 . 8"));
  EXPECT_FALSE(LocksConnection(table, "127.0.0.1 . 4000 . 127.0.0.1 . 8"));
  EXPECT_FALSE(LocksConnection(table, "27.0.0.1 . 4000 . 127.0.0.1 . 80"));
  EXPECT_FALSE(LocksConnection(table, ""));
}

// Runs the hook as CRIU does; its exit code.
class Hook : public testing::Test {
 protected:
  Hook() : folder_(NewFolder()) {}
  ~Hook() override { std::filesystem::remove_all(folder_); }

  int Run(const std::string& action) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::setenv("CRTOOLS_SCRIPT_ACTION", action.c_str(), 1);
      ::setenv("CRTOOLS_INIT_PID", "4711", 1);
      ::setenv("CEDANA_HOOK_SOCKET", (folder_ + "/hook.sock").c_str(), 1);
      ::execl(CEDANA_CRIU_HOOK, CEDANA_CRIU_HOOK, nullptr);
      ::_exit(127);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
  }

  std::string folder_;
};

TEST_F(Hook, AsksAboutThreeActionsAndLetsTheOthersPass) {
  std::vector<std::string> asked;
  auto server = HookServer::Listen(folder_, [&](const std::string& action, int pid) {
    asked.push_back(absl::StrCat(action, " ", pid));
    return action == "post-restore" ? absl::DataLossError("no") : absl::OkStatus();
  });
  ASSERT_TRUE(server.ok());
  EXPECT_EQ(Run("post-dump"), 0);
  EXPECT_EQ(Run("post-restore"), 1);
  EXPECT_EQ(Run("pre-resume"), 0);
  for (const char* action : {"pre-stream", "pre-dump", "network-lock", "post-resume"}) {
    EXPECT_EQ(Run(action), 0);
  }
  (*server)->Close();
  EXPECT_EQ(Run("post-dump"), 1);
  server->reset();  // joins the threads that wrote `asked`
  EXPECT_THAT(asked, ElementsAre("post-dump 4711", "post-restore 4711", "pre-resume 4711"));
}

TEST_F(Hook, SaysNoWithoutADaemon) {
  EXPECT_EQ(Run("post-dump"), 1);
  EXPECT_EQ(Run("pre-dump"), 0);
}

TEST_F(Hook, WaitsAsLongAsBeatsCome) {
  auto server = HookServer::Listen(folder_, [](const std::string&, int) {
    absl::SleepFor(absl::Seconds(3));
    return absl::OkStatus();
  });
  EXPECT_EQ(Run("post-dump"), 0);
}

TEST_F(Hook, CloseIsANoForTheOneThatWaits) {
  absl::Notification deciding;
  absl::Notification let_go;
  auto server = HookServer::Listen(folder_, [&](const std::string&, int) {
    deciding.Notify();
    let_go.WaitForNotification();
    return absl::OkStatus();
  });
  base::Thread closer("closer", [&] {
    deciding.WaitForNotification();
    (*server)->Close();
  });
  EXPECT_EQ(Run("post-dump"), 1);
  let_go.Notify();
}

TEST_F(Hook, ServerSurvivesGarbageAndCallersThatLeave) {
  auto server =
      HookServer::Listen(folder_, [](const std::string&, int) { return absl::OkStatus(); });
  for (const std::string& line :
       {std::string(), std::string("post-dump\n"), std::string("a b\n"), std::string(200, 'x')}) {
    base::UniqueFd caller(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, (folder_ + "/hook.sock").c_str());
    ASSERT_EQ(::connect(caller.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    ::send(caller.get(), line.data(), line.size(), MSG_NOSIGNAL);
    if (line.empty()) continue;
    char answer = 0;
    EXPECT_EQ(::recv(caller.get(), &answer, 1, 0), 1);
    EXPECT_EQ(answer, 'n');
  }
  EXPECT_EQ(Run("post-dump"), 0);
}

}  // namespace
}  // namespace cedana::criu
