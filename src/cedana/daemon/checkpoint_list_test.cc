#include "cedana/daemon/checkpoint_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "cedana/daemon/testing/memory_places.h"
#include "core/base/limits.h"

namespace cedana::daemon {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class CheckpointListTest : public testing::Test {
 protected:
  CheckpointListTest() {
    const std::string path = testing::TempDir() + "/checkpoint_list.db";
    for (const char* suffix : {"", "-wal", "-shm"}) ::unlink((path + suffix).c_str());
    table_ = *JobTable::Open(path);
    search_.name = "j";
    search_.id = "a1";
    search_.default_folder = {"cedana", ""};
    job_.job_id = "a1";
    job_.job_name = "j";
  }

  // By this daemon, which writes it down.
  std::string Dump(const std::string& place, const std::string& path) {
    const CheckpointRecord record = places_.Dump(place, path, job_);
    EXPECT_TRUE(table_->AddCheckpoint(record).ok());
    return record.id;
  }

  // "url durability", newest first.
  std::vector<std::string> List(absl::Duration timeout = absl::Seconds(10)) {
    search_.known = *table_->Checkpoints("a1");
    const CheckpointList list =
        ListCheckpoints(base::Context{}.WithTimeout(timeout), places_.Opener(), *table_, search_);
    messages_ = list.messages;
    std::vector<std::string> shown;
    for (const CheckpointRecord& record : list.records) {
      shown.push_back(absl::StrCat(record.url, " ", record.durability));
    }
    return shown;
  }
  std::string Recorded(const std::string& id) {
    const auto record = table_->FindCheckpoint(id);
    return record.ok() && record->has_value() ? (*record)->durability : "";
  }

  MemoryPlaces places_;
  std::unique_ptr<JobTable> table_;
  JobSearch search_;
  transfer::JobFacts job_;
  std::vector<std::string> messages_;
};

TEST_F(CheckpointListTest, DurabilityIsWhatTheStorageSaysNow) {
  const std::string id = Dump("cedana://", "ckpt/one");
  places_.at("cedana://").words["ckpt/one"] = "fully replicated";
  EXPECT_THAT(List(), ElementsAre("cedana://ckpt/one.tar.lz4 fully replicated"));
  EXPECT_EQ(Recorded(id), "fully replicated");
  // A provider is lost later.
  places_.at("cedana://").words["ckpt/one"] = "endangered";
  EXPECT_THAT(List(), ElementsAre("cedana://ckpt/one.tar.lz4 endangered"));
  EXPECT_EQ(Recorded(id), "endangered");
  EXPECT_THAT(messages_, IsEmpty());
}

TEST_F(CheckpointListTest, EachPlaceIsAskedOnce) {
  for (const char* path : {"ckpt/one", "ckpt/two", "other/three"}) Dump("cedana://", path);
  Dump("s3://b/f", "b/f/four");
  EXPECT_THAT(List(), testing::SizeIs(4));
  EXPECT_EQ(places_.at("cedana://").lists, 1);
  EXPECT_EQ(places_.at("s3://b/f").lists, 1);
}

TEST_F(CheckpointListTest, WhatTheStorageHasNoMoreIsGone) {
  const std::string id = Dump("s3://b/f", "b/f/one");
  Dump("s3://b/f", "b/f/two");
  ASSERT_TRUE(places_.at("s3://b/f").Delete({}, "b/f/one").ok());
  EXPECT_THAT(List(), ElementsAre("s3://b/f/two.tar.lz4 durable", "s3://b/f/one.tar.lz4 gone"));
  EXPECT_EQ(Recorded(id), kGone);
  // Another one under its path does not bring it back.
  places_.Dump("s3://b/f", "b/f/one", job_);
  EXPECT_THAT(List(), ElementsAre("s3://b/f/one.tar.lz4 durable", "s3://b/f/two.tar.lz4 durable",
                                  "s3://b/f/one.tar.lz4 gone"));
}

TEST_F(CheckpointListTest, AStorageThatWasSetUpWronglyIsBelievedAgain) {
  const std::string id = Dump("cedana://", "ckpt/one");
  ASSERT_TRUE(table_->SetDurability(id, kGone).ok());
  EXPECT_THAT(List(), ElementsAre("cedana://ckpt/one.tar.lz4 durable"));
  EXPECT_EQ(Recorded(id), "durable");
}

TEST_F(CheckpointListTest, WhatAFullPageLeavesOutIsNotGone) {
  const std::string id = Dump("cedana://", "ckpt/oldest");
  for (size_t i = 0; i < base::kListPageMax; ++i) {
    places_.Dump("cedana://", absl::StrCat("ckpt/", i), job_);
  }
  EXPECT_THAT(List(), testing::SizeIs(base::kListPageMax + 1));
  EXPECT_EQ(Recorded(id), "durable");
}

TEST_F(CheckpointListTest, OtherHostsCheckpointsOfTheJobAreListed) {
  Dump("s3://b/f", "b/f/one");
  places_.Dump("s3://b/f", "b/f/two", job_);
  places_.Dump("cedana://", "ckpt/three", job_);  // the default
  transfer::JobFacts other = job_;
  other.job_id = "b2";
  places_.Dump("s3://b/f", "b/f/other", other);
  EXPECT_THAT(List(), ElementsAre("cedana://ckpt/three.tar.lz4 durable",
                                  "s3://b/f/two.tar.lz4 durable", "s3://b/f/one.tar.lz4 durable"));
  EXPECT_THAT(*table_->Checkpoints(""), testing::SizeIs(1));
}

TEST_F(CheckpointListTest, AJobThatIsNotKnownIsListedByName) {
  places_.Dump("cedana://", "ckpt/one", job_);
  search_.id.clear();
  EXPECT_THAT(List(), ElementsAre("cedana://ckpt/one.tar.lz4 durable"));
}

TEST_F(CheckpointListTest, APlaceThatDoesNotAnswerLeavesItsRecordsAsTheyWere) {
  const std::string id = Dump("cedana://", "ckpt/one");
  Dump("s3://b/f", "b/f/two");
  places_.at("cedana://").silent = true;
  places_.at("s3://b/f").words["b/f/two"] = "endangered";
  EXPECT_THAT(List(absl::Milliseconds(100)),
              ElementsAre("s3://b/f/two.tar.lz4 endangered", "cedana://ckpt/one.tar.lz4 durable"));
  EXPECT_EQ(Recorded(id), "durable");
  EXPECT_THAT(messages_, ElementsAre(HasSubstr("cedana:// does not answer")));
}

TEST_F(CheckpointListTest, ADefaultThatCannotBeUsedIsNotMentioned) {
  Dump("s3://b/f", "b/f/one");
  EXPECT_THAT(List(), ElementsAre("s3://b/f/one.tar.lz4 durable"));
  EXPECT_THAT(messages_, IsEmpty());
}

}  // namespace
}  // namespace cedana::daemon
