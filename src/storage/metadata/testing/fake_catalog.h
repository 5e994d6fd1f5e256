// A catalog in a temporary folder, on a clock that tests move by hand.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "core/base/random.h"
#include "storage/metadata/metadata.h"

namespace cedana::metadata {

// Thread-safe.
class FakeClock : public base::Clock {
 public:
  absl::Time Now() override {
    absl::MutexLock lock(&mutex_);
    return now_;
  }
  absl::Duration Monotonic() override { return Now() - absl::UnixEpoch(); }
  void Sleep(absl::Duration duration) override { Advance(duration); }
  void Advance(absl::Duration duration) {
    absl::MutexLock lock(&mutex_);
    now_ += duration;
  }

 private:
  absl::Mutex mutex_;
  absl::Time now_ = absl::FromUnixSeconds(1'800'000'000);
};

class CatalogTest : public ::testing::Test {
 protected:
  CatalogTest() {
    folder_ = std::filesystem::temp_directory_path() /
              absl::StrCat("cedana-catalog-", absl::Hex(base::SystemRandom().Next64()));
    std::filesystem::create_directory(folder_);
    metadata_ = *Metadata::Open(
        folder_ / "catalog.db",
        {.clock = &clock_, .lease = absl::Seconds(60), .grant = absl::Seconds(100)});
    org_ = AddOrganisation("one");
    other_ = AddOrganisation("two");
  }
  ~CatalogTest() override {
    metadata_.reset();
    std::filesystem::remove_all(folder_);
  }

  base::OrgId AddOrganisation(const std::string& name) {
    const Organisation row{Draw<base::OrgId>(), name, "wrapped"};
    EXPECT_TRUE(metadata_->identities().AddOrganisation(row).ok());
    return row.id;
  }
  template <typename IdType>
  static IdType Draw() {
    return base::DrawId<IdType>(base::SystemRandom());
  }
  static NewSave Want(const std::string& path, bool generated = false) {
    return {Draw<base::SaveId>(), Draw<base::CheckpointId>(), path, generated};
  }
  static CommittedPack OwnPack() { return {Draw<base::PackId>(), 4096, 7, 1, true, {"local"}}; }
  static CommittedPack OldPack(const base::PackId& id) { return {id, 4096, 7, 1, false, {}}; }
  static NewCheckpoint ToCommit(const NewSave& save, const std::string& path,
                                std::vector<CommittedPack> packs) {
    NewCheckpoint wanted{.save = save.id, .packs = std::move(packs)};
    wanted.row.id = save.checkpoint;
    wanted.row.path = path;
    wanted.row.codec = "lz4";
    wanted.row.durability = "durable";
    wanted.row.facts = "{}";
    wanted.row.manifest_sha256 = std::string(32, 'm');
    wanted.row.manifest_providers = {"local"};
    return wanted;
  }
  // A whole save of one path.
  Checkpoint Save(const std::string& path, std::vector<CommittedPack> packs) {
    const NewSave save = Want(path);
    EXPECT_TRUE(metadata_->saves().Begin(org_, save).ok());
    const auto committed = metadata_->saves().Commit(org_, ToCommit(save, path, std::move(packs)));
    EXPECT_TRUE(committed.ok()) << committed.status();
    return committed.value_or(Checkpoint());
  }

  FakeClock clock_;
  std::filesystem::path folder_;
  std::unique_ptr<Metadata> metadata_;
  base::OrgId org_;
  base::OrgId other_;
};

}  // namespace cedana::metadata
