#include "cedana/cli/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cedana/cli/command.h"
#include "cedana/cli/flags.h"

namespace cedana::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

std::vector<std::string> Words(std::vector<std::string> words) { return words; }

TEST(SplitArguments, TakesGlobalFlagsOutWhereverTheyStand) {
  const auto words =
      Words({"job", "--address", "/tmp/x", "list", "--config={}", "-o", "json", "--protocol=unix"});
  const absl::StatusOr<Arguments> arguments = SplitArguments(words);
  ASSERT_TRUE(arguments.ok());
  EXPECT_THAT(arguments->words, ElementsAre("job", "list", "-o", "json"));
  EXPECT_THAT(arguments->settings,
              ElementsAre(Pair("address", "/tmp/x"), Pair("protocol", "unix")));
  EXPECT_EQ(arguments->startup.config_json, "{}");
}

TEST(SplitArguments, LeavesWhatFollowsTheDashesAlone) {
  const auto words = Words({"run", "process", "--", "x", "--address", "y", "--", "-j"});
  const absl::StatusOr<Arguments> arguments = SplitArguments(words);
  ASSERT_TRUE(arguments.ok());
  EXPECT_THAT(arguments->words, ElementsAre("run", "process"));
  EXPECT_THAT(arguments->verbatim, ElementsAre("x", "--address", "y", "--", "-j"));
  EXPECT_THAT(arguments->settings, IsEmpty());
}

TEST(SplitArguments, RefusesAMissingValue) {
  EXPECT_FALSE(SplitArguments(Words({"job", "list", "--address"})).ok());
}

TEST(Resolve, KnowsAliases) {
  for (const auto& words : {Words({"ps"}), Words({"jobs"}), Words({"job", "ls"})}) {
    EXPECT_EQ(Resolve(words)->command->path, "job list");
  }
  EXPECT_EQ(Resolve(Words({"exec"}))->command->path, "run process");
  EXPECT_EQ(Resolve(Words({"checkpoints"}))->command->path, "job checkpoint list");
  EXPECT_EQ(Resolve(Words({"checkpoint", "delete"}))->command->path, "job checkpoint delete");
}

TEST(Resolve, TakesNoArgumentForACommand) {
  const absl::StatusOr<Resolved> resolved = Resolve(Words({"dump", "job", "run", "process"}));
  ASSERT_TRUE(resolved.ok());
  EXPECT_EQ(resolved->command->path, "dump job");
  EXPECT_THAT(resolved->rest, ElementsAre("run", "process"));
}

TEST(Resolve, AcceptsACommandsFlagsBeforeItsName) {
  const absl::StatusOr<Resolved> resolved =
      Resolve(Words({"dump", "--dir", "cedana://x", "--leave-running", "job", "j"}));
  ASSERT_TRUE(resolved.ok());
  EXPECT_EQ(resolved->command->path, "dump job");
  EXPECT_THAT(resolved->rest, ElementsAre("--dir", "cedana://x", "--leave-running", "j"));
}

TEST(Resolve, NamesWhatItDoesNotKnow) {
  EXPECT_THAT(Resolve(Words({"job", "lst"})).status().message(),
              HasSubstr("unknown command \"lst\" for \"cedana job\""));
}

absl::StatusOr<Invocation> ParseWords(const std::vector<std::string>& words,
                                      const std::vector<std::string>& verbatim = {}) {
  const absl::StatusOr<Resolved> resolved = Resolve(words);
  if (!resolved.ok()) return resolved.status();
  return Parse(*resolved, verbatim);
}

TEST(Parse, AcceptsFlagsAfterTheArguments) {
  const absl::StatusOr<Invocation> parsed =
      ParseWords({"run", "process", "sleep", "[10,20]", "-j", "x", "-a", "--pid-file=/p"});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_THAT(parsed->arguments, ElementsAre("sleep", "[10,20]"));
}

TEST(Parse, KeepsTheProgramsOwnFlagsAfterTheDashes) {
  const absl::StatusOr<Invocation> parsed =
      ParseWords({"run", "process", "-j", "x"}, {"sh", "-c", "exit 1", "--help"});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_THAT(parsed->arguments, ElementsAre("sh", "-c", "exit 1", "--help"));
}

TEST(Parse, SaysWhatIsWrongInOneLine) {
  EXPECT_THAT(ParseWords({"run", "process", "sh", "-c"}).status().message(),
              HasSubstr("unknown flag: -c (what follows -- is not read as a flag)"));
  EXPECT_THAT(ParseWords({"job", "inspect"}).status().message(),
              HasSubstr("cedana job inspect takes <JID>, got 0 arguments"));
  EXPECT_THAT(ParseWords({"dump", "job", "x", "--streams", "many"}).status().message(),
              HasSubstr("--streams"));
  EXPECT_FALSE(ParseWords({"job", "list", "-o", "xml"}).ok());
  EXPECT_FALSE(ParseWords({"dump", "job", "--name=", "x"}).ok());
}

TEST(Parse, RefusesFlagsThatAreNotOfferedYet) {
  for (const char* flag : {"-g", "--gpu-enabled", "--no-server"}) {
    EXPECT_THAT(ParseWords({"run", "process", flag, "ls"}).status().message(),
                HasSubstr("is not offered by this version"))
        << flag;
  }
  EXPECT_THAT(ParseWords({"dump", "job", "--criu-opts", "{}", "x"}).status().message(),
              HasSubstr("--criu-opts is not offered by this version"));
}

TEST(Parse, HelpNamesFlagsAndAliases) {
  const absl::StatusOr<Invocation> parsed = ParseWords({"run", "process", "--help"});
  ASSERT_TRUE(parsed.ok());
  EXPECT_THAT(parsed->help, HasSubstr("-j, --jid"));
  EXPECT_THAT(parsed->help, HasSubstr("cedana exec"));
  EXPECT_THAT(parsed->help, HasSubstr("--config-dir"));
  EXPECT_THAT(parsed->help, testing::Not(HasSubstr("--gpu-enabled")));
}

TEST(Commands, EveryOneOfThemHasHelp) {
  for (const Command& command : Commands()) {
    const absl::StatusOr<Invocation> parsed = Parse({&command, command.path, {"--help"}}, {});
    ASSERT_TRUE(parsed.ok()) << command.path << parsed.status();
    EXPECT_THAT(parsed->help, HasSubstr(command.summary));
  }
}

TEST(ParseSignal, KnowsNamesAndNumbers) {
  EXPECT_EQ(*ParseSignal("15"), 15);
  EXPECT_EQ(*ParseSignal("TERM"), 15);
  EXPECT_EQ(*ParseSignal("sigusr1"), 10);
  EXPECT_FALSE(ParseSignal("0").ok());
  EXPECT_FALSE(ParseSignal("NOPE").ok());
}

}  // namespace
}  // namespace cedana::cli
