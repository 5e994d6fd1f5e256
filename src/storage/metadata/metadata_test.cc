#include "storage/metadata/metadata.h"

#include <gtest/gtest.h>

#include <atomic>

#include "core/base/thread.h"
#include "storage/metadata/errors.h"
#include "storage/metadata/testing/fake_catalog.h"
#include "storage/metadata/tokens.h"

namespace cedana::metadata {
namespace {

using SavesTest = CatalogTest;
using CheckpointsTest = CatalogTest;
using TokensTest = CatalogTest;

TEST_F(SavesTest, CommitMakesVisibleAndEveryCallCanBeRepeated) {
  const NewSave save = Want("a/b");
  const auto begun = metadata_->saves().Begin(org_, save);
  ASSERT_TRUE(begun.ok()) << begun.status();
  EXPECT_EQ(begun->path, "a/b");
  EXPECT_EQ(metadata_->saves().Begin(org_, save)->fencing, begun->fencing);
  EXPECT_TRUE(absl::IsNotFound(metadata_->checkpoints().Find(org_, "a/b").status()));

  const NewCheckpoint wanted = ToCommit(save, "a/b", {OwnPack()});
  const auto committed = metadata_->saves().Commit(org_, wanted);
  ASSERT_TRUE(committed.ok()) << committed.status();
  EXPECT_EQ(committed->sequence, 1u);
  clock_.Advance(absl::Hours(1));
  const auto again = metadata_->saves().Commit(org_, wanted);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->sequence, committed->sequence);
  EXPECT_EQ(again->created_ms, committed->created_ms);
  EXPECT_EQ(metadata_->checkpoints().Find(org_, "a/b")->id, save.checkpoint);

  EXPECT_TRUE(absl::IsAlreadyExists(metadata_->saves().Abort(org_, save.id)));
  EXPECT_TRUE(absl::IsAlreadyExists(metadata_->saves().Begin(org_, save).status()));
  EXPECT_TRUE(absl::IsAlreadyExists(metadata_->saves().Renew(org_, save.id).status()));
  EXPECT_EQ(metadata_->saves().Find(org_, save.id)->state, SaveState::kCommitted);
}

TEST_F(SavesTest, AbortIsFinalAndAlsoForAnIdNeverSeen) {
  const NewSave save = Want("a");
  ASSERT_TRUE(metadata_->saves().Begin(org_, save).ok());
  ASSERT_TRUE(metadata_->saves().Abort(org_, save.id).ok());
  ASSERT_TRUE(metadata_->saves().Abort(org_, save.id).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(
      metadata_->saves().Commit(org_, ToCommit(save, "a", {})).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(metadata_->saves().Begin(org_, save).status()));

  const NewSave late = Want("b");
  ASSERT_TRUE(metadata_->saves().Abort(org_, late.id).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(metadata_->saves().Begin(org_, late).status()));
  EXPECT_EQ(metadata_->saves().Find(org_, Draw<base::SaveId>())->state, SaveState::kUnknown);
}

TEST_F(SavesTest, ALeaseThatHasEndedCannotCommitOrBeRevived) {
  const NewSave save = Want("a");
  ASSERT_TRUE(metadata_->saves().Begin(org_, save).ok());
  clock_.Advance(absl::Seconds(59));
  ASSERT_TRUE(metadata_->saves().Renew(org_, save.id).ok());
  clock_.Advance(absl::Seconds(59));
  EXPECT_TRUE(metadata_->saves().Find(org_, save.id)->lease_live);
  clock_.Advance(absl::Seconds(1));
  EXPECT_FALSE(metadata_->saves().Find(org_, save.id)->lease_live);
  EXPECT_TRUE(absl::IsFailedPrecondition(metadata_->saves().Renew(org_, save.id).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(
      metadata_->saves().Commit(org_, ToCommit(save, "a", {})).status()));
}

TEST_F(SavesTest, APathIsTakenByACheckpointAndByALivingSave) {
  const NewSave first = Want("a");
  ASSERT_TRUE(metadata_->saves().Begin(org_, first).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(metadata_->saves().Begin(org_, Want("a")).status()));
  EXPECT_EQ(metadata_->saves().Begin(org_, Want("a", true))->path, "a-2");
  EXPECT_EQ(metadata_->saves().Begin(org_, Want("a", true))->path, "a-3");
  EXPECT_TRUE(metadata_->saves().Begin(other_, Want("a")).ok());
  clock_.Advance(absl::Seconds(61));
  // Dead: its path is free again.
  EXPECT_EQ(metadata_->saves().Begin(org_, Want("a", true))->path, "a");
  clock_.Advance(absl::Seconds(61));
  Save("a", {});
  EXPECT_TRUE(absl::IsAlreadyExists(metadata_->saves().Begin(org_, Want("a")).status()));
  EXPECT_EQ(metadata_->saves().Begin(org_, Want("a", true))->path, "a-2");
  ASSERT_TRUE(metadata_->checkpoints().Hide(org_, "a").ok());
  EXPECT_TRUE(metadata_->saves().Begin(org_, Want("a")).ok());
}

TEST_F(SavesTest, OfACommitAndAnAbortThatRaceExactlyOneWins) {
  int commits = 0;
  for (int round = 0; round < 50; ++round) {
    const NewSave save = Want(absl::StrCat("race-", round));
    ASSERT_TRUE(metadata_->saves().Begin(org_, save).ok());
    std::atomic<bool> go{false};
    std::atomic<int> committed{0};
    std::atomic<int> aborted{0};
    std::vector<base::Thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back("race", [&, i] {
        while (!go) {
        }
        if (i % 2 == 0) {
          committed += metadata_->saves().Commit(org_, ToCommit(save, save.path, {})).ok() ? 1 : 0;
        } else {
          aborted += metadata_->saves().Abort(org_, save.id).ok() ? 1 : 0;
        }
      });
    }
    go = true;
    threads.clear();
    // Repeats give the winner's answer, the others are refused.
    EXPECT_EQ(committed + aborted, 2);
    EXPECT_TRUE(committed == 0 || aborted == 0);
    EXPECT_EQ(metadata_->checkpoints().Find(org_, save.path).ok(), committed == 2);
    commits += committed == 2 ? 1 : 0;
  }
  RecordProperty("commits", commits);
}

TEST_F(SavesTest, ManyWritersShareTransactionsAndNoneIsLost) {
  std::atomic<int> begun{0};
  {
    std::vector<base::Thread> threads;
    for (int i = 0; i < 16; ++i) {
      threads.emplace_back("write", [&, i] {
        for (int n = 0; n < 20; ++n) {
          begun += metadata_->saves().Begin(org_, Want(absl::StrCat(i, "/", n))).ok() ? 1 : 0;
          // Fails inside the shared transaction and undoes only itself.
          EXPECT_FALSE(metadata_->saves().Begin(org_, Want(absl::StrCat(i, "/", n))).ok());
        }
      });
    }
  }
  EXPECT_EQ(begun, 320);
}

TEST_F(SavesTest, ASaveOfAnotherOrganisationDoesNotExist) {
  const NewSave save = Want("a");
  ASSERT_TRUE(metadata_->saves().Begin(org_, save).ok());
  EXPECT_TRUE(absl::IsNotFound(metadata_->saves().Begin(other_, save).status()));
  EXPECT_TRUE(absl::IsNotFound(metadata_->saves().Renew(other_, save.id).status()));
  EXPECT_TRUE(absl::IsNotFound(metadata_->saves().Abort(other_, save.id)));
  EXPECT_TRUE(
      absl::IsNotFound(metadata_->saves().Commit(other_, ToCommit(save, "a", {})).status()));
  EXPECT_EQ(metadata_->saves().Find(other_, save.id)->state, SaveState::kUnknown);
}

TEST_F(SavesTest, PacksOfOthersAndUnknownOnesAreRefused) {
  const CommittedPack pack = OwnPack();
  Save("a", {pack});
  const NewSave foreign = Want("b");
  ASSERT_TRUE(metadata_->saves().Begin(other_, foreign).ok());
  EXPECT_TRUE(IsParentGone(
      metadata_->saves().Commit(other_, ToCommit(foreign, "b", {OldPack(pack.id)})).status()));
  const NewSave mine = Want("b");
  ASSERT_TRUE(metadata_->saves().Begin(org_, mine).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(
      metadata_->saves().Commit(org_, ToCommit(mine, "b", {pack})).status()));
  const CommittedPack fresh = OwnPack();
  EXPECT_TRUE(absl::IsInvalidArgument(
      metadata_->saves().Commit(org_, ToCommit(mine, "b", {fresh, fresh})).status()));
  EXPECT_TRUE(metadata_->saves().Commit(org_, ToCommit(mine, "b", {fresh, OldPack(pack.id)})).ok());
}

TEST_F(CheckpointsTest, ListsNewestFirstByFolderJobAndPage) {
  for (int i = 0; i < 25; ++i) {
    const NewSave save = Want(absl::StrCat("dir/c", i));
    ASSERT_TRUE(metadata_->saves().Begin(org_, save).ok());
    NewCheckpoint wanted = ToCommit(save, save.path, {});
    wanted.row.job_id = absl::StrCat("job", i % 3);
    wanted.row.job_name = i % 3 == 0 ? "zero" : "other";
    ASSERT_TRUE(metadata_->saves().Commit(org_, wanted).ok());
  }
  Save("dir-2/x", {});
  Save("dir", {});
  EXPECT_EQ(metadata_->checkpoints().List(org_, {})->size(), 27u);
  EXPECT_EQ(metadata_->checkpoints().List(other_, {})->size(), 0u);
  EXPECT_EQ(metadata_->checkpoints().List(org_, {.prefix = "dir"})->size(), 26u);
  EXPECT_EQ(metadata_->checkpoints().List(org_, {.job_name = "zero"})->size(), 9u);
  EXPECT_EQ(metadata_->checkpoints().List(org_, {.job_id = "job1"})->size(), 8u);
  const auto newest = metadata_->checkpoints().List(org_, {.newest_per_job = true});
  ASSERT_EQ(newest->size(), 3u);
  EXPECT_EQ((*newest)[0].path, "dir/c24");
  uint64_t before = 0;
  size_t seen = 0;
  while (true) {
    const auto page = metadata_->checkpoints().List(org_, {.before_sequence = before, .limit = 10});
    ASSERT_TRUE(page.ok());
    if (page->empty()) break;
    seen += page->size();
    before = page->back().sequence;
  }
  EXPECT_EQ(seen, 27u);
  EXPECT_EQ(metadata_->checkpoints().Names(org_, "dir")->size(), 25u);
  EXPECT_EQ(metadata_->checkpoints().Names(org_, "")->size(), 27u);
}

TEST_F(CheckpointsTest, AHoldGivesItsPacksUntilItEnds) {
  const CommittedPack pack = OwnPack();
  const CommittedPack elsewhere = OwnPack();
  Save("a", {pack});
  Save("b", {elsewhere});
  const auto lease = Draw<base::LeaseId>();
  ASSERT_TRUE(metadata_->checkpoints().Hold(org_, "a", lease).ok());
  ASSERT_TRUE(metadata_->checkpoints().Hold(org_, "a", lease).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(metadata_->checkpoints().Hold(org_, "b", lease).status()));
  const auto places = metadata_->checkpoints().HeldPacks(org_, lease, {pack.id});
  ASSERT_TRUE(places.ok()) << places.status();
  EXPECT_EQ((*places)[0].providers, std::vector<std::string>{"local"});
  EXPECT_TRUE(
      absl::IsNotFound(metadata_->checkpoints().HeldPacks(org_, lease, {elsewhere.id}).status()));
  EXPECT_TRUE(
      absl::IsNotFound(metadata_->checkpoints().HeldPacks(other_, lease, {pack.id}).status()));
  EXPECT_TRUE(absl::IsNotFound(metadata_->checkpoints().RenewHold(other_, lease)));
  // Hidden, but held: the same open still has the same answer.
  ASSERT_TRUE(metadata_->checkpoints().Hide(org_, "a").ok());
  EXPECT_TRUE(metadata_->checkpoints().Hold(org_, "a", lease).ok());
  EXPECT_TRUE(
      absl::IsNotFound(metadata_->checkpoints().Hold(org_, "a", Draw<base::LeaseId>()).status()));
  clock_.Advance(absl::Seconds(60));
  EXPECT_TRUE(absl::IsFailedPrecondition(metadata_->checkpoints().RenewHold(org_, lease)));
  EXPECT_TRUE(absl::IsFailedPrecondition(
      metadata_->checkpoints().HeldPacks(org_, lease, {pack.id}).status()));
  EXPECT_TRUE(metadata_->checkpoints().Release(org_, lease).ok());
  EXPECT_TRUE(metadata_->checkpoints().Release(org_, lease).ok());
}

TEST_F(CheckpointsTest, SurviveReopening) {
  Save("a", {OwnPack()});
  metadata_.reset();
  metadata_ = *Metadata::Open(folder_ / "catalog.db", {.clock = &clock_});
  EXPECT_TRUE(metadata_->checkpoints().Find(org_, "a").ok());
}

TEST_F(TokensTest, OnlyTheWholeTokenIsGoodAndOnlyUntilRevoked) {
  const DrawnToken drawn = DrawToken(base::SystemRandom(), org_);
  ASSERT_TRUE(metadata_->identities().AddToken(drawn.row).ok());
  EXPECT_EQ(Authenticate(metadata_->identities(), drawn.text)->organisation, org_);
  std::string wrong = drawn.text;
  wrong.back() = wrong.back() == '0' ? '1' : '0';
  const std::string kBad[] = {"",           "cdn_",
                              wrong,        drawn.text + "0",
                              drawn.row.id, drawn.text.substr(0, drawn.text.size() - 1)};
  for (const std::string& text : kBad) {
    EXPECT_TRUE(absl::IsUnauthenticated(Authenticate(metadata_->identities(), text).status()));
  }
  EXPECT_EQ(metadata_->identities().Tokens("one")->size(), 1u);
  EXPECT_EQ(metadata_->identities().Tokens("two")->size(), 0u);
  ASSERT_TRUE(metadata_->identities().RevokeToken(drawn.row.id).ok());
  ASSERT_TRUE(metadata_->identities().RevokeToken(drawn.row.id).ok());
  EXPECT_TRUE(absl::IsUnauthenticated(Authenticate(metadata_->identities(), drawn.text).status()));
  EXPECT_TRUE(absl::IsNotFound(metadata_->identities().RevokeToken("nope")));
  EXPECT_TRUE(absl::IsAlreadyExists(
      metadata_->identities().AddOrganisation({Draw<base::OrgId>(), "one", "w"})));
}

TEST_F(CatalogTest, AFileIsReplacedByTheCommitThatComesLast) {
  const Checkpoint first = Save("/a/x.tar", {OwnPack()});
  const NewSave second = Want("/a/x.tar");
  const NewSave third = Want("/a/x.tar");
  ASSERT_TRUE(metadata_->saves().Begin(org_, second).ok());
  ASSERT_TRUE(metadata_->saves().Begin(org_, third).ok());
  EXPECT_EQ(metadata_->checkpoints().Find(org_, "/a/x.tar")->id, first.id);
  for (const NewSave& save : {third, second}) {
    const auto committed = metadata_->saves().Commit(org_, ToCommit(save, "/a/x.tar", {OwnPack()}));
    ASSERT_TRUE(committed.ok()) << committed.status();
    EXPECT_EQ(metadata_->checkpoints().Find(org_, "/a/x.tar")->id, save.checkpoint);
  }
  const auto hidden = metadata_->collection().HiddenCheckpoints(10);
  ASSERT_EQ(hidden->size(), 2u);
  // A checkpoint beside it has another path; both are there once.
  Save("a/x", {OwnPack()});
  const auto names = metadata_->checkpoints().Names(org_, "a");
  ASSERT_EQ(names->size(), 2u);
  EXPECT_EQ((*names)[0].path, "/a/x.tar");
  EXPECT_EQ((*names)[1].path, "a/x");
  EXPECT_EQ(metadata_->checkpoints().Names(org_, "")->size(), 2u);
  const auto listed = metadata_->checkpoints().List(org_, {});
  ASSERT_EQ(listed->size(), 1u);
  EXPECT_EQ((*listed)[0].path, "a/x");
  ASSERT_TRUE(metadata_->checkpoints().Hide(org_, "/a/x.tar").ok());
  EXPECT_TRUE(absl::IsNotFound(metadata_->checkpoints().Find(org_, "/a/x.tar").status()));
}

}  // namespace
}  // namespace cedana::metadata
