#include <fcntl.h>
#include <sys/stat.h>

#include <iostream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "cedana/runtime/testing/shim_fixture.h"
#include "core/base/thread.h"

namespace cedana::runtime {
namespace {

using ::testing::HasSubstr;

// --- jobs ---------------------------------------------------------------------------------------

TEST_F(ShimTest, TellsHowTheJobEnded) {
  Launch();
  Start(Shell("exit 0"));
  EXPECT_EQ(Wait().ShellCode(), 0);
  Start(Shell("exit 42"));
  EXPECT_EQ(Wait().code, 42);
  const auto file = ReadExitFile(Folder());
  ASSERT_TRUE(file.ok() && file->has_value()) << file.status();
  EXPECT_EQ((*file)->code, 42);
  Start(Shell("kill -9 $$"));
  EXPECT_EQ(Wait().signal, SIGKILL);
}

TEST_F(ShimTest, NoExitFileWhileTheJobRuns) {
  Launch();
  const ProcessIdentity process = Start(Shell("exec sleep 100"));
  EXPECT_TRUE(IsAlive(process));
  const auto waited = client_->WaitExit(absl::Milliseconds(50));
  ASSERT_TRUE(waited.ok());
  EXPECT_FALSE(waited->has_value());
  EXPECT_FALSE(ReadExitFile(Folder())->has_value());
  ::kill(process.pid, SIGTERM);
  EXPECT_EQ(Wait().signal, SIGTERM);
}

TEST_F(ShimTest, AJobIsASessionWithNothingOfOurs) {
  Launch();
  const base::UniqueFd leak(::open("/dev/zero", O_RDONLY));  // deliberately not close-on-exec
  StartRequest request = Shell(
      "echo $GREETING; pwd; umask; ls -l /proc/self/fd | sed -n 's/.*-> //p'; "
      "grep -E '^(SigBlk|SigIgn)' /proc/self/status");
  request.working_dir = "/usr";
  const ProcessIdentity process = Start(request);
  EXPECT_EQ(Wait().code, 0);
  const std::string log = Text("log");
  EXPECT_THAT(log, HasSubstr("hi\n/usr\n0022\n/dev/null\n"));
  EXPECT_THAT(log, ::testing::Not(HasSubstr("/dev/zero")));
  EXPECT_THAT(log, ::testing::Not(HasSubstr("socket:")));
  EXPECT_THAT(log, HasSubstr("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"));
  Start(Shell("exec sleep 100"));
  const auto stat = ReadStat(State().job->pid);
  ASSERT_TRUE(stat.ok());
  EXPECT_EQ(stat->session, stat->pid);
  EXPECT_EQ(stat->ppid, State().shim_pid);
  EXPECT_NE(stat->pid, process.pid);
}

TEST_F(ShimTest, AMissingProgramIsOneClearLineAndNoProcess) {
  Launch();
  StartRequest request = Shell("");
  request.argv = {"/nonexistent/program"};
  EXPECT_EQ(client_->Start(request).status(),
            absl::NotFoundError("cannot run /nonexistent/program: No such file or directory"));
  request = Shell("true");
  request.working_dir = "/nonexistent";
  EXPECT_EQ(client_->Start(request).status(),
            absl::NotFoundError("cannot enter /nonexistent: No such file or directory"));
  EXPECT_FALSE(State().job.has_value());
  EXPECT_EQ(Tree(State().shim_pid)->size(), 1u);
}

TEST_F(ShimTest, TheLogIsAppendedToNeverCut) {
  Launch();
  Start(Shell("echo one"));
  EXPECT_EQ(Wait().code, 0);
  Start(Shell("echo two; grep ^flags /proc/self/fdinfo/1"));
  EXPECT_EQ(Wait().code, 0);
  // O_WRONLY|O_APPEND (|O_LARGEFILE): with O_RDWR a grown log would keep the job from a restore.
  EXPECT_EQ(Text("log"), "one\ntwo\nflags:\t0102001\n");
  struct stat st {};
  ASSERT_EQ(::stat(Path("log").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0644u);
}

TEST_F(ShimTest, ArgumentsMayBeAnyBytesAndMany) {
  Launch();
  StartRequest request = Shell("printf %s \"$1\" | od -An -tx1; printf %s \"$2\" | wc -c");
  request.argv.insert(request.argv.end(), {"sh", "\xff\xfe\n", std::string(120000, 'x')});
  Start(request);
  EXPECT_EQ(Wait().code, 0);
  EXPECT_EQ(Text("log"), " ff fe 0a\n120000\n");
}

TEST_F(ShimTest, AFolderWithALongName) {
  const std::string folder = Path(std::string(200, 'd'));
  const auto client = ShimClient::Launch(CEDANA_SHIM, folder);
  ASSERT_TRUE(client.ok()) << client.status();
  EXPECT_TRUE(ShimClient::Connect(folder).ok());
}

TEST_F(ShimTest, ReapsOrphansOfTheJob) {
  Launch();
  const ProcessIdentity process =
      Start(Shell("(sleep 0.1 & sleep 0.1 &) ; (exec sleep 100) & echo $! >&2; exec sleep 100"));
  int orphan = 0;
  ASSERT_TRUE(Eventually([&] { return absl::SimpleAtoi(Text("log"), &orphan) && orphan > 0; }));
  // As CRIU ends a tree: all at once.
  ::kill(process.pid, SIGKILL);
  ::kill(orphan, SIGKILL);
  EXPECT_TRUE(client_->ReapAll({process.pid, orphan}, kLong).ok());
  EXPECT_TRUE(Eventually([&] { return Tree(State().shim_pid)->size() == 1; }));
  EXPECT_EQ(Wait().signal, SIGKILL);
}

TEST_F(ShimTest, ReapAllSaysWhoIsStillThere) {
  Launch();
  const ProcessIdentity process = Start(Shell("exec sleep 100"));
  const absl::Status status = client_->ReapAll({process.pid}, absl::Milliseconds(30));
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat(process.pid)));
}

TEST_F(ShimTest, WatchesAForeignProcess) {
  Launch();
  const int pid = ForkDaemon([] { ::pause(); });
  ASSERT_TRUE(client_->Adopt(*Identify(pid), false).ok());
  EXPECT_FALSE(client_->WaitExit(absl::Milliseconds(30))->has_value());
  ::kill(pid, SIGKILL);
  EXPECT_FALSE(Wait().known);
  EXPECT_FALSE((*ReadExitFile(Folder()))->known);
  WaitFor(pid);
  EXPECT_TRUE(absl::IsNotFound(client_->Adopt({pid, 1}, false)));
}

TEST_F(ShimTest, ALaterPidOfTheSameNumberIsNotAdopted) {
  Launch();
  const int pid = ForkDaemon([] { ::pause(); });
  ProcessIdentity process = *Identify(pid);
  ++process.start_ticks;
  EXPECT_TRUE(absl::IsNotFound(client_->Adopt(process, false)));
}

// --- life of the shim
// -----------------------------------------------------------------------------

TEST_F(ShimTest, OutlivesTheDaemonAndTellsTheNextOne) {
  int status = WaitFor(ForkDaemon([this] {
    Launch();
    Start(Shell("sleep 0.3; exit 5"));
    ::raise(SIGKILL);
  }));
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  Reconnect();
  EXPECT_TRUE(State().job.has_value());
  EXPECT_EQ(Wait().code, 5);
  EXPECT_EQ((*ReadExitFile(Folder()))->code, 5);
}

TEST_F(ShimTest, EndsByItselfWhenAllIsDone) {
  Launch({"--linger-ms", "200"});
  Start(Shell("exit 9"));
  EXPECT_EQ(Wait().code, 9);
  EXPECT_FALSE(Eventually([&] { return !client_->State().ok(); }, absl::Milliseconds(400)));
  const int shim = State().shim_pid;
  client_.reset();
  EXPECT_EQ(WaitFor(shim), 0);
  EXPECT_FALSE(ShimListens());
  EXPECT_EQ(ShimClient::Connect(Folder()).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ((*ReadExitFile(Folder()))->code, 9);
  EXPECT_FALSE(std::filesystem::exists(Path("j/shim.log")));
}

TEST_F(ShimTest, ReleaseEndsItOnceNoJobRuns) {
  Launch();
  Start(Shell("sleep 0.3; exit 1"));
  const int shim = State().shim_pid;
  client_->Release();
  ::kill(shim, SIGTERM);  // nothing to it while a job runs
  EXPECT_EQ(State().shim_pid, shim);
  EXPECT_EQ(WaitFor(shim), 0);
  EXPECT_EQ((*ReadExitFile(Folder()))->code, 1);
  EXPECT_EQ(client_->State().status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(ShimTest, SigtermEndsAnEmptyShim) {
  Launch();
  const int shim = State().shim_pid;
  ::kill(shim, SIGTERM);
  EXPECT_EQ(WaitFor(shim), 0);
}

TEST_F(ShimTest, AKilledShimShowsInEveryCall) {
  Launch();
  const int shim = State().shim_pid;
  absl::Status waited;
  {
    base::Thread waiter("waiter", [&] { waited = client_->WaitExit(kLong).status(); });
    const auto ran = client_->RunCriu(Criu("exec sleep 100"), [&](int) { ::kill(shim, SIGKILL); });
    EXPECT_EQ(ran.status().code(), absl::StatusCode::kUnavailable);
  }
  EXPECT_EQ(waited.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(client_->RestoreYes().code(), absl::StatusCode::kUnavailable);
}

TEST_F(ShimTest, FiftyAtOnceAndSmall) {
  std::vector<std::unique_ptr<ShimClient>> clients(50);
  {
    std::vector<base::Thread> threads;
    for (size_t i = 0; i < clients.size(); ++i) {
      threads.emplace_back("launch", [&, i] {
        auto client = ShimClient::Launch(CEDANA_SHIM, Path(absl::StrCat("j", i)));
        ASSERT_TRUE(client.ok()) << client.status();
        StartRequest request = Shell(absl::StrCat("sleep 0.2; exit ", i));
        request.stdio.log_path = Path(absl::StrCat("log", i));
        ASSERT_TRUE((*client)->Start(request).ok());
        clients[i] = *std::move(client);
      });
    }
  }
  for (size_t i = 0; i < clients.size(); ++i) {
    ASSERT_NE(clients[i], nullptr);
    const auto exit = clients[i]->WaitExit(kLong);
    ASSERT_TRUE(exit.ok() && exit->has_value()) << exit.status();
    EXPECT_EQ((*exit)->code, static_cast<int>(i));
  }
  const auto status =
      base::ReadFile(absl::StrCat("/proc/", clients[0]->State()->shim_pid, "/status"));
  for (absl::string_view line : absl::StrSplit(*status, '\n')) {
    if (!absl::StartsWith(line, "VmRSS:") && !absl::StartsWith(line, "RssAnon:")) continue;
    std::cout << "  shim " << line << "\n";
    int kib = 0;
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    ASSERT_TRUE(words.size() >= 2 && absl::SimpleAtoi(words[words.size() - 2], &kib));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    EXPECT_LT(kib, 8 << 10);
#endif
  }
}

// --- CRIU
// -----------------------------------------------------------------------------------------

TEST_F(ShimTest, RunsCriuAndTellsHowItEnded) {
  Launch();
  CriuRequest request = Criu("echo $WORD >&2; exit 3");
  request.env = {"WORD=no"};
  int pid = 0;
  const auto exit = client_->RunCriu(request, [&](int started) { pid = started; });
  ASSERT_TRUE(exit.ok()) << exit.status();
  EXPECT_EQ(exit->code, 3);
  EXPECT_GT(pid, 0);
  EXPECT_EQ(Text("stderr"), "no\n");
  EXPECT_EQ(client_->RunCriu(Criu("kill -9 $$"), nullptr)->signal, SIGKILL);
  request.argv = {"/nonexistent/criu"};
  EXPECT_TRUE(absl::IsNotFound(client_->RunCriu(request, nullptr).status()));
}

TEST_F(ShimTest, OneOperationAtATimeAndOtherCallsMeanwhile) {
  Launch({"--beat-timeout-ms", "1500"});
  absl::StatusOr<CriuExit> first = absl::UnknownError("");
  {
    base::Thread runner("runner", [&] { first = client_->RunCriu(Criu("sleep 2.5"), nullptr); });
    ASSERT_TRUE(Eventually([&] { return State().operation; }));
    EXPECT_TRUE(absl::IsFailedPrecondition(client_->RunCriu(Criu("true"), nullptr).status()));
    EXPECT_TRUE(absl::IsFailedPrecondition(client_->RestoreYes()));  // a dump has none
  }
  // Longer than the beat's timeout: the beat came.
  EXPECT_TRUE(first.ok()) << first.status();
  EXPECT_FALSE(State().operation);
}

TEST_F(ShimTest, ALostDaemonLeavesADumpToCriu) {
  const int daemon = ForkDaemon([this] {
    Launch();
    Start(Shell("exec sleep 100"));
    const CriuRequest dump = Criu(absl::StrCat("sleep 0.5; echo undone >", Path("done")));
    client_->RunCriu(dump, [](int) { ::raise(SIGKILL); }).IgnoreError();
  });
  WaitFor(daemon);
  EXPECT_TRUE(Eventually([&] { return Text("done") == "undone\n"; }));
  Reconnect();
  EXPECT_TRUE(Eventually([&] { return !State().operation; }));
  EXPECT_TRUE(IsAlive(*State().job));
}

TEST_F(ShimTest, AHungDaemonIsKilled) {
  const int daemon = ForkDaemon([this] {
    Launch({"--beat-timeout-ms", "1000"});
    Start(Shell("exec sleep 100"));
    client_->RunCriu(Criu("exec sleep 100"), [](int) { ::raise(SIGSTOP); }).IgnoreError();
  });
  const int status = WaitFor(daemon, absl::Seconds(5));
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  EXPECT_THAT(Text("j/shim.log"), HasSubstr(absl::StrCat("pid ", daemon)));
  Reconnect();
  EXPECT_TRUE(State().operation);  // it is for CRIU to end
  EXPECT_TRUE(IsAlive(*State().job));
}

TEST_F(ShimTest, ARestoreLostBeforeTheYesLeavesNothing) {
  const int daemon = ForkDaemon([this] {
    Launch();
    client_
        ->RunCriu(RestoreOf("trap '' TERM HUP; sleep 1000 & sleep 1000; sleep 1000", "1000"),
                  [this](int) {
                    Eventually([this] { return Tree(State().shim_pid)->size() >= 4; });
                    ::raise(SIGKILL);
                  })
        .IgnoreError();
  });
  WaitFor(daemon);
  // Shim, CRIU and all that was restored: the shim too, since it has no job.
  EXPECT_TRUE(Eventually([] {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) continue;
    return Tree(::getpid())->size() == 1;
  }));
}

TEST_F(ShimTest, AFailedRestoreLeavesNothing) {
  Launch();
  CriuRequest failed = RestoreOf("exec sleep 1000", "0.1");
  failed.argv[2] += "; exit 1";
  EXPECT_EQ(client_->RunCriu(failed, nullptr)->code, 1);
  EXPECT_TRUE(Eventually([&] { return Tree(State().shim_pid)->size() == 1; }));
  // Code 0 is no proof either: there was no yes.
  EXPECT_EQ(client_->RunCriu(RestoreOf("exec sleep 1000", "0.1"), nullptr)->code, 0);
  EXPECT_TRUE(Eventually([&] { return Tree(State().shim_pid)->size() == 1; }));
  EXPECT_FALSE(State().job.has_value());
}

TEST_F(ShimTest, ARestoreLostAfterTheYesIsKeptWithItsExitCode) {
  const int daemon = ForkDaemon([this] {
    Launch();
    client_
        ->RunCriu(RestoreOf("sleep 1; exit 7", "0.5"),
                  [this](int) {
                    if (client_->RestoreYes().ok()) ::raise(SIGKILL);
                  })
        .IgnoreError();
  });
  EXPECT_EQ(WTERMSIG(WaitFor(daemon)), SIGKILL);
  Reconnect();
  ASSERT_TRUE(Eventually([&] { return State().job.has_value(); }));
  EXPECT_TRUE(State().restore_yes);
  const ProcessIdentity restored = *State().job;
  EXPECT_TRUE(client_->Adopt(restored, true).ok());
  EXPECT_EQ(Wait().code, 7);
}

TEST_F(ShimTest, ARestoredJobThatHasEndedAlreadyIsAdoptedWithItsCode) {
  Launch();
  // Not at once: the shell between it and the shim, still there, might reap it.
  const auto exit = client_->RunCriu(RestoreOf("sleep 0.2; exit 11", "0.6"),
                                     [&](int) { EXPECT_TRUE(client_->RestoreYes().ok()); });
  ASSERT_TRUE(exit.ok() && exit->code == 0) << exit.status();
  int pid = 0;
  ASSERT_TRUE(absl::SimpleAtoi(Text("pf"), &pid));
  EXPECT_EQ(client_->Adopt({pid, 0}, true), absl::OkStatus()) << Text("j/shim.log");
  EXPECT_EQ(Wait().code, 11);
}

}  // namespace
}  // namespace cedana::runtime
