// The small objects of a repository (docs/format/direct.md) of each released format version, which
// must be readable for ever. `WriteGoldenFiles` made them once; it is disabled so that nobody makes
// them anew by accident. The packs and manifests are those of core/format.
#include <gtest/gtest.h>

#include "cedana/direct/object_names.h"
#include "cedana/direct/records.h"
#include "cedana/direct/repository.h"
#include "core/base/fd.h"
#include "core/format/bytes.h"
#include "core/objstore/memory_store.h"

namespace cedana::direct {
namespace {

std::string GoldenPath(const std::string& name) { return CEDANA_GOLDEN_DIR "/direct-" + name; }

std::string ReadGolden(const std::string& name) {
  const auto bytes = base::ReadFile(GoldenPath(name), 1 << 20);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  return bytes.value_or("");
}

template <typename IdType>
IdType Filled(uint8_t byte) {
  std::array<uint8_t, 16> bytes;
  bytes.fill(byte);
  return IdType(bytes);
}

const base::SaveId kSave = Filled<base::SaveId>(0xdd);
const base::CheckpointId kCheckpoint = Filled<base::CheckpointId>(0xcc);

// A repository as its object says it, which keeps a key of 0x00, 0x01 … 0x1f.
absl::StatusOr<Repository> GoldenRepository() {
  objstore::MemoryStore memory;
  const std::string bytes = ReadGolden("repository-v1.json");
  EXPECT_TRUE(memory.Put({}, RepositoryKey(), format::AsBytes(bytes), {}).ok());
  RetryingStore store(&memory, "memory", {}, {});
  return OpenRepository({}, store, std::nullopt, nullptr);
}

Decision SmallCommit() {
  Decision commit;
  commit.state = DecisionState::kCommitted;
  commit.save = kSave;
  commit.checkpoint = kCheckpoint;
  commit.name = "dump-1";
  commit.turn = 124107520;
  commit.order = 17;
  commit.image_bytes = 12388;
  commit.stored_bytes = 21000;
  commit.new_bytes = 21000;
  commit.codec = "zstd";
  commit.facts.job_name = "my-job-1";
  commit.facts.host = "here";
  commit.manifest = "the sealed manifest";
  return commit;
}

TEST(DirectGolden, RepositoryGivesItsKeysAndTags) {
  const auto repository = GoldenRepository();
  ASSERT_TRUE(repository.ok()) << repository.status();
  EXPECT_TRUE(repository->key_kept_here);
  EXPECT_EQ(repository->keys.organisation, Filled<base::OrgId>(0xaa));
  EXPECT_EQ(repository->NameTag("dump-1"), ReadGolden("name-tag-v1.txt"));
}

TEST(DirectGolden, SmallObjects) {
  const auto repository = GoldenRepository();
  ASSERT_TRUE(repository.ok());
  const auto claim = OpenClaim(ReadGolden("claim-v1.bin"), repository->keys);
  ASSERT_TRUE(claim.ok()) << claim.status();
  EXPECT_EQ(claim->save, kSave);
  EXPECT_EQ(claim->name, "dump-1");
  EXPECT_EQ(claim->turn, 124107520u);
  // They are compared byte by byte after a lost reply, so they must not change either.
  EXPECT_EQ(SealIntent(kSave, kCheckpoint, repository->keys), ReadGolden("intent-v1.bin"));
  EXPECT_EQ(SealClaim(*claim, repository->keys), ReadGolden("claim-v1.bin"));
  EXPECT_EQ(SealDeletion(kSave, repository->keys), ReadGolden("deletion-v1.bin"));
}

TEST(DirectGolden, Decisions) {
  const auto repository = GoldenRepository();
  ASSERT_TRUE(repository.ok());
  const auto commit = OpenDecision(ReadGolden("committed-v1.bin"), kSave, repository->keys);
  ASSERT_TRUE(commit.ok()) << commit.status();
  EXPECT_EQ(commit->state, DecisionState::kCommitted);
  EXPECT_EQ(commit->checkpoint, kCheckpoint);
  EXPECT_EQ(commit->name, "dump-1");
  EXPECT_EQ(commit->turn, 124107520u);
  EXPECT_EQ(commit->order, 17u);
  EXPECT_EQ(commit->stored_bytes, 21000u);
  EXPECT_EQ(commit->facts.job_name, "my-job-1");
  EXPECT_EQ(commit->manifest, "the sealed manifest");
  EXPECT_EQ(SealDecision(SmallCommit(), repository->keys).value_or(""),
            ReadGolden("committed-v1.bin"));
  const auto fenced = OpenDecision(ReadGolden("fenced-v1.bin"), kSave, repository->keys);
  ASSERT_TRUE(fenced.ok()) << fenced.status();
  EXPECT_EQ(fenced->state, DecisionState::kFenced);
  // Each kind of damage.
  std::string bent = ReadGolden("committed-v1.bin");
  bent[bent.size() - 1] ^= 1;
  EXPECT_TRUE(absl::IsDataLoss(OpenDecision(bent, kSave, repository->keys).status()));
  EXPECT_TRUE(absl::IsDataLoss(OpenDecision(bent.substr(0, 40), kSave, repository->keys).status()));
  EXPECT_TRUE(absl::IsDataLoss(
      OpenDecision(ReadGolden("committed-v1.bin"), Filled<base::SaveId>(1), repository->keys)
          .status()));
}

TEST(DirectGolden, DISABLED_WriteGoldenFiles) {
  const auto write = [](const std::string& name, const std::string& bytes) {
    ASSERT_TRUE(base::WriteFileAtomic(GoldenPath(name), bytes, 0644).ok());
  };
  write(
      "repository-v1.json",
      R"({"format":"cedana repository","id":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",)"
      R"("key":{"kept":"here","root":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="},"version":1})");
  const auto repository = GoldenRepository();
  ASSERT_TRUE(repository.ok());
  write("name-tag-v1.txt", repository->NameTag("dump-1"));
  write("intent-v1.bin", SealIntent(kSave, kCheckpoint, repository->keys));
  write("claim-v1.bin", SealClaim({kSave, "dump-1", 124107520}, repository->keys));
  write("deletion-v1.bin", SealDeletion(kSave, repository->keys));
  write("committed-v1.bin", SealDecision(SmallCommit(), repository->keys).value());
  Decision fenced;
  fenced.state = DecisionState::kFenced;
  fenced.save = kSave;
  write("fenced-v1.bin", SealDecision(fenced, repository->keys).value());
}

}  // namespace
}  // namespace cedana::direct
