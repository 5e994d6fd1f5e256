#include "cedana/daemon/checkpoint_removal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "cedana/daemon/testing/memory_places.h"
#include "core/base/limits.h"

namespace cedana::daemon {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class CheckpointRemovalTest : public testing::Test {
 protected:
  CheckpointRemovalTest() {
    const std::string path = testing::TempDir() + "/checkpoint_removal.db";
    for (const char* suffix : {"", "-wal", "-shm"}) ::unlink((path + suffix).c_str());
    table_ = *JobTable::Open(path);
    job_.job_id = "a1";
    job_.job_name = "j";
  }

  // By this daemon, which writes it down.
  CheckpointRecord Dump(const std::string& place, const std::string& path) {
    const CheckpointRecord record = places_.Dump(place, path, job_);
    EXPECT_TRUE(table_->AddCheckpoint(record).ok());
    return record;
  }
  absl::Status Remove(const std::string& which) {
    return RemoveCheckpoint({}, places_.Opener(), *table_, {{"s3", "b/f"}, {"cedana", ""}}, which);
  }
  size_t InStorage(const std::string& place) { return places_.at(place).List({}, {})->size(); }
  size_t Recorded() { return table_->Checkpoints("")->size(); }

  MemoryPlaces places_;
  std::unique_ptr<JobTable> table_;
  transfer::JobFacts job_;
};

TEST_F(CheckpointRemovalTest, ARecordedOneGoesWithItsRecord) {
  const CheckpointRecord record = Dump("s3://b/f", "b/f/one");
  EXPECT_TRUE(Remove(record.id).ok());
  EXPECT_EQ(InStorage("s3://b/f"), 0u);
  EXPECT_EQ(Recorded(), 0u);
  EXPECT_EQ(Remove(record.id).message(), absl::StrCat("checkpoint ", record.id, " not found"));
}

TEST_F(CheckpointRemovalTest, AProcessThatIsNoJobHasOnesToo) {
  job_ = {};
  EXPECT_TRUE(Remove(Dump("cedana://", "ckpt/bare").id).ok());
  EXPECT_EQ(InStorage("cedana://"), 0u);
}

TEST_F(CheckpointRemovalTest, ARecordStaysWhileItsStorageIsAway) {
  const CheckpointRecord record = Dump("s3://b/f", "b/f/one");
  places_.at("s3://b/f").failure = absl::UnavailableError("dark");
  EXPECT_EQ(Remove(record.id).message(), "dark");
  EXPECT_EQ(Recorded(), 1u);
}

TEST_F(CheckpointRemovalTest, AnotherCheckpointUnderThePathOfOneThatIsGoneStays) {
  const CheckpointRecord record = Dump("s3://b/f", "b/f/nightly");
  ASSERT_TRUE(places_.at("s3://b/f").Delete({}, "b/f/nightly").ok());
  places_.Dump("s3://b/f", "b/f/nightly", job_);
  EXPECT_TRUE(Remove(record.id).ok());
  EXPECT_EQ(Recorded(), 0u);
  EXPECT_EQ(InStorage("s3://b/f"), 1u);
}

TEST_F(CheckpointRemovalTest, OneOfAnotherHostIsFoundByItsId) {
  const CheckpointRecord record = places_.Dump("cedana://", "ckpt/one", job_);
  for (size_t i = 0; i < base::kListPageMax; ++i) {
    places_.Dump("cedana://", absl::StrCat("ckpt/later-", i), job_);
  }
  EXPECT_TRUE(Remove(record.id).ok());
  EXPECT_EQ(InStorage("cedana://"), base::kListPageMax);
}

TEST_F(CheckpointRemovalTest, OneOfAnotherHostIsFoundByItsPath) {
  places_.Dump("s3://b/f", "b/f/one", job_);
  EXPECT_TRUE(Remove("s3://b/f/one.tar.lz4").ok());
  EXPECT_EQ(InStorage("s3://b/f"), 0u);
  EXPECT_EQ(Remove("s3://b/f/one").message(), "checkpoint s3://b/f/one not found");
  // An own one goes with its record.
  Dump("cedana://", "ckpt/two");
  EXPECT_TRUE(Remove("cedana://ckpt/two").ok());
  EXPECT_EQ(InStorage("cedana://"), 0u);
  EXPECT_EQ(Recorded(), 0u);
}

TEST_F(CheckpointRemovalTest, WhatMayBeInAPlaceThatIsDarkIsNotCalledUnknown) {
  const CheckpointRecord record = places_.Dump("cedana://", "ckpt/one", job_);
  places_.at("cedana://").failure = absl::UnavailableError("dark");
  const absl::Status status = Remove(record.id);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("cedana:// does not answer (dark)"));
  EXPECT_EQ(Remove("no id at all").message(), "checkpoint no id at all not found");
}

}  // namespace
}  // namespace cedana::daemon
