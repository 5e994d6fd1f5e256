// The catalog is put back from a backup: what was committed since is not in it, and must not be
// deleted as if nobody had ever wanted it.
#include "storage/replica/lost_commits.h"

#include <gtest/gtest.h>

#include "core/sqlite/database.h"
#include "storage/replica/collector.h"
#include "storage/replica/prober.h"
#include "storage/replica/scrub.h"
#include "storage/replica/testing/test_vault.h"

namespace cedana::replica {
namespace {

class LostCommitsTest : public ::testing::Test {
 protected:
  LostCommitsTest() : test_(3), catalog_(&test_.vault, test_.organisation) {}

  std::string File(const std::string& name) const { return test_.folder / name; }
  void Backup() {
    auto database = *sqlite::Database::Open(File("catalog.db"));
    ASSERT_TRUE(database->Execute(absl::StrCat("VACUUM INTO '", File("backup"), "'").c_str()).ok());
  }
  // As docs/operating.md says it; the service starts anew.
  void Restore() {
    test_.metadata.reset();
    for (const char* name : {"catalog.db", "catalog.db-wal", "catalog.db-shm"}) {
      std::filesystem::remove(File(name));
    }
    std::filesystem::copy_file(File("backup"), File("catalog.db"));
    Open();
  }
  void Open() {
    test_.metadata.reset();
    test_.metadata =
        *metadata::Metadata::Open(File("catalog.db"), {.clock = &test_.clock,
                                                       .lease = test_.vault.times.lease,
                                                       .grant = test_.vault.times.grant});
    test_.vault.metadata = test_.metadata.get();
    for (const ProviderPtr& provider : test_.providers.All()) {
      const Provider same = *provider;
      test_.providers.Remove(same.name);
      test_.providers.Put(same);
    }
  }
  void Collect() {
    Collector collector(&test_.vault);
    const auto counts = collector.Round({});
    EXPECT_TRUE(counts.ok()) << counts.status();
  }
  ScrubCounts Scrub(size_t provider) {
    const auto counts =
        ScrubProvider({}, test_.vault, *test_.providers.Find(absl::StrCat("p", provider)), {});
    EXPECT_TRUE(counts.ok()) << counts.status();
    return counts.value_or(ScrubCounts());
  }
  // Everything that could delete something does so.
  void MuchLater() {
    for (int day = 0; day < 4; ++day) {
      test_.clock.Advance(absl::Hours(25));
      Collect();
      for (size_t i = 0; i < 3; ++i) Scrub(i);
    }
  }

  TestVault test_;
  OrgCatalog catalog_;
};

TEST_F(LostCommitsTest, WhatWasCommittedSinceTheBackupIsKept) {
  ASSERT_TRUE(test_.Save(catalog_, "old").ok());
  // One is begun before the backup and commits after it, one is begun and commits after it.
  transfer::CommitRequest open;
  open.save = base::DrawId<base::SaveId>(base::SystemRandom());
  open.checkpoint = base::DrawId<base::CheckpointId>(base::SystemRandom());
  open.path = "open";
  open.manifest = "manifest";
  ASSERT_TRUE(catalog_.Begin({}, {open.save, open.checkpoint, "open", false}).ok());
  open.packs = {test_.StorePack(open.save)};
  Collect();
  Backup();
  const auto committed = catalog_.Commit({}, open);
  ASSERT_TRUE(committed.ok()) << committed.status();
  const auto newest = test_.Save(catalog_, "new");
  ASSERT_TRUE(newest.ok());
  // What nobody committed is a stray as ever.
  const auto stray = base::DrawId<base::SaveId>(base::SystemRandom());
  test_.memories[0]
      ->Put({}, *objstore::ObjectKey::Parse(PackKey(stray, test_.last_own.id)),
            std::vector<uint8_t>(3, 1), {})
      .IgnoreError();
  Collect();
  std::vector<std::vector<std::string>> before;
  for (size_t i = 0; i < 3; ++i) before.push_back(test_.Keys(i, "s/"));
  std::erase(before[0], PackKey(stray, test_.last_own.id));

  Restore();
  CompareAllRecords({}, test_.vault);
  EXPECT_TRUE(absl::IsNotFound(catalog_.Find("new").status()));
  MuchLater();
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(test_.Keys(i, "s/"), before[i]) << i;
  EXPECT_EQ(test_.Keys(0, "c/").size(), 3u);
  const ScrubCounts counts = Scrub(0);
  EXPECT_EQ(counts.strays, 0u);
  EXPECT_EQ(counts.spared, 4u);  // a pack and a manifest of each

  // A commit after that has a record of its own.
  const auto next = test_.Save(catalog_, "next");
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_GT(next->sequence, newest->sequence);
  Collect();
  EXPECT_EQ(test_.Keys(0, "c/").size(), 4u);

  // Given up by whoever removes the records: then their objects are strays.
  for (size_t i = 0; i < 3; ++i) {
    for (const uint64_t sequence : {committed->sequence, newest->sequence}) {
      ASSERT_TRUE(
          test_.memories[i]
              ->Delete({}, *objstore::ObjectKey::Parse(RecordKey(test_.organisation, sequence)))
              .ok());
    }
  }
  MuchLater();
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(test_.Keys(i, SavePrefix(open.save)).size(), 0u);
    EXPECT_EQ(test_.Keys(i, "s/").size(), 4u) << i;
  }
}

TEST_F(LostCommitsTest, ASaveThatCommittedSinceIsNotSweptAtAProviderThatIsLate) {
  transfer::CommitRequest open;
  open.save = base::DrawId<base::SaveId>(base::SystemRandom());
  open.checkpoint = base::DrawId<base::CheckpointId>(base::SystemRandom());
  open.path = "open";
  open.manifest = "manifest";
  ASSERT_TRUE(catalog_.Begin({}, {open.save, open.checkpoint, "open", false}).ok());
  open.packs = {test_.StorePack(open.save)};
  Backup();
  ASSERT_TRUE(catalog_.Commit({}, open).ok());
  Collect();
  const size_t objects = test_.Keys(0, SavePrefix(open.save)).size();
  Restore();
  for (size_t i = 0; i < 3; ++i) test_.Darken(i);
  CompareAllRecords({}, test_.vault);
  test_.clock.Advance(absl::Hours(1));
  Collect();  // the lease has ended, and nobody can tell how
  for (size_t i = 0; i < 3; ++i) test_.stores[i]->Clear();
  for (int i = 0; i < 2; ++i) ProbeAll({}, test_.vault);
  MuchLater();
  EXPECT_EQ(test_.Keys(0, SavePrefix(open.save)).size(), objects);
}

TEST_F(LostCommitsTest, AProviderCannotUseUpTheNumbers) {
  const auto first = test_.Save(catalog_, "first");
  ASSERT_TRUE(first.ok());
  Collect();
  // An authentic record under another number, and one that is none.
  const auto record =
      ReadObject({}, *test_.memories[0], RecordKey(test_.organisation, first->sequence), 100000);
  ASSERT_TRUE(record.ok());
  for (const auto& [sequence, text] : std::vector<std::pair<uint64_t, std::string>>{
           {first->sequence + 1000, *record}, {uint64_t{INT64_MAX} - 1, "made up"}}) {
    const std::vector<uint8_t> bytes(text.begin(), text.end());
    ASSERT_TRUE(test_.memories[0]
                    ->Put({}, *objstore::ObjectKey::Parse(RecordKey(test_.organisation, sequence)),
                          bytes, {})
                    .ok());
  }
  Open();
  CompareAllRecords({}, test_.vault);
  EXPECT_EQ(test_.Save(catalog_, "second")->sequence, first->sequence + 1);
}

TEST_F(LostCommitsTest, ACatalogThatWasBegunAnewDeletesNothingOfTheOldOne) {
  ASSERT_TRUE(test_.Save(catalog_, "old").ok());
  Collect();
  const auto before = test_.Keys(0, "");
  test_.metadata.reset();
  std::filesystem::remove(File("catalog.db"));
  Open();
  for (const ProviderPtr& provider : test_.providers.All()) {
    ASSERT_TRUE(
        test_.metadata->providers().Add(provider->name, provider->url, provider->domain).ok());
  }
  MuchLater();
  EXPECT_EQ(test_.Keys(0, ""), before);
}

}  // namespace
}  // namespace cedana::replica
