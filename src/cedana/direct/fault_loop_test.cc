// The N-th operation on the store fails, for N = 1, 2, 3… until a run meets no fault; or a daemon
// dies there, or another daemon does all it can just before. Whatever happens: a checkpoint is
// whole or absent, a name has one owner, older ones stay readable, and collection leaves nothing
// behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cedana/direct/decisions.h"
#include "cedana/direct/testing/bucket.h"
#include "core/codec/crc32c.h"

namespace cedana::direct {
namespace {

constexpr char kOldBytes[] = "what the older checkpoint holds";
const std::string& NewBytes() {
  static const std::string& bytes = *new std::string(100000, 'n');
  return bytes;
}

// Everything is deleted, and collected when it is old enough. Of a save whose owner does not know
// its end there may stay what keeps it ended: a decision, or a mark with the intent.
void ExpectNothingLeaks(Bucket& bucket, size_t unsettled_max) {
  Daemon cleaner(&bucket);
  for (const std::string& name : cleaner.Names()) {
    EXPECT_TRUE(cleaner.catalog.Delete({}, name).ok());
  }
  for (int round = 0; round < 3; ++round) {
    bucket.clock.Advance(kDay);
    const auto collected = cleaner.Collect();
    EXPECT_TRUE(collected.ok()) << collected.status();
  }
  size_t unsettled = 0;
  for (const std::string& key : bucket.Keys()) {
    if (key == "cedana/repository") continue;
    const auto intent = SaveOfKey(kIntents, key);
    if (intent.has_value() && bucket.Has(SaveKey(kDeletions, *intent))) continue;
    const auto mark = SaveOfKey(kDeletions, key);
    EXPECT_TRUE(SaveOfKey(kDecisions, key).has_value() ||
                (mark.has_value() && bucket.Has(SaveKey(kIntents, *mark))))
        << key << " was left";
    ++unsettled;
  }
  EXPECT_LE(unsettled, unsettled_max);
}

enum class How { kFails, kReplyLost, kDies };

// A dump, a look, a deletion and a collection with the N-th operation going wrong. True when it
// did.
bool RunWithFault(int skip, How how) {
  Bucket bucket;
  Daemon keeper(&bucket);
  EXPECT_TRUE(keeper.Save("old", kOldBytes, "job").ok());
  Daemon daemon(&bucket, OneTry());
  objstore::Fault fault{.skip = skip};
  if (how == How::kReplyLost) {
    fault.lose_reply = true;
  } else {
    fault.fail = absl::UnavailableError("the fault");
    if (how == How::kDies) fault.times = -1;  // from here on it does nothing any more
  }
  daemon.faults.Add(fault);

  const auto saved = daemon.Save("new", NewBytes(), "job");
  // Visible is committed; what was told to be an error certainly is not.
  const auto loaded = keeper.Load("new");
  if (saved.ok()) {
    EXPECT_EQ(loaded.value_or(""), NewBytes()) << loaded.status();
  } else if (absl::IsUnknown(saved.status())) {
    EXPECT_TRUE(loaded.ok() ? *loaded == NewBytes() : absl::IsNotFound(loaded.status()));
  } else {
    EXPECT_TRUE(absl::IsNotFound(loaded.status())) << loaded.status();
  }
  daemon.Collect().status().IgnoreError();
  daemon.catalog.Delete({}, "new").IgnoreError();
  bucket.clock.Advance(kDay);
  daemon.Collect().status().IgnoreError();
  const bool fired = daemon.faults.hits() > 0;

  EXPECT_EQ(keeper.Load("old").value_or("unreadable"), kOldBytes);
  const auto again = keeper.Load("new");
  EXPECT_TRUE(again.ok() ? *again == NewBytes() : absl::IsNotFound(again.status()))
      << again.status();
  // The name can be had again once it is not taken.
  if (!again.ok()) {
    EXPECT_TRUE(keeper.Save("new", "other", "job").ok());
  }
  ExpectNothingLeaks(bucket, /*unsettled_max=*/1);
  return fired;
}

TEST(DirectFaultLoop, NoSingleFailedOperationLosesOrLeaksAnything) {
  int skip = 0;
  while (RunWithFault(skip, How::kFails)) ++skip;
  EXPECT_GT(skip, 25);
}

TEST(DirectFaultLoop, NoSingleLostReplyLosesOrLeaksAnything) {
  int skip = 0;
  while (RunWithFault(skip, How::kReplyLost)) ++skip;
  EXPECT_GT(skip, 25);
}

TEST(DirectFaultLoop, ADaemonThatDiesAnywhereLosesOrLeaksNothing) {
  int skip = 0;
  while (RunWithFault(skip, How::kDies)) ++skip;
  EXPECT_GT(skip, 25);
}

// Whichever request a save fails at, others can have its name at once.
TEST(DirectFaultLoop, ASaveThatFailedDoesNotHoldItsName) {
  for (const bool lose_reply : {false, true}) {
    bool fired = true;
    for (int skip = 0; fired; ++skip) {
      Bucket bucket;
      Daemon other(&bucket);
      ASSERT_TRUE(other.Save("old", kOldBytes).ok());
      Daemon ours(&bucket, OneTry());
      objstore::Fault fault{.skip = skip, .lose_reply = lose_reply};
      if (!lose_reply) fault.fail = absl::UnavailableError("the fault");
      ours.faults.Add(fault);
      const auto saved = ours.Save("name", "ours");
      fired = ours.faults.hits() > 0;
      if (saved.ok()) continue;
      EXPECT_TRUE(absl::IsUnavailable(saved.status())) << saved.status();
      const auto again = other.Save("name", "theirs");
      EXPECT_TRUE(again.ok()) << "operation " << skip << ": " << again.status();
    }
  }
}

// What another daemon does between two steps of ours.
using Meanwhile = std::function<void(Bucket&, Daemon&)>;

// True when the N-th step was reached.
bool RunInterleaved(int step, const Meanwhile& meanwhile, size_t unsettled_max) {
  Bucket bucket;
  Daemon other(&bucket);
  EXPECT_TRUE(other.Save("old", kOldBytes, "job").ok());
  Daemon ours(&bucket, OneTry());
  ours.hooks.Before(step, [&] { meanwhile(bucket, other); });

  const auto saved = ours.Save("name", NewBytes(), "job");
  const bool fired = ours.hooks.fired();
  // Both see the same, every name once, and all that is visible is whole.
  const std::vector<std::string> names = other.Names();
  EXPECT_EQ(ours.Names(), names);
  EXPECT_EQ(std::count(names.begin(), names.end(), "name"), 1);
  for (const std::string& name : names) {
    const auto loaded = ours.Load(name);
    EXPECT_TRUE(loaded.ok()) << name << ": " << loaded.status();
    if (name == "name" && saved.ok()) {
      EXPECT_EQ(*loaded, NewBytes());
    }
  }
  EXPECT_FALSE(absl::IsUnknown(saved.status())) << saved.status();
  bucket.clock.Advance(kDay);
  EXPECT_TRUE(ours.Collect().ok());
  EXPECT_EQ(other.Names(), names);
  for (const std::string& name : names) EXPECT_TRUE(other.Load(name).ok()) << name;
  ExpectNothingLeaks(bucket, unsettled_max);
  return fired;
}

TEST(DirectFaultLoop, TwoDaemonsWantOneNameBetweenAnyTwoSteps) {
  int step = 1;
  while (RunInterleaved(
      step,
      [](Bucket&, Daemon& other) { other.Save("name", "theirs", "job").status().IgnoreError(); },
      /*unsettled_max=*/0)) {
    ++step;
  }
  EXPECT_GT(step, 12);
}

// Ours stands still for two days at each step: its lease ends, others take the name, collect, and
// collect again. Then it wakes up and goes on.
TEST(DirectFaultLoop, AFrozenDaemonWakesUpAfterDaysBetweenAnyTwoSteps) {
  int step = 1;
  while (RunInterleaved(
      step,
      [](Bucket& bucket, Daemon& other) {
        bucket.clock.Advance(2 * kDay);
        EXPECT_TRUE(other.Collect().ok());
        other.Save("name", "theirs", "job").status().IgnoreError();
        bucket.clock.Advance(2 * kDay);
        EXPECT_TRUE(other.Collect().ok());
      },
      /*unsettled_max=*/1)) {
    ++step;
  }
  EXPECT_GT(step, 12);
}

// A save that lives for days keeps its packs: its beat says that it lives.
TEST(DirectFaultLoop, ALongSaveIsNotCollectedUnderWay) {
  Bucket bucket;
  Daemon ours(&bucket);
  Daemon other(&bucket);
  transfer::BeginRequest request{base::DrawId<base::SaveId>(base::SystemRandom()),
                                 base::DrawId<base::CheckpointId>(base::SystemRandom()), "long",
                                 false};
  ASSERT_TRUE(ours.catalog.Begin({}, request).ok());
  const std::vector<uint8_t> bytes(1000, 1);
  const auto pack = base::DrawId<base::PackId>(base::SystemRandom());
  ASSERT_TRUE(ours.sink.Put({}, pack, bytes, codec::Crc32c(bytes)).ok());
  for (int hour = 0; hour < 80; ++hour) {
    bucket.clock.Advance(absl::Hours(1));
    ASSERT_TRUE(ours.catalog.Heartbeat({}, request.save).ok());
    if (hour % 20 == 0) {
      ASSERT_TRUE(other.Collect().ok());
    }
  }
  EXPECT_EQ(bucket.Keys(kPacks).size(), 1u);
  ASSERT_TRUE(ours.catalog.Abort({}, request.save).ok());
  bucket.clock.Advance(kDay);
  const auto collected = other.Collect(/*dry_run=*/true);
  ASSERT_TRUE(collected.ok());
  EXPECT_EQ(collected->packs, 1u);
  EXPECT_EQ(collected->pack_bytes, 1000u);
  EXPECT_EQ(bucket.Keys(kPacks).size(), 1u);
  ASSERT_TRUE(other.Collect().ok());
  EXPECT_THAT(bucket.Keys(), testing::ElementsAre("cedana/repository"));
}

TEST(DirectFaultLoop, ThrottlingSlowsDownInsteadOfFailing) {
  Bucket bucket;
  Daemon ours(&bucket);
  // Whatever is written is refused twice first, the decision too.
  constexpr const char* kKinds[] = {"cedana/repository", kIntents, kClaims, kPacks, kIndex,
                                    kDecisions};
  for (const char* kind : kKinds) {
    ours.faults.Add(
        {.operation = objstore::Operation::kPut,
         .prefix = kind,
         .times = 2,
         .fail = base::WithRetryAfter(absl::UnavailableError("slow down"), absl::Milliseconds(5))});
  }
  const auto saved = ours.Save("one", NewBytes());
  ASSERT_TRUE(saved.ok()) << saved.status();
  EXPECT_EQ(ours.faults.hits(), 2 * static_cast<int>(std::size(kKinds)));
  // Reads that are cut, or come back shorter, are asked for again.
  for (int i = 0; i < 3; ++i) {
    ours.faults.Add({.operation = objstore::Operation::kGet, .prefix = kPacks, .cut_after = 10});
    ours.faults.Add({.operation = objstore::Operation::kGet,
                     .prefix = kPacks,
                     .cut_after = 10,
                     .cut_status = absl::OkStatus()});
    const auto loaded = ours.Load("one");
    EXPECT_TRUE(loaded.ok() && *loaded == NewBytes()) << loaded.status();
    ours.faults.Clear();
  }
}

}  // namespace
}  // namespace cedana::direct
