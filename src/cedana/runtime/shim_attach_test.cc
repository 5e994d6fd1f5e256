#include "absl/strings/match.h"
#include "cedana/runtime/testing/shim_fixture.h"
#include "core/base/thread.h"

namespace cedana::runtime {
namespace {

class AttachTest : public ShimTest {
 protected:
  std::unique_ptr<ShimAttach> Attach() {
    auto attach = ShimAttach::Connect(Folder());
    EXPECT_TRUE(attach.ok()) << attach.status();
    return attach.ok() ? *std::move(attach) : nullptr;
  }
  std::string NextOut(ShimAttach& attach) {
    const auto output = attach.Next();
    EXPECT_TRUE(output.ok()) << output.status();
    return output.ok() ? output->bytes : "";
  }
};

TEST_F(AttachTest, StdinGoesInOutputAndExitCodeComeOut) {
  Launch();
  Start(PipedShell("cat; echo bad >&2; exit 4"));
  EXPECT_TRUE(State().attachable);
  auto attach = Attach();
  ASSERT_TRUE(attach->SendStdin("hello\n").ok());
  EXPECT_EQ(NextOut(*attach), "hello\n");
  ASSERT_TRUE(attach->CloseStdin().ok());
  const Attached all = ReadAll(*attach);
  EXPECT_EQ(all.err, "bad\n");
  ASSERT_TRUE(all.exit.has_value());
  EXPECT_EQ(all.exit->code, 4);
}

TEST_F(AttachTest, AJobWithALogIsNotAttachable) {
  Launch();
  Start(Shell("exec sleep 100"));
  EXPECT_TRUE(absl::IsFailedPrecondition(ShimAttach::Connect(Folder()).status()));
}

TEST_F(AttachTest, EverybodyGetsTheOutputAndStdinIsMerged) {
  Launch();
  Start(PipedShell("exec cat"));
  auto one = Attach();
  auto two = Attach();
  ASSERT_TRUE(one->SendStdin("a").ok());
  EXPECT_EQ(NextOut(*one), "a");
  EXPECT_EQ(NextOut(*two), "a");
  ASSERT_TRUE(two->SendStdin("b").ok());
  EXPECT_EQ(NextOut(*one), "b");
  EXPECT_EQ(NextOut(*two), "b");
  // One that leaves takes nothing with it.
  one.reset();
  ASSERT_TRUE(two->SendStdin("c").ok());
  EXPECT_EQ(NextOut(*two), "c");
  ASSERT_TRUE(two->CloseStdin().ok());
  EXPECT_EQ(ReadAll(*two).exit->code, 0);
}

TEST_F(AttachTest, WithNobodyAttachedTheLastBytesAreKept) {
  Launch();
  const ProcessIdentity job =
      Start(PipedShell("seq 1 100000; echo err >&2; exec sleep 100"));  // 588,895 bytes
  // It does not block on a full pipe.
  ASSERT_TRUE(Eventually([&] { return CommandLine(job.pid) == "sleep 100"; }));
  auto attach = Attach();
  std::string out;
  std::string err;
  while (!absl::EndsWith(out, "100000\n") || err.empty()) {
    const auto output = attach->Next();
    ASSERT_TRUE(output.ok()) << output.status();
    (output->stream == 1 ? out : err) += output->bytes;
  }
  EXPECT_EQ(out.size(), size_t{64} << 10);
  EXPECT_EQ(err, "err\n");
}

TEST_F(AttachTest, HeldOutputIsWhole) {
  Launch();
  const ProcessIdentity job = Start(PipedShell("seq 1 100000; exit 3", true));
  // Held, it blocks on its full pipe.
  EXPECT_FALSE(client_->WaitExit(absl::Milliseconds(300))->has_value());
  EXPECT_TRUE(IsAlive(job));
  const Attached all = ReadAll(*Attach());
  EXPECT_EQ(all.out.size(), 588895u);
  EXPECT_EQ(all.exit->code, 3);
}

TEST_F(AttachTest, HeldOutputOfAJobThatHasEndedWaitsForWhoAttaches) {
  Launch();
  Start(PipedShell("echo out; echo err >&2; exit 6", true));
  EXPECT_EQ(Wait().code, 6);
  client_->Release();
  client_.reset();
  const Attached all = ReadAll(*Attach());
  EXPECT_EQ(all.out, "out\n");
  EXPECT_EQ(all.err, "err\n");
  EXPECT_EQ(all.exit->code, 6);
  EXPECT_TRUE(Eventually([&] { return !ShimListens(); }));
}

TEST_F(AttachTest, AllOutputComesBeforeTheEnd) {
  Launch();
  Start(PipedShell("read line; seq 1 500000; exit 8"));  // 3.4 MB
  auto attach = Attach();
  ASSERT_TRUE(attach->SendStdin("go\n").ok());
  const Attached all = ReadAll(*attach);
  EXPECT_EQ(all.out.size(), 3388895u);
  EXPECT_EQ(all.exit->code, 8);
}

TEST_F(AttachTest, AGrandchildWithThePipeOpenDoesNotDelayTheEndForLong) {
  Launch();
  Start(PipedShell("sleep 1000 & echo done; exit 2"));
  const absl::Duration begin = base::SystemClock().Monotonic();
  const Attached all = ReadAll(*Attach());
  EXPECT_EQ(all.out, "done\n");
  EXPECT_EQ(all.exit->code, 2);
  EXPECT_LT(base::SystemClock().Monotonic() - begin, absl::Seconds(5));
}

TEST_F(AttachTest, MuchStdinIsNeitherLostNorBlocks) {
  Launch();
  Start(PipedShell("sleep 0.3; md5sum"));
  auto attach = Attach();
  const std::string chunk(1 << 20, 'x');
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(attach->SendStdin(chunk).ok());
  ASSERT_TRUE(attach->CloseStdin().ok());
  EXPECT_EQ(ReadAll(*attach).out, "2058fb53f643fcd58a8d83a05542392b  -\n");
}

TEST_F(AttachTest, AStalledReaderIsDroppedForTheOthers) {
  Launch({"--stall-timeout-ms", "500"});
  Start(PipedShell("read line; seq 1 1000000; exit 1"));  // 6.9 MB
  auto stalled = Attach();
  auto reader = Attach();
  ASSERT_TRUE(reader->SendStdin("go\n").ok());
  const Attached all = ReadAll(*reader);
  EXPECT_EQ(all.out.size(), 6888896u);
  EXPECT_EQ(all.exit->code, 1);
  EXPECT_FALSE(ReadAll(*stalled).exit.has_value());
}

TEST_F(AttachTest, ALoneSlowReaderSlowsTheJobAndLosesNothing) {
  Launch({"--stall-timeout-ms", "500"});
  Start(PipedShell("read line; seq 1 1000000; exit 1"));
  auto reader = Attach();
  ASSERT_TRUE(reader->SendStdin("go\n").ok());
  base::SystemClock().Sleep(absl::Seconds(1));
  EXPECT_EQ(ReadAll(*reader).out.size(), 6888896u);
}

TEST_F(AttachTest, CloseEndsAWaitingNext) {
  Launch();
  Start(PipedShell("exec sleep 100"));
  auto attach = Attach();
  base::Thread closer("closer", [&] {
    base::SystemClock().Sleep(absl::Milliseconds(50));
    attach->Close();
  });
  EXPECT_EQ(attach->Next().status().code(), absl::StatusCode::kCancelled);
}

TEST_F(AttachTest, ARestoredJobHasNewPipes) {
  Launch();
  CriuRequest restore =
      RestoreOf("read line <&17; echo \"got $line\" >&18; echo bad >&19; exit 5", "0.3");
  restore.argv[2] = absl::StrCat("exec 2>&1; ", restore.argv[2]);
  restore.stdio_numbers[0] = 17;
  restore.stdio_numbers[1] = 18;
  restore.stdio_numbers[2] = 19;
  // sh has no two-digit descriptors; bash does.
  restore.argv[0] = "/bin/bash";
  const auto exit =
      client_->RunCriu(restore, [&](int) { EXPECT_TRUE(client_->RestoreYes().ok()); });
  ASSERT_TRUE(exit.ok() && exit->code == 0) << exit.status();
  EXPECT_TRUE(State().attachable);
  auto attach = Attach();
  ASSERT_TRUE(attach->SendStdin("line\n").ok());
  const Attached all = ReadAll(*attach);
  EXPECT_EQ(all.out, "got line\n");
  EXPECT_EQ(all.err, "bad\n");
  ASSERT_TRUE(all.exit.has_value());
  EXPECT_EQ(all.exit->code, 5);
}

}  // namespace
}  // namespace cedana::runtime
