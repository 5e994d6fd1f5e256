// How a save ends, and stays ended: commits, aborts, fences and deletions that come late, twice or
// after the other side has collected.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cedana/direct/decisions.h"
#include "cedana/direct/direct_catalog.h"
#include "cedana/direct/testing/bucket.h"
#include "core/codec/crc32c.h"
#include "core/format/bytes.h"
#include "core/format/manifest.h"

namespace cedana::direct {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using transfer::SaveOutcome;
using Names = std::vector<std::string>;

// The answer to a commit is lost, and its daemon stands still for days. Meanwhile the checkpoint is
// deleted and collected. Then the commit is sent again.
TEST(SaveEnd, ACommitRepeatedAfterDaysDoesNotBringBackWhatWasCollected) {
  Bucket bucket;
  Daemon ours(&bucket, OneTry());
  Daemon other(&bucket);
  const auto request = NewSave("name");
  ASSERT_TRUE(ours.catalog.Begin({}, request).ok());
  ours.faults.Add(
      {.operation = objstore::Operation::kPut, .prefix = kDecisions, .lose_reply = true});
  EXPECT_TRUE(absl::IsUnknown(ours.catalog.Commit({}, CommitOf(request, "name")).status()));
  ASSERT_TRUE(other.catalog.Delete({}, "name").ok());
  for (int round = 0; round < 3; ++round) {
    bucket.clock.Advance(kDay);
    ASSERT_TRUE(other.Collect().ok());
  }
  EXPECT_FALSE(bucket.Has(SaveKey(kDecisions, request.save)));
  // It had been committed, and is deleted: both stay true.
  EXPECT_TRUE(ours.catalog.Commit({}, CommitOf(request, "name")).ok());
  EXPECT_EQ(other.Names(), Names());
  bucket.clock.Advance(kDay);
  ASSERT_TRUE(other.Collect().ok());
  EXPECT_THAT(bucket.Keys(),
              ElementsAre(SaveKey(kDeletions, request.save).text(),
                          SaveKey(kIntents, request.save).text(), "cedana/repository"));
}

// The same, with a collection that stands still meanwhile: what it saw is days old when it removes.
TEST(SaveEnd, ASlowCollectionLeavesTheTombstoneOfAnOwnerThatDoesNotKnow) {
  bool fired = true;
  for (int step = 1; fired; ++step) {
    Bucket bucket;
    Daemon ours(&bucket, OneTry());
    Daemon other(&bucket);
    Daemon slow(&bucket);
    const auto request = NewSave("name");
    const auto begun = ours.catalog.Begin({}, request);
    ASSERT_TRUE(begun.ok());
    auto commit = CommitOf(request, "name");
    commit.manifest = *format::SealManifest({.checkpoint = request.checkpoint}, begun->keys);
    ours.faults.Add(
        {.operation = objstore::Operation::kPut, .prefix = kDecisions, .lose_reply = true});
    EXPECT_TRUE(absl::IsUnknown(ours.catalog.Commit({}, commit).status()));
    bucket.clock.Advance(kDay);
    slow.hooks.Before(step, [&] {
      ASSERT_TRUE(other.catalog.Delete({}, "name").ok());
      bucket.clock.Advance(kDay);
      ASSERT_TRUE(other.Collect().ok());
    });
    slow.Collect().IgnoreError();  // its look at the clock may have been removed
    fired = slow.hooks.fired();
    if (!fired) break;
    bucket.clock.Advance(kDay);
    ASSERT_TRUE(other.Collect().ok());
    EXPECT_TRUE(ours.catalog.Commit({}, commit).ok());
    EXPECT_EQ(other.Names(), Names()) << "step " << step;
  }
}

// A commit that is sent once the checkpoint is collected, and arrives after its owner has learnt
// that it was committed.
TEST(SaveEnd, ACommitThatWandersAboutAfterDaysDoesNotBringBackWhatWasCollected) {
  Bucket bucket;
  Daemon ours(&bucket, OneTry());
  Daemon other(&bucket);
  const auto request = NewSave("name");
  const objstore::ObjectKey decision = SaveKey(kDecisions, request.save);
  ASSERT_TRUE(ours.catalog.Begin({}, request).ok());
  ours.faults.Add(
      {.operation = objstore::Operation::kPut, .prefix = kDecisions, .lose_reply = true});
  EXPECT_TRUE(absl::IsUnknown(ours.catalog.Commit({}, CommitOf(request, "name")).status()));
  const auto sent = other.store.ReadAll({}, decision, kDecisionBytesMax);
  ASSERT_TRUE(sent.ok());
  // It has looked for a mark, and stands still before it sends the commit again.
  ours.faults.Add({.operation = objstore::Operation::kPut,
                   .prefix = kDecisions,
                   .fail = absl::UnknownError("on its way")});
  ours.catalog.Commit({}, CommitOf(request, "name")).IgnoreError();
  ASSERT_TRUE(other.catalog.Delete({}, "name").ok());
  for (int round = 0; round < 2; ++round) {
    bucket.clock.Advance(kDay);
    ASSERT_TRUE(other.Collect().ok());
  }
  EXPECT_TRUE(ours.catalog.Commit({}, CommitOf(request, "name")).ok());
  ASSERT_TRUE(other.Collect().ok());
  ASSERT_TRUE(PutOnce({}, other.store, decision, *sent).ok());  // arrives
  EXPECT_EQ(other.Names(), Names());
}

// A daemon that was cut off in its commit is started again after the checkpoint was deleted, and
// asks for its end while that is being collected, and later.
TEST(SaveEnd, AnAbortAfterDaysIsToldThatTheSaveWasCommitted) {
  bool fired = true;
  for (int step = 1; fired; ++step) {
    Bucket bucket;
    Daemon ours(&bucket, OneTry());
    Daemon other(&bucket);
    Daemon next(&bucket);
    const auto request = NewSave("name");
    ASSERT_TRUE(ours.catalog.Begin({}, request).ok());
    ours.faults.Add(
        {.operation = objstore::Operation::kPut, .prefix = kDecisions, .lose_reply = true});
    EXPECT_TRUE(absl::IsUnknown(ours.catalog.Commit({}, CommitOf(request, "name")).status()));
    ASSERT_TRUE(other.catalog.Delete({}, "name").ok());
    bucket.clock.Advance(kDay);
    ASSERT_TRUE(next.catalog.OpenedRepository({}).ok());
    next.hooks.Before(step, [&] { ASSERT_TRUE(other.Collect().ok()); });
    const absl::Status aborted = next.catalog.Abort({}, request.save);
    fired = next.hooks.fired();
    // "For now it is not known" is an answer, too; "there is no such save" is not.
    EXPECT_TRUE(absl::IsAlreadyExists(aborted) || absl::IsUnavailable(aborted))
        << "step " << step << ": " << aborted;
    for (int round = 0; round < 3; ++round) {
      EXPECT_EQ(*next.catalog.Outcome({}, request.save), SaveOutcome::kCommitted);
      EXPECT_EQ(*ours.catalog.Outcome({}, request.save), SaveOutcome::kCommitted);
      EXPECT_TRUE(absl::IsAlreadyExists(next.catalog.Abort({}, request.save)));
      bucket.clock.Advance(kDay);
      ASSERT_TRUE(other.Collect().ok());
    }
    EXPECT_TRUE(ours.catalog.Commit({}, CommitOf(request, "name")).ok());
    EXPECT_EQ(other.Names(), Names());
  }
}

// The owner of a deleted checkpoint does not know that it was committed. While that is collected
// somebody who wants the name finds no decision, and fences the save; a collection that began when
// the mark was not yet old takes the fence for all there ever was; and the removal of the decision,
// made twice, meets the fence.
TEST(SaveEnd, ATombstoneStaysThoughItsSaveWasFencedInBetween) {
  bool fired = true;
  for (int step = 1; fired; ++step) {
    Bucket bucket;
    Daemon ours(&bucket, OneTry());
    Daemon other(&bucket);
    Daemon early(&bucket);
    Daemon wants(&bucket);
    const auto request = NewSave("name");
    const auto begun = ours.catalog.Begin({}, request);
    ASSERT_TRUE(begun.ok()) << begun.status();
    auto commit = CommitOf(request, "name");
    commit.manifest = *format::SealManifest({.checkpoint = request.checkpoint}, begun->keys);
    ours.faults.Add(
        {.operation = objstore::Operation::kPut, .prefix = kDecisions, .lose_reply = true});
    EXPECT_TRUE(absl::IsUnknown(ours.catalog.Commit({}, commit).status()));
    bucket.clock.Advance(kDay);
    ASSERT_TRUE(other.catalog.Delete({}, "name").ok());
    bucket.clock.Advance(absl::Hours(23));
    ASSERT_TRUE(early.catalog.OpenedRepository({}).ok());
    early.hooks.Before(4, [&] {  // it has looked at the clock
      bucket.clock.Advance(absl::Hours(2));
      wants.hooks.Before(step, [&] { EXPECT_TRUE(other.Collect().ok()); });
      wants.catalog.Begin({}, NewSave("name")).status().IgnoreError();
      fired = wants.hooks.fired();
    });
    EXPECT_TRUE(early.Collect().ok());
    EXPECT_TRUE(other.Collect().ok());
    ASSERT_TRUE(bucket.memory.Delete({}, SaveKey(kDecisions, request.save)).ok());  // once more
    ours.catalog.Commit({}, commit).status().IgnoreError();
    EXPECT_EQ(other.Names(), Names()) << "step " << step;
  }
}

// A commit is on its way while its save is aborted, as when a dump is cancelled by another thread,
// or its time is up. Somebody takes the name, and somebody collects, before it arrives: the
// decision `aborted` has to be there still (docs/format/direct.md, "Collection"). Once with signs
// of life that are young, once with old ones.
TEST(SaveEnd, ACommitThatArrivesAfterItsAbortFindsItWhoeverCollectedMeanwhile) {
  for (const absl::Duration age : {absl::Minutes(1), kDay}) {
    bool fired = true;
    for (int step = 1; fired; ++step) {
      Bucket bucket;
      Daemon ours(&bucket, OneTry());
      Daemon other(&bucket);
      const auto request = NewSave("name");
      const auto begun = ours.catalog.Begin({}, request);
      ASSERT_TRUE(begun.ok()) << begun.status();
      auto commit = CommitOf(request, "name");
      commit.manifest = *format::SealManifest({.checkpoint = request.checkpoint}, begun->keys);
      bucket.clock.Advance(age);
      absl::Status aborted = absl::UnknownError("not asked for");
      ours.hooks.Before(step, [&] {
        aborted = ours.catalog.Abort({}, request.save);
        if (!aborted.ok()) return;  // the commit was there before
        EXPECT_TRUE(other.Save("name", "theirs").ok());
        for (int round = 0; round < 2; ++round) {  // for as long as a request may be under way
          EXPECT_TRUE(other.Collect().ok());
          bucket.clock.Advance(absl::Minutes(7));
        }
      });
      const absl::Status committed = ours.catalog.Commit({}, commit).status();
      fired = ours.hooks.fired();
      // One of the two is true, and stays so.
      EXPECT_NE(committed.ok(), aborted.ok()) << "step " << step << ": " << committed;
      EXPECT_EQ(other.Names(), Names{"name"}) << "step " << step;
      if (aborted.ok()) {
        EXPECT_EQ(other.Load("name").value_or("not theirs"), "theirs") << "step " << step;
      }
    }
  }
}

// A beat that was on its way when its save was aborted arrives a little later. While it is young
// the decision stays, though that is old: a beat alone is that of a save that seems undecided,
// which the next collection would fence, for ever.
TEST(SaveEnd, AnAbortedSaveGoesWithItsLastBeatAndLeavesNothing) {
  Bucket bucket;
  Daemon a(&bucket);
  const auto request = NewSave("name");
  const objstore::ObjectKey key = SaveKey(kBeats, request.save);
  ASSERT_TRUE(a.catalog.Begin({}, request).ok());
  ASSERT_TRUE(a.catalog.Heartbeat({}, request.save).ok());
  const auto beat = a.store.ReadAll({}, key, kRecordBytesMax);
  ASSERT_TRUE(beat.ok()) << beat.status();
  ASSERT_TRUE(a.catalog.Abort({}, request.save).ok());
  bucket.clock.Advance(absl::Minutes(10));
  ASSERT_TRUE(bucket.memory.Put({}, key, format::AsBytes(*beat), {.create_only = false}).ok());
  bucket.clock.Advance(kDay - absl::Minutes(5));
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(a.Collect().ok());
    bucket.clock.Advance(kDay);
  }
  EXPECT_THAT(bucket.Keys(), ElementsAre("cedana/repository"));
}

// A save that gave no sign of life for a day commits while a collection is about to fence it.
TEST(SaveEnd, ACommitThatIsFasterThanItsFenceIsKept) {
  bool fired = true;
  for (int step = 1; fired; ++step) {
    Bucket bucket;
    Daemon ours(&bucket);
    Daemon other(&bucket);
    const auto request = NewSave("name");
    const auto begun = ours.catalog.Begin({}, request);
    ASSERT_TRUE(begun.ok()) << begun.status();
    const auto pack = base::DrawId<base::PackId>(base::SystemRandom());
    const std::string bytes = "a pack";
    const uint32_t crc32c = codec::Crc32c(format::AsBytes(bytes));
    ASSERT_TRUE(ours.sink.Put({}, pack, format::AsBytes(bytes), crc32c).ok());
    format::Manifest manifest;
    manifest.checkpoint = request.checkpoint;
    manifest.tail_packs.push_back({pack, 1, static_cast<uint32_t>(bytes.size()), crc32c});
    auto commit = CommitOf(request, "name");
    commit.manifest = *format::SealManifest(manifest, begun->keys);
    bucket.clock.Advance(kDay);
    ASSERT_TRUE(other.catalog.OpenedRepository({}).ok());
    bool committed = false;
    other.hooks.Before(step, [&] { committed = ours.catalog.Commit({}, commit).ok(); });
    EXPECT_TRUE(other.Collect().ok());
    fired = other.hooks.fired();
    if (!committed) continue;
    EXPECT_EQ(other.Names(), Names{"name"}) << "step " << step;
    const auto lease = base::DrawId<base::LeaseId>(base::SystemRandom());
    EXPECT_TRUE(other.catalog.Open({}, "name", lease).ok()) << "step " << step;
    EXPECT_TRUE(bucket.Has(PackKey(pack))) << "step " << step;
  }
}

}  // namespace
}  // namespace cedana::direct
