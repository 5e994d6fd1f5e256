#include "storage/metadata/collection.h"

#include <gtest/gtest.h>

#include <atomic>

#include "core/base/thread.h"
#include "storage/metadata/errors.h"
#include "storage/metadata/testing/fake_catalog.h"

namespace cedana::metadata {
namespace {

constexpr absl::Duration kGrace = absl::Hours(1);

class CollectionTest : public CatalogTest {
 protected:
  Collection& catalog() { return metadata_->collection(); }
  void ForgetHidden() {
    const auto hidden = catalog().HiddenCheckpoints(100);
    for (const OwnedCheckpoint& gone : *hidden) {
      ASSERT_TRUE(catalog().Forget(gone.organisation, gone.row.id).ok());
    }
  }
  // Commits `path` referring to an older pack.
  absl::Status Refer(const std::string& path, const base::PackId& pack) {
    const NewSave save = Want(path);
    const auto begun = metadata_->saves().Begin(org_, save);
    if (!begun.ok()) return begun.status();
    return metadata_->saves().Commit(org_, ToCommit(save, path, {OldPack(pack)})).status();
  }
};

TEST_F(CollectionTest, AnUnreachablePackGoesInTwoSteps) {
  const CommittedPack gone = OwnPack();
  const CommittedPack shared = OwnPack();
  Save("a", {gone, shared});
  ASSERT_TRUE(Refer("b", shared.id).ok());
  EXPECT_EQ(*catalog().Condemn(), 0u);
  ASSERT_TRUE(metadata_->checkpoints().Hide(org_, "a").ok());
  EXPECT_EQ(*catalog().Condemn(), 1u);
  EXPECT_EQ(*catalog().Condemn(), 0u);
  EXPECT_EQ(*catalog().Doom(kGrace), 0u);
  clock_.Advance(kGrace);
  EXPECT_EQ(*catalog().Doom(kGrace), 1u);
  const auto doomed = catalog().Doomed(10);
  ASSERT_EQ(doomed->size(), 1u);
  EXPECT_EQ((*doomed)[0].places.id, gone.id);
  ASSERT_TRUE(catalog().ForgetPacks(*doomed).ok());
  EXPECT_EQ(catalog().Doomed(10)->size(), 0u);
  EXPECT_TRUE(IsParentGone(Refer("c", gone.id)));
}

TEST_F(CollectionTest, ACommitFreesACondemnedPackAndFailsOnADeletingOne) {
  const CommittedPack pack = OwnPack();
  Save("a", {pack});
  ASSERT_TRUE(metadata_->checkpoints().Hide(org_, "a").ok());
  ASSERT_EQ(*catalog().Condemn(), 1u);
  clock_.Advance(kGrace);
  ASSERT_TRUE(Refer("b", pack.id).ok());
  EXPECT_EQ(*catalog().Doom(kGrace), 0u);
  ASSERT_TRUE(metadata_->checkpoints().Hide(org_, "b").ok());
  ASSERT_EQ(*catalog().Condemn(), 1u);
  clock_.Advance(kGrace);
  ASSERT_EQ(*catalog().Doom(kGrace), 1u);
  EXPECT_TRUE(IsParentGone(Refer("c", pack.id)));
}

TEST_F(CollectionTest, OfACommitAndACollectionThatRaceExactlyOneWins) {
  for (int round = 0; round < 50; ++round) {
    const CommittedPack pack = OwnPack();
    const std::string path = absl::StrCat("a", round);
    Save(path, {pack});
    ASSERT_TRUE(metadata_->checkpoints().Hide(org_, path).ok());
    ForgetHidden();
    ASSERT_EQ(*catalog().Condemn(), 1u);
    clock_.Advance(kGrace);
    absl::Status committed;
    uint64_t doomed = 0;
    {
      base::Thread commit("commit", [&] { committed = Refer(absl::StrCat("b", round), pack.id); });
      base::Thread doom("doom", [&] { doomed = *catalog().Doom(kGrace); });
    }
    EXPECT_EQ(committed.ok(), doomed == 0) << committed;
    EXPECT_TRUE(committed.ok() || IsParentGone(committed)) << committed;
    ASSERT_TRUE(catalog().ForgetPacks(*catalog().Doomed(10)).ok());
  }
}

TEST_F(CollectionTest, AHoldProtectsAHiddenCheckpointAndItsPacks) {
  Save("a", {OwnPack()});
  const auto lease = Draw<base::LeaseId>();
  ASSERT_TRUE(metadata_->checkpoints().Hold(org_, "a", lease).ok());
  ASSERT_TRUE(metadata_->checkpoints().Hide(org_, "a").ok());
  EXPECT_EQ(catalog().HiddenCheckpoints(10)->size(), 0u);
  EXPECT_EQ(*catalog().Condemn(), 0u);
  clock_.Advance(absl::Seconds(60));  // the hold's lease
  EXPECT_EQ(catalog().HiddenCheckpoints(10)->size(), 1u);
  EXPECT_EQ(*catalog().Condemn(), 1u);
}

TEST_F(CollectionTest, ADeadSaveIsSweptOnceItsLastGrantHasEndedAndOnceMore) {
  const NewSave save = Want("a");
  ASSERT_TRUE(metadata_->saves().Begin(org_, save).ok());
  clock_.Advance(absl::Seconds(59));
  EXPECT_EQ(catalog().DeadSaves(10)->size(), 0u);
  EXPECT_TRUE(metadata_->saves().Find(org_, save.id)->lease_live);
  clock_.Advance(absl::Seconds(1));  // the lease has ended
  EXPECT_EQ(catalog().DeadSaves(10)->size(), 0u);
  EXPECT_EQ(metadata_->saves().Find(org_, save.id)->state, SaveState::kAborted);
  clock_.Advance(absl::Seconds(100));  // a grant of its last moment as well
  ASSERT_EQ(catalog().DeadSaves(10)->size(), 1u);
  ASSERT_TRUE(catalog().Swept(save.id, absl::Hours(24)).ok());
  EXPECT_EQ(catalog().DeadSaves(10)->size(), 0u);
  clock_.Advance(absl::Hours(24));
  ASSERT_EQ(catalog().DeadSaves(10)->size(), 1u);
  ASSERT_TRUE(catalog().Swept(save.id, absl::Hours(24)).ok());
  clock_.Advance(absl::Hours(48));
  EXPECT_EQ(catalog().DeadSaves(10)->size(), 0u);
  ASSERT_TRUE(catalog().DropOldRows(absl::Hours(1)).ok());
  EXPECT_EQ(metadata_->saves().Find(org_, save.id)->state, SaveState::kUnknown);
}

TEST_F(CollectionTest, ACommittedSaveKeepsWhatItsCheckpointRefersTo) {
  const CommittedPack pack = OwnPack();
  const Checkpoint row = Save("a", {pack});
  clock_.Advance(absl::Seconds(100));
  ASSERT_EQ(catalog().DeadSaves(10)->size(), 1u);
  const auto known = catalog().KnownOf(row.save);
  EXPECT_TRUE(known->packs.contains(pack.id));
  EXPECT_TRUE(known->manifests.contains(row.id));
}

TEST_F(CollectionTest, CommitRecordsAreQueuedWithTheCommit) {
  const Checkpoint row = Save("a", {});
  Save("b", {});
  ASSERT_EQ(catalog().PendingRecords(10)->size(), 2u);
  EXPECT_EQ((*catalog().PendingRecords(10))[0].row.id, row.id);
  ASSERT_TRUE(catalog().RecordWritten(row.sequence).ok());
  EXPECT_EQ(catalog().PendingRecords(10)->size(), 1u);
  // Deleted before its record was written: the record will not be.
  ASSERT_TRUE(metadata_->checkpoints().Hide(org_, "b").ok());
  ForgetHidden();
  EXPECT_EQ(catalog().PendingRecords(10)->size(), 0u);
}

}  // namespace
}  // namespace cedana::metadata
