#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "cedana/cli/testing/cli_fixture.h"
#include "core/base/thread.h"
#include "core/build_id.h"

namespace cedana::cli {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

daemon_api::Job MakeJob(const std::string& jid, uint32_t pid, bool attachable) {
  daemon_api::Job job;
  job.set_jid(jid);
  job.set_type("process");
  job.set_attachable(attachable);
  job.mutable_state()->set_pid(pid);
  job.mutable_state()->set_status("sleep");
  job.mutable_state()->set_isrunning(true);
  if (!attachable) job.set_log("/var/log/cedana-output-" + jid + ".log");
  return job;
}

daemon_api::AttachResp Stdout(const std::string& bytes) {
  daemon_api::AttachResp response;
  response.set_stdout(bytes);
  return response;
}

daemon_api::AttachResp ExitCode(int code) {
  daemon_api::AttachResp response;
  response.set_exitcode(code);
  return response;
}

// --- run, manage --------------------------------------------------------------------------------

TEST_F(CliTest, RunSendsTheProgramAndItsCaller) {
  daemon().run_response.add_messages("Running managed process PID 7");
  const Result result =
      Cedana({"run", "process", "-j", "my-job-1", "-o", "x.log", "--", "sh", "-c", "exit 1"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "Running managed process PID 7\n");
  const daemon_api::RunReq& request = daemon().run_request;
  EXPECT_EQ(request.jid(), "my-job-1");
  EXPECT_EQ(request.type(), "process");
  EXPECT_EQ(request.action(), daemon_api::START_NEW);
  EXPECT_EQ(request.uid(), ::getuid());
  EXPECT_THAT(request.details().process().path(), EndsWith("/sh"));
  EXPECT_THAT(request.details().process().args(), ElementsAre("-c", "exit 1"));
  EXPECT_THAT(request.details().process().workingdir(), StartsWith("/"));
  EXPECT_THAT(request.log(), EndsWith("/x.log"));
  EXPECT_THAT(request.log(), StartsWith("/"));
  EXPECT_THAT(request.env(), Contains("TZ=UTC"));
  EXPECT_FALSE(request.attachable());
}

TEST_F(CliTest, RunFindsNoProgramBeforeItAsksTheDaemon) {
  const Result result = Cedana({"exec", "no-such-program-at-all"});
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.err, "Error: \"no-such-program-at-all\": executable file not found in PATH\n");
  EXPECT_THAT(daemon().calls, IsEmpty());
}

TEST_F(CliTest, RunShowsTheDaemonsErrorWithItsCode) {
  daemon().status = {grpc::StatusCode::INTERNAL, "failed to create new job: job x already exists"};
  const Result result = Cedana({"run", "process", "-j", "x", "true"});
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.err, "Error: Internal: failed to create new job: job x already exists\n");
}

TEST_F(CliTest, RunAttachCopiesStdioAndReturnsTheExitCode) {
  daemon().run_response.set_pid(7);
  daemon().run_response.add_messages("Running managed process PID 7");
  std::string got;
  uint32_t pid = 0;
  daemon().on_attach = [&](FakeDaemon::AttachStream* stream) {
    daemon_api::AttachReq request;
    stream->Read(&request);
    pid = request.pid();
    while (stream->Read(&request) && !request.stdinclosed()) got += request.stdin();
    stream->Write(Stdout("hello\n"));
    daemon_api::AttachResp error;
    error.set_stderr("bad\n");
    stream->Write(error);
    stream->Write(ExitCode(42));
    return grpc::Status::OK;
  };
  const Result result = Cedana({"run", "process", "--attach", "cat"}, "some input");
  EXPECT_EQ(result.code, 42);
  EXPECT_EQ(result.out, "hello\n");
  EXPECT_EQ(result.err, "bad\n");
  EXPECT_EQ(got, "some input");
  EXPECT_EQ(pid, 7u);
  EXPECT_TRUE(daemon().run_request.attachable());
  EXPECT_TRUE(daemon().run_request.waitfirstmaster());
}

TEST_F(CliTest, RunAttachForwardsSignalsAndReturns128PlusN) {
  base::Pipe open = *base::MakePipe();  // stdin that does not end
  stdin_fd = open.read.get();
  daemon().run_response.set_pid(7);
  daemon().on_attach = [&](FakeDaemon::AttachStream* stream) {
    daemon_api::AttachReq request;
    stream->Read(&request);
    ::kill(::getpid(), SIGINT);
    while (stream->Read(&request) && request.signal() == 0) {
    }
    stream->Write(ExitCode(128 + request.signal()));
    return grpc::Status::OK;
  };
  EXPECT_EQ(Cedana({"run", "process", "-a", "cat"}).code, 130);
}

TEST_F(CliTest, RunAsRootAsksForRootWhoeverCalls) {
  EXPECT_EQ(Cedana({"run", "process", "--as-root", "true"}).code, 0);
  EXPECT_TRUE(daemon().run_request.asroot());
  EXPECT_THAT(daemon().run_request.groups(), ElementsAre(0u));
}

TEST_F(CliTest, RunRefusesFlagsThatExcludeEachOther) {
  EXPECT_EQ(Cedana({"run", "process", "-a", "-o", "x", "true"}).err,
            "Error: --attach and --out exclude each other\n");
}

TEST_F(CliTest, ManageSendsThePid) {
  daemon().run_response.add_messages("Managing process PID 4711");
  const Result result = Cedana({"manage", "process", "4711", "-j", "m"});
  EXPECT_EQ(result.out, "Managing process PID 4711\n");
  EXPECT_EQ(daemon().manage_request.details().process().pid(), 4711u);
  EXPECT_EQ(daemon().manage_request.action(), daemon_api::MANAGE_EXISTING);
  EXPECT_EQ(Cedana({"manage", "process", "99999999999"}).err, "Error: invalid pid: 99999999999\n");
}

// --- attach -------------------------------------------------------------------------------------

TEST_F(CliTest, CtrlCDetachesAndTheJobRunsOn) {
  base::Pipe open = *base::MakePipe();
  stdin_fd = open.read.get();
  *daemon().list_response.add_jobs() = MakeJob("j", 7, true);
  daemon().on_attach = [](FakeDaemon::AttachStream* stream) {
    daemon_api::AttachReq request;
    stream->Read(&request);
    ::kill(::getpid(), SIGINT);
    while (stream->Read(&request)) {
    }
    return grpc::Status::CANCELLED;
  };
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"attach", "7"}, {"job", "attach", "j"}}) {
    const Result result = Cedana(words);
    EXPECT_EQ(result.code, 1);
    EXPECT_EQ(result.err, "Error: Detached\n");
  }
}

TEST_F(CliTest, AttachShowsWhyItCannot) {
  daemon().on_attach = [](FakeDaemon::AttachStream*) {
    return grpc::Status(grpc::StatusCode::NOT_FOUND, "process 9 has no IO slave");
  };
  const Result result = Cedana({"attach", "9"});
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.err, "Error: NotFound: process 9 has no IO slave\n");
}

// --- dump ---------------------------------------------------------------------------------------

class DumpTest : public CliTest {
 protected:
  DumpTest() {
    *daemon().list_response.add_jobs() = MakeJob("my-job-1", 7, false);
    daemon().dump_response.add_messages("Dumped to cedana://ci/dump-process-my-job-1-1.tar");
    daemon_api::OperationSummary& summary = *daemon().dump_response.mutable_summary();
    summary.set_imagebytes(312ull << 20);
    summary.set_storedbytes(104ull << 20);
    summary.set_newbytes(104ull << 20);
    summary.set_wallmicros(900'000);
    summary.set_durability("durable");
  }
};

TEST_F(DumpTest, PrintsTheSummaryOnStderrAndThePathLast) {
  const Result result =
      Cedana({"dump", "job", "my-job-1", "--dir", "cedana://ci", "--compression", "lz4",
              "--streams=4", "--name", "n", "--tcp-close", "--external", "a,b", "--external=c"});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out, "Dumped to cedana://ci/dump-process-my-job-1-1.tar\n");
  EXPECT_EQ(result.err,
            "my-job-1: 312 MiB, stored 104 MiB (new 104 MiB), 347 MiB/s, "
            "process ended after 0.9 s\n");
  const daemon_api::DumpReq& request = daemon().dump_request;
  EXPECT_EQ(request.details().jid(), "my-job-1");
  EXPECT_EQ(request.type(), "process");
  EXPECT_EQ(request.dir(), "cedana://ci");
  EXPECT_EQ(request.compression(), "lz4");
  EXPECT_EQ(request.streams(), 4);
  EXPECT_EQ(request.name(), "n");
  EXPECT_TRUE(request.criu().tcp_close());
  EXPECT_FALSE(request.criu().has_tcp_established());
  EXPECT_THAT(request.criu().external(), ElementsAre("a", "b", "c"));
  EXPECT_EQ(request.operationid().size(), 32u);
  EXPECT_THAT(daemon().calls, ElementsAre("Get", "Dump"));
}

TEST_F(DumpTest, SaysHowLongARunningProcessWasFrozen) {
  daemon().dump_response.mutable_summary()->set_leftrunning(true);
  daemon().dump_response.mutable_summary()->set_frozenmicros(31'000);
  daemon().dump_response.mutable_summary()->set_durability("endangered");
  const Result result = Cedana({"dump", "process", "7", "--leave-running", "-d", "cedana://ci"});
  EXPECT_EQ(
      result.err,
      "process 7: 312 MiB, stored 104 MiB (new 104 MiB), 347 MiB/s, frozen 31 ms, endangered\n");
  EXPECT_TRUE(daemon().dump_request.criu().leave_running());
  EXPECT_EQ(daemon().dump_request.details().process().pid(), 7u);
}

TEST_F(DumpTest, WatchesWithTheIdThatItDrewAndPrintsNotes) {
  daemon_api::WatchResp note;
  note.set_note("a periodic timerfd is armed");
  daemon_api::WatchResp stage;
  stage.set_stage("uploading");
  stage.set_bytes(1 << 20);
  daemon().watch_responses = {stage, note};
  Result result = Cedana({"dump", "job", "my-job-1"});
  EXPECT_THAT(result.err, StartsWith("a periodic timerfd is armed\nmy-job-1: "));
  EXPECT_EQ(daemon().watch_request.operationid(), daemon().dump_request.operationid());

  result = Cedana({"dump", "job", "my-job-1"}, "", /*terminal=*/true);
  EXPECT_THAT(result.err, StartsWith("\rmy-job-1: uploading  1 MiB"));
  EXPECT_THAT(result.err, HasSubstr("\r\x1b[Ka periodic timerfd is armed\n"));
  EXPECT_THAT(result.out, EndsWith("Dumped to cedana://ci/dump-process-my-job-1-1.tar\n"));
}

TEST_F(DumpTest, RefusesAFolderBeforeItAsksTheDaemon) {
  const Result result = Cedana({"dump", "job", "my-job-1", "--dir", "/tmp"});
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.err,
            "Error: --dir /tmp is no storage URL: one such as cedana://my-checkpoints is needed\n");
  EXPECT_THAT(daemon().calls, IsEmpty());
}

TEST_F(DumpTest, RefusesWrongCompressionAndStreams) {
  EXPECT_EQ(Cedana({"dump", "job", "my-job-1", "--compression", "rar"}).err,
            "Error: unknown compression \"rar\": use one of none, tar, lz4, zstd, gzip, zlib\n");
  EXPECT_EQ(Cedana({"dump", "job", "my-job-1", "--streams", "-1"}).err,
            "Error: --streams must be 0 or more\n");
  EXPECT_EQ(Cedana({"dump", "process", "abc"}).err, "Error: invalid pid: abc\n");
}

TEST_F(DumpTest, OwnSettingsGoWithTheRequest) {
  ::setenv("CEDANA_CHECKPOINT_DIR", "cedana://mine", 1);
  ::setenv("CEDANA_CHECKPOINT_COMPRESSION", "zstd", 1);
  Cedana({"dump", "job", "my-job-1"});
  EXPECT_EQ(daemon().dump_request.dir(), "cedana://mine");
  EXPECT_EQ(daemon().dump_request.compression(), "zstd");
}

TEST_F(DumpTest, UnknownJobIsTheDaemonsAnswer) {
  EXPECT_EQ(Cedana({"dump", "job", "nobody"}).err, "Error: NotFound: job nobody not found\n");
}

TEST_F(DumpTest, CtrlCCancelsTheCall) {
  bool cancelled = false;
  daemon().on_dump = [&](grpc::ServerContext* context) {
    ::kill(::getpid(), SIGINT);
    for (int i = 0; i < 500 && !cancelled; ++i) {
      ::usleep(10'000);
      cancelled = context->IsCancelled();
    }
  };
  const Result result = Cedana({"dump", "job", "my-job-1"});
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.err,
            "Error: Canceled: interrupted; the process runs on unless the dump was committed: "
            "see \"cedana job list\"\n");
  StopDaemon();
  EXPECT_TRUE(cancelled);
}

TEST_F(DumpTest, ADaemonThatDiesLeavesTheOutcomeOpen) {
  base::Thread killer;
  daemon().on_dump = [&](grpc::ServerContext* context) {
    killer = base::Thread("killer", [&] { daemon().Stop(); });
    while (!context->IsCancelled()) ::usleep(10'000);
  };
  const Result result = Cedana({"dump", "job", "my-job-1"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, StartsWith("Error: Unavailable: lost the connection to the daemon"));
  EXPECT_THAT(result.err, HasSubstr("the process runs on unless the dump was committed"));
}

TEST_F(DumpTest, JsonIsTheWholeAnswer) {
  const Result result = Cedana({"dump", "job", "my-job-1", "-o", "json"});
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["summary"]["imagebytes"], 312u << 20);
}

// --- restore ------------------------------------------------------------------------------------

TEST_F(CliTest, RestoreJobSendsWhatWasAskedAndPrintsTheMessage) {
  daemon().restore_response.add_messages("Restored successfully, PID: 7");
  const Result result = Cedana({"restore", "job", "my-job-1", "--dir", "cedana://ci", "-o",
                                "/tmp/o.log", "--pid-file", "/tmp/p", "--tcp-close"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "Restored successfully, PID: 7\n");
  const daemon_api::RestoreReq& request = daemon().restore_request;
  EXPECT_EQ(request.details().jid(), "my-job-1");
  EXPECT_EQ(request.dir(), "cedana://ci");
  EXPECT_EQ(request.log(), "/tmp/o.log");
  EXPECT_EQ(request.pidfile(), "/tmp/p");
  EXPECT_TRUE(request.criu().tcp_close());
  EXPECT_FALSE(request.attachable());
}

TEST_F(CliTest, TheSettingForDumpsIsOnlyADefaultForWhatIsLookedFor) {
  const std::string config = R"({"checkpoint.dir": "s3://b/f"})";
  Cedana({"--config", config, "restore", "job", "j"});
  EXPECT_EQ(daemon().restore_request.dir(), "");
  EXPECT_EQ(daemon().restore_request.defaultdir(), "s3://b/f");
  Cedana({"--config", config, "job", "checkpoint", "list", "j"});
  EXPECT_EQ(daemon().checkpoints_request.defaultdir(), "s3://b/f");
  Cedana({"--config", config, "job", "checkpoint", "delete", "id"});
  EXPECT_EQ(daemon().delete_checkpoint_request.defaultdir(), "s3://b/f");
  Cedana({"restore", "job", "j"});
  EXPECT_EQ(daemon().restore_request.defaultdir(), "");  // a folder of this machine
}

class SeveralJobsTest : public CliTest {
 protected:
  SeveralJobsTest() {
    daemon_api::CheckpointChoices choices;
    for (const char* host : {"left", "right"}) {
      daemon_api::CheckpointChoice* const choice = choices.add_choices();
      choice->set_path(absl::StrCat("cedana://twins/", host));
      choice->set_user("ann");
      choice->set_host(host);
      choice->set_commandline("train --fast");
    }
    daemon().restore_response.add_messages("Restored successfully, PID: 7");
    daemon().ambiguous = grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "several jobs",
                                      choices.SerializeAsString());
  }
};

TEST_F(SeveralJobsTest, OnATerminalTheUserIsAsked) {
  const Result result = Cedana({"restore", "job", "twin"}, "three\n3\n2\n", /*terminal=*/true);
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "Restored successfully, PID: 7\n");
  EXPECT_THAT(result.err, testing::HasSubstr("  1  ann@left  "));
  EXPECT_THAT(result.err, testing::HasSubstr("train --fast  cedana://twins/right\n"));
  EXPECT_EQ(daemon().restore_request.path(), "cedana://twins/right");
  EXPECT_EQ(daemon().restore_request.details().jid(), "twin");
}

TEST_F(SeveralJobsTest, AListThatIsAsLongAsCanBeArrives) {
  // More than gRPC takes unless told.
  daemon_api::CheckpointChoices choices;
  for (int i = 0; i < 20; ++i) {
    choices.add_choices()->set_path(absl::StrCat("cedana://", std::string(1024, 'p'), i));
  }
  choices.set_more(40);
  daemon().ambiguous =
      grpc::Status(grpc::StatusCode::FAILED_PRECONDITION,
                   absl::StrCat("several jobs\n", std::string(70'000, '\n'), "the last"),
                   choices.SerializeAsString());
  Result result = Cedana({"restore", "job", "twin"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, StartsWith("Error: FailedPrecondition: several jobs"));
  EXPECT_THAT(result.err, EndsWith("the last\n"));
  result = Cedana({"restore", "job", "twin"}, "20\n", /*terminal=*/true);
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err, testing::HasSubstr("  and 40 more with older checkpoints"));
  EXPECT_EQ(daemon().restore_request.path(), choices.choices(19).path());
}

TEST_F(SeveralJobsTest, WithoutAnAnswerNothingIsRestored) {
  for (const char* answer : {"", "\n"}) {
    const Result result = Cedana({"restore", "job", "twin"}, answer, /*terminal=*/true);
    EXPECT_EQ(result.code, 1);
    EXPECT_THAT(result.err, testing::HasSubstr("nothing was restored"));
    EXPECT_TRUE(daemon().restore_request.path().empty());
  }
}

TEST_F(SeveralJobsTest, OffATerminalNobodyIsAsked) {
  const Result result = Cedana({"restore", "job", "twin"}, "1\n");
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, testing::HasSubstr("several jobs"));
  EXPECT_TRUE(result.out.empty());
  EXPECT_TRUE(daemon().restore_request.path().empty());
}

TEST_F(CliTest, RestoreAttachFollowsAJobWithALogWithoutTakingStdin) {
  base::Pipe open = *base::MakePipe();
  ASSERT_TRUE(base::WriteAll(open.write.get(), "not for the job").ok());
  stdin_fd = open.read.get();
  *daemon().list_response.add_jobs() = MakeJob("my-job-1", 7, false);
  daemon().restore_response.add_messages("Restored successfully, PID: 7");
  daemon().restore_response.add_messages("Failed to create PID file /p: no");
  daemon().restore_response.set_pid(7);
  daemon().restore_response.set_jid("my-job-1");
  daemon().on_attach = [&](FakeDaemon::AttachStream* stream) {
    daemon_api::AttachReq request;
    stream->Read(&request);
    stream->Write(Stdout("12\n13\n"));
    ::kill(::getpid(), SIGUSR1);
    // The first thing that comes must be the signal.
    EXPECT_TRUE(stream->Read(&request));
    EXPECT_EQ(request.signal(), SIGUSR1);
    stream->Write(ExitCode(0));
    return grpc::Status::OK;
  };
  const Result result = Cedana({"restore", "job", "--attach", "my-job-1"});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out, "12\n13\n");
  EXPECT_EQ(result.err, "Failed to create PID file /p: no\n");
}

TEST_F(CliTest, RestoreProcessNeedsAPath) {
  EXPECT_THAT(Cedana({"restore", "process"}).err, StartsWith("Error: --path is required"));
  EXPECT_THAT(Cedana({"restore", "process", "--path", "/tmp/x"}).err,
              StartsWith("Error: --path /tmp/x is no storage URL"));
  EXPECT_THAT(daemon().calls, IsEmpty());
  EXPECT_EQ(Cedana({"restore", "process", "-p", "cedana://ci/x.tar"}).code, 0);
  EXPECT_EQ(daemon().restore_request.path(), "cedana://ci/x.tar");
}

// --- job ----------------------------------------------------------------------------------------

TEST_F(CliTest, JobListHasTheColumnsThatScriptsReadInOrder) {
  EXPECT_EQ(Cedana({"ps"}).out, "No jobs found\n");
  daemon_api::Job ended = MakeJob("ended", 70001, false);
  ended.mutable_state()->set_status("halted");
  ended.mutable_state()->set_isrunning(false);
  ended.mutable_latest()->set_time(1739968236000);
  ended.mutable_latest()->set_size(610 << 10);
  ended.mutable_latest()->set_path("cedana://ci/dump-1.tar");
  ended.set_note("committed, but still running");
  *daemon().list_response.add_jobs() = ended;
  *daemon().list_response.add_jobs() = MakeJob("live", 7, true);
  const Result result = Cedana({"job", "list"});
  EXPECT_THAT(result.out, StartsWith("ID     TYPE       PID  STATUS  GPU  TIME                    "
                                     "SIZE  PATH                    LOG\n"
                                     "live   process      7  sleep   no   -                        "
                                     "  -  -                       [Attachable]\n"
                                     "ended  process  70001  halted  no   2025-02-19 12:30:36  610 "
                                     "KiB  cedana://ci/dump-1.tar  "
                                     "/var/log/cedana-output-ended.log\n"
                                     "\n"
                                     "ended: committed, but still running\n"
                                     "Use "));
}

TEST_F(CliTest, JobListAsJson) {
  daemon_api::Job job = MakeJob("j", 7, false);
  job.set_exited(true);
  job.set_exitcode(42);
  *daemon().list_response.add_jobs() = job;
  const auto json = nlohmann::json::parse(Cedana({"jobs", "--output", "json"}).out);
  ASSERT_EQ(json.size(), 1u);
  EXPECT_EQ(json[0]["id"], "j");
  EXPECT_EQ(json[0]["exit_code"], 42);
  EXPECT_EQ(json[0]["checkpoint"], nullptr);
}

TEST_F(CliTest, JobInspectIsYaml) {
  *daemon().list_response.add_jobs() = MakeJob("j", 7, false);
  EXPECT_THAT(Cedana({"job", "inspect", "j"}).out, StartsWith("jid: j\ntype: process\nstate:\n"));
}

TEST_F(CliTest, KillSendsTheSignal) {
  const Result result = Cedana({"kill", "a", "b", "--signal", "TERM"});
  EXPECT_EQ(result.out, "Killed job a\nKilled job b\n");
  EXPECT_EQ(daemon().kill_request.signal(), SIGTERM);
  EXPECT_EQ(Cedana({"job", "kill"}).err, "Error: name at least one job, or give --all\n");
}

TEST_F(CliTest, AllAsksFirstAndNoAnswerIsANo) {
  *daemon().list_response.add_jobs() = MakeJob("j", 7, false);
  Result result = Cedana({"job", "kill", "--all"});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out, "Are you sure you want to kill all jobs? [y/n]: ");
  EXPECT_THAT(daemon().calls, IsEmpty());
  result = Cedana({"job", "delete", "--all", "--checkpoints"}, "y\n");
  EXPECT_THAT(result.out, EndsWith("[y/n]: Deleted job j\n"));
  EXPECT_TRUE(daemon().delete_request.checkpoints());
}

TEST_F(CliTest, CheckpointListShowsTheNewestFirst) {
  EXPECT_EQ(Cedana({"checkpoints", "j"}).out, "No checkpoints found for job j\n");
  for (int i = 0; i < 2; ++i) {
    daemon_api::Checkpoint& checkpoint = *daemon().checkpoints_response.add_checkpoints();
    checkpoint.set_id("id" + std::to_string(i));
    checkpoint.set_time(1739968236000 + i * 1000);
    checkpoint.set_size(2 << 20);
    checkpoint.set_newbytes(i << 20);
    checkpoint.set_path("cedana://ci/" + std::to_string(i) + ".tar");
    checkpoint.set_durability("durable");
  }
  EXPECT_THAT(Cedana({"job", "checkpoint", "list", "j"}).out,
              StartsWith("ID   TIME                  SIZE  PATH                 NEW  DURABILITY\n"
                         "id1  2025-02-19 12:30:37  2 MiB  cedana://ci/1.tar  1 MiB  durable\n"
                         "id0  2025-02-19 12:30:36  2 MiB  cedana://ci/0.tar      -  durable\n"));
}

TEST_F(CliTest, AStorageThatDidNotAnswerIsSaidBesideTheList) {
  daemon().checkpoints_response.add_messages("warning: s3://b/f does not answer");
  const Result result = Cedana({"checkpoints", "j", "-o", "json"});
  EXPECT_EQ(result.out, "[]\n");
  EXPECT_EQ(result.err, "warning: s3://b/f does not answer\n");
}

TEST_F(CliTest, CheckpointDeleteGoesOnAfterAFailureAndCountsIt) {
  const Result result = Cedana({"job", "checkpoint", "delete", "a", "unknown", "b"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(daemon().deleted_checkpoints, ElementsAre("a", "b"));
  EXPECT_EQ(result.err, "Error: Deleted 2 checkpoint(s), 1 failed\n");
  EXPECT_EQ(Cedana({"checkpoint", "delete", "unknown"}).err,
            "Error: NotFound: checkpoint unknown not found\n");
}

// --- check, daemon, program ---------------------------------------------------------------------

TEST_F(CliTest, DaemonCheckCountsErrorsAndWarnings) {
  daemon_api::HealthCheckResult& group = *daemon().health_response.add_results();
  group.set_name("criu");
  daemon_api::HealthCheckComponent& item = *group.add_components();
  item.set_name("version");
  item.set_data("40201");
  Result result = Cedana({"daemon", "check"});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out, "CRIU\nversion  40201  ✔\n\nAll good.\n");
  item.add_warnings("old");
  EXPECT_THAT(Cedana({"daemon", "check"}).out, EndsWith("\nLooks good, with 1 warning(s).\n"));
  item.add_errors("bad");
  result = Cedana({"daemon", "check", "--full"});
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.err, "Error: Failed with 1 error(s) and 1 warning(s).\n");
}

TEST_F(CliTest, AnAbsentDaemonIsOneLineThatSaysWhatToDo) {
  StopDaemon();
  ::unlink(socket().c_str());
  const Result result = Cedana({"job", "list"});
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.err, "Error: Unavailable: cannot reach the daemon at " + socket() +
                            ": start it with \"cedana daemon start\"\n");
}

TEST_F(CliTest, DaemonStartTakesTheDatabaseFromTheFlag) {
  if (::geteuid() != 0) {
    EXPECT_EQ(Cedana({"daemon", "start"}).err, "Error: daemon must be run as root\n");
    return;
  }
  EXPECT_EQ(Cedana({"daemon", "start", "--db", "/tmp/x.db"}).code, 0);
  EXPECT_EQ(started_db, "/tmp/x.db");
}

TEST_F(CliTest, PluginListAndUnknownPlugin) {
  ::setenv("CEDANA_PLUGINS_LIB_DIR", (folder() + "/lib").c_str(), 1);
  EXPECT_THAT(Cedana({"plugins"}).out, HasSubstr("storage/cedana"));
  EXPECT_THAT(Cedana({"plugins"}).out, StartsWith("PLUGIN"));
  const Result result = Cedana({"plugin", "install", "no-such-plugin"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, StartsWith("Error: "));
  ::unsetenv("CEDANA_PLUGINS_LIB_DIR");
}

TEST_F(CliTest, VersionAndHelpNeedNoDaemon) {
  EXPECT_EQ(Cedana({"version"}).out, std::string(BuildVersion()) + "\n");
  EXPECT_THAT(Cedana({"--version"}).out, StartsWith("cedana version "));
  EXPECT_THAT(Cedana({}).out, HasSubstr("Commands:"));
  EXPECT_THAT(Cedana({"help", "job", "list"}).out, HasSubstr("cedana ps"));
  EXPECT_THAT(Cedana({"dump"}).out, HasSubstr("Checkpoint a job"));
  EXPECT_THAT(Cedana({"nonsense"}).err, StartsWith("Error: unknown command \"nonsense\""));
}

TEST_F(CliTest, CompletionKnowsCommandsFlagsAndJobs) {
  *daemon().list_response.add_jobs() = MakeJob("my-job-1", 7, false);
  EXPECT_EQ(Cedana({"__complete", "jobs"}).out, "my-job-1\n");
  EXPECT_EQ(Cedana({"__complete", "line", "--", "job", "de"}).out, "delete\n");
  EXPECT_EQ(Cedana({"__complete", "line", "--", "dump", "job", "my"}).out, "my-job-1\n");
  EXPECT_EQ(Cedana({"__complete", "line", "--", "dump", "job", "--le"}).out, "--leave-running\n");
  EXPECT_EQ(Cedana({"__complete", "line", "--", "dump", "job", "--dir", ""}).out, "");
  for (const char* shell : {"bash", "zsh", "fish"}) {
    EXPECT_THAT(Cedana({"completion", shell}).out, HasSubstr("__complete line"));
  }
}

}  // namespace
}  // namespace cedana::cli
