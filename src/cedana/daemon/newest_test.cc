#include "cedana/daemon/newest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cedana/daemon/testing/memory_places.h"
#include "daemon_api.h"

namespace cedana::daemon {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class NewestTest : public testing::Test {
 protected:
  NewestTest() {
    search_.name = "j";
    search_.id = "a1";
    search_.default_folder = {"cedana", ""};
    job_.job_id = "a1";
    job_.job_name = "j";
  }

  // By this daemon, which writes it down.
  void Dump(const std::string& place, const std::string& path) {
    search_.known.insert(search_.known.begin(), places_.Dump(place, path, job_));
  }
  void DumpElsewhere(const std::string& place, const std::string& path) {
    places_.Dump(place, path, job_);
  }

  // The URL, or the error's text.
  std::string Newest(const std::string& dir = "") {
    auto newest = FindNewest(context_, places_.Opener(), search_, dir);
    if (!newest.ok()) return std::string(newest.status().message());
    notes_ = newest->notes;
    EXPECT_NE(newest->storage, nullptr);
    return newest->url.ToString();
  }

  MemoryPlaces places_;
  JobSearch search_;
  transfer::JobFacts job_;
  base::Context context_;
  std::vector<std::string> notes_;
};

TEST_F(NewestTest, TheNewestRecordCountsWhereverItIs) {
  Dump("cedana://", "ckpt/one");
  Dump("s3://b/f", "b/f/two");
  EXPECT_EQ(Newest(), "s3://b/f/two");
  Dump("cedana://", "ckpt/three");
  EXPECT_EQ(Newest(), "cedana://ckpt/three");
  EXPECT_THAT(notes_, IsEmpty());
}

TEST_F(NewestTest, ADefaultThatCannotBeUsedIsNotNeeded) {
  Dump("s3://b/f", "b/f/one");  // and no plugin for cedana://
  EXPECT_EQ(Newest(), "s3://b/f/one");
  EXPECT_THAT(notes_, IsEmpty());
}

TEST_F(NewestTest, ANewerOneOfAnotherHostWins) {
  Dump("s3://b/f", "b/f/one");
  Dump("cedana://", "ckpt/two");
  DumpElsewhere("cedana://", "other/three");
  EXPECT_EQ(Newest(), "cedana://other/three");
  DumpElsewhere("s3://b/f", "b/f/four");
  EXPECT_EQ(Newest(), "s3://b/f/four");
}

TEST_F(NewestTest, ANewerOneInTheDefaultFolderWins) {
  search_.default_folder = {"s3", "b/default"};
  Dump("s3://b/f", "b/f/one");
  DumpElsewhere("s3://b/default", "b/default/two");
  EXPECT_EQ(Newest(), "s3://b/default/two");
}

TEST_F(NewestTest, ThePlaceThatAJobCameFromCounts) {
  DumpElsewhere("s3://b/f", "b/f/one");
  CheckpointRecord origin;
  origin.url = "s3://b/f/one";
  // A bucket gives an object's time once from its listing and once from itself.
  origin.time_ms = absl::ToUnixMillis(places_.clock.now) + 30;
  search_.known = {origin};
  EXPECT_EQ(Newest(), "s3://b/f/one");
  EXPECT_THAT(notes_, IsEmpty());
}

TEST_F(NewestTest, AnotherJobOfThatNameIsNotMeant) {
  Dump("cedana://", "ckpt/one");
  job_.job_id = "b2";
  DumpElsewhere("cedana://", "ckpt/two");
  EXPECT_EQ(Newest(), "cedana://ckpt/one");
}

TEST_F(NewestTest, OneThatWasDeletedIsPassedOverAndSaid) {
  Dump("cedana://", "ckpt/one");
  Dump("s3://b/f", "b/f/two");
  ASSERT_TRUE(places_.at("s3://b/f").Delete({}, "b/f/two").ok());
  EXPECT_EQ(Newest(), "cedana://ckpt/one");
  EXPECT_THAT(notes_,
              ElementsAre(HasSubstr("s3://b/f/two.tar.lz4 is not in the storage any more")));
  ASSERT_TRUE(places_.at("cedana://").Delete({}, "ckpt/one").ok());
  EXPECT_EQ(Newest(), "job j has no saved checkpoint. pass in path to override");
}

TEST_F(NewestTest, NoOlderOneIsTakenWhileTheNewestCannotBeReached) {
  Dump("cedana://", "ckpt/one");
  Dump("s3://b/f", "b/f/two");
  places_.at("s3://b/f").failure = absl::UnavailableError("dark");
  const std::string error = Newest();
  EXPECT_THAT(error, HasSubstr("s3://b/f/two.tar.lz4, cannot be reached: dark"));
  EXPECT_THAT(error, HasSubstr("--path takes an older one"));
  // Unless it is known to be gone.
  search_.known[0].durability = kGone;
  EXPECT_EQ(Newest(), "cedana://ckpt/one");
}

TEST_F(NewestTest, ASilentPlaceIsWaitedForUntilTheContextEnds) {
  Dump("s3://b/f", "b/f/one");
  places_.at("s3://b/f").silent = true;
  context_ = context_.WithTimeout(absl::Milliseconds(50));
  EXPECT_THAT(Newest(), HasSubstr("cannot be reached"));
}

TEST_F(NewestTest, AnOlderPlaceThatIsDarkIsOnlyANote) {
  Dump("cedana://", "ckpt/one");
  Dump("s3://b/f", "b/f/two");
  places_.at("cedana://").failure = absl::UnavailableError("dark");
  EXPECT_EQ(Newest(), "s3://b/f/two");
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("cedana:// does not answer")));
}

TEST_F(NewestTest, WithNothingRecordedTheDefaultFolderCounts) {
  EXPECT_EQ(Newest(), "no plugin for cedana://");
  places_.at("cedana://");
  EXPECT_EQ(Newest(), "job j has no saved checkpoint. pass in path to override");
  DumpElsewhere("cedana://", "ckpt/one");
  EXPECT_EQ(Newest(), "cedana://ckpt/one");
}

TEST_F(NewestTest, AJobThatIsNotKnownIsLookedForByName) {
  search_.id.clear();
  search_.default_folder = {"cedana", "ckpt"};
  places_.at("cedana://");
  EXPECT_EQ(Newest(), "job j not found, neither here nor in the storage");
  DumpElsewhere("cedana://", "other/one");
  EXPECT_EQ(Newest(), "cedana://other/one");
  job_.job_id = "b2";
  DumpElsewhere("cedana://", "ckpt/two");
  EXPECT_EQ(Newest(), "cedana://ckpt/two");
}

TEST_F(NewestTest, AGivenFolderIsTheOnlyOne) {
  Dump("cedana://", "ckpt/one");
  Dump("cedana://", "other/two");
  Dump("s3://b/f", "b/f/three");
  EXPECT_EQ(Newest("cedana://ckpt"), "cedana://ckpt/one");
  EXPECT_THAT(Newest("cedana://nothing"), HasSubstr("has no saved checkpoint"));
}

TEST_F(NewestTest, ALongListOfJobsOfOneNameIsCut) {
  search_.id.clear();
  job_.user = "ann\x1b[31m";
  job_.host = std::string(200, 'h');
  for (int i = 0; i < 60; ++i) {
    job_.job_id = absl::StrCat("job", i);
    job_.command_line = absl::StrCat(std::string(99, 'c'), "é", std::string(5000, 'd'));
    DumpElsewhere("cedana://", absl::StrCat(std::string(250, 'p'), "/", i));
  }
  const auto newest = FindNewest({}, places_.Opener(), search_, "");
  ASSERT_EQ(newest.status().code(), absl::StatusCode::kFailedPrecondition);
  const std::string text(newest.status().message());
  EXPECT_THAT(text, HasSubstr(absl::StrCat("--path cedana://", std::string(250, 'p'), "/59\n")));
  EXPECT_THAT(text, HasSubstr("and 40 more with older checkpoints"));
  EXPECT_LT(text.size(), size_t{10'000});
  const auto details = newest.status().GetPayload(kDetailsPayload);
  ASSERT_TRUE(details.has_value());
  EXPECT_LT(details->size(), size_t{12'000});
  daemon_api::CheckpointChoices choices;
  ASSERT_TRUE(choices.ParseFromString(std::string(*details)));
  ASSERT_EQ(choices.choices_size(), 20);
  EXPECT_EQ(choices.more(), 40u);
  EXPECT_EQ(choices.choices(0).commandline(), absl::StrCat(std::string(99, 'c'), "…"));
  EXPECT_EQ(choices.choices(0).user(), "ann [31m");
}

}  // namespace
}  // namespace cedana::daemon
