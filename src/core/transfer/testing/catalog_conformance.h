// What every Catalog must do (catalog.h). Include it in a test program and instantiate:
//
//   INSTANTIATE_TEST_SUITE_P(Memory, CatalogConformance, ::testing::Values(&MakeCatalogInTest));
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/random.h"
#include "core/format/manifest.h"
#include "core/transfer/catalog.h"

namespace cedana::transfer {

// `storage` is whatever the catalog stands on; it lives as long as it.
struct CatalogInTest {
  std::shared_ptr<void> storage;
  std::unique_ptr<Catalog> catalog;
  // Stores some pack for the save, where a commit checks that packs exist; may be empty.
  std::function<StoredPack(const base::SaveId&)> store_pack;
  // Ends every lease and hold, where a test can do so; may be empty.
  std::function<void()> expire_leases;
  // Deviation: takes "/a" for "a", as docs/http.md says.
  bool drops_leading_slash = false;
};

class CatalogConformance : public ::testing::TestWithParam<std::function<CatalogInTest()>> {
 protected:
  void SetUp() override { in_test_ = GetParam()(); }

  Catalog& catalog() { return *in_test_.catalog; }

  template <typename IdType>
  static IdType Draw() {
    return base::DrawId<IdType>(base::SystemRandom());
  }
  static BeginRequest NewSave(const std::string& path, bool generated = false) {
    return {Draw<base::SaveId>(), Draw<base::CheckpointId>(), path, generated};
  }
  // A commit of nothing but a manifest and a pack.
  CommitRequest CommitOf(const BeginRequest& begin, const BegunSave& begun,
                         const std::string& job = "") {
    CommitRequest commit;
    commit.save = begin.save;
    commit.checkpoint = begin.checkpoint;
    commit.path = begun.path;
    if (in_test_.store_pack) commit.packs.push_back(in_test_.store_pack(begin.save));
    commit.codec = "lz4";
    commit.image_bytes = 1000;
    commit.stored_bytes = 500;
    commit.new_bytes = 400;
    commit.facts.job_name = job;
    commit.facts.job_id = job.empty() ? "" : "id-" + job;
    commit.facts.host = "host";
    commit.facts.details = {{"tcp", true}};
    format::Manifest manifest;
    manifest.checkpoint = begin.checkpoint;
    manifest.path = begun.path;
    manifest.facts = commit.facts.ToJson();
    for (const StoredPack& pack : commit.packs) {
      manifest.tail_packs.push_back(
          {pack.id, pack.key_epoch, static_cast<uint32_t>(pack.bytes), pack.crc32c});
    }
    commit.manifest = format::SealManifest(manifest, begun.keys).value();
    return commit;
  }
  absl::StatusOr<CheckpointInfo> Save(const std::string& path, const std::string& job = "") {
    const BeginRequest request = NewSave(path);
    const auto begun = catalog().Begin({}, request);
    if (!begun.ok()) return begun.status();
    return catalog().Commit({}, CommitOf(request, *begun, job));
  }
  std::vector<std::string> PathsOf(const ListQuery& query) {
    const auto list = catalog().List({}, query);
    EXPECT_TRUE(list.ok()) << list.status();
    std::vector<std::string> paths;
    if (list.ok()) {
      for (const CheckpointInfo& info : *list) paths.push_back(info.path);
    }
    return paths;
  }

  CatalogInTest in_test_;
};

using Paths = std::vector<std::string>;

TEST_P(CatalogConformance, ASaveIsVisibleOnlyOnceCommitted) {
  const BeginRequest request = NewSave("a/one");
  const auto begun = catalog().Begin({}, request);
  ASSERT_TRUE(begun.ok()) << begun.status();
  EXPECT_EQ(begun->path, "a/one");
  EXPECT_FALSE(begun->keys.sealing.empty());
  EXPECT_GT(begun->heartbeat, absl::ZeroDuration());
  EXPECT_GT(begun->lease, begun->heartbeat);
  EXPECT_EQ(PathsOf({}), Paths());
  const auto lease = Draw<base::LeaseId>();
  EXPECT_EQ(catalog().Open({}, "a/one", lease).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(*catalog().Outcome({}, request.save), SaveOutcome::kOpen);

  const CommitRequest commit = CommitOf(request, *begun, "job");
  const auto info = catalog().Commit({}, commit);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->id, request.checkpoint);
  EXPECT_EQ(info->path, "a/one");
  EXPECT_GT(info->sequence, 0u);
  EXPECT_EQ(*catalog().Outcome({}, request.save), SaveOutcome::kCommitted);
  EXPECT_EQ(PathsOf({}), Paths{"a/one"});

  const auto opened = catalog().Open({}, "a/one", lease);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(opened->manifest, commit.manifest);
  EXPECT_EQ(opened->info.id, request.checkpoint);
  EXPECT_EQ(opened->info.image_bytes, 1000u);
  EXPECT_EQ(opened->info.stored_bytes, 500u);
  EXPECT_EQ(opened->info.new_bytes, 400u);
  EXPECT_EQ(opened->info.codec, "lz4");
  EXPECT_EQ(opened->info.facts.job_name, "job");
  EXPECT_EQ(opened->info.facts.details, commit.facts.details);
  EXPECT_EQ(opened->keys.organisation, begun->keys.organisation);
  EXPECT_EQ(opened->keys.page_id_key, begun->keys.page_id_key);
  ASSERT_NE(opened->keys.Find(begun->keys.sealing.back().epoch), nullptr);
  EXPECT_EQ(opened->keys.Find(begun->keys.sealing.back().epoch)->key,
            begun->keys.sealing.back().key);
  EXPECT_TRUE(catalog().RenewHold({}, lease).ok());
  EXPECT_TRUE(catalog().Close({}, lease).ok());
  EXPECT_TRUE(catalog().Close({}, lease).ok());
  EXPECT_FALSE(catalog().RenewHold({}, lease).ok());
}

TEST_P(CatalogConformance, CallsCanBeRepeated) {
  const BeginRequest request = NewSave("a/one");
  const auto begun = catalog().Begin({}, request);
  ASSERT_TRUE(begun.ok());
  const auto again = catalog().Begin({}, request);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->path, begun->path);
  const CommitRequest commit = CommitOf(request, *begun);
  const auto first = catalog().Commit({}, commit);
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = catalog().Commit({}, commit);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->sequence, first->sequence);
  EXPECT_EQ(PathsOf({}).size(), 1u);
}

TEST_P(CatalogConformance, ATakenPathIsRefusedAndAGeneratedOneGoesOn) {
  ASSERT_TRUE(Save("a/one").ok());
  EXPECT_EQ(catalog().Begin({}, NewSave("a/one")).status().code(),
            absl::StatusCode::kAlreadyExists);
  const BeginRequest request = NewSave("a/one", /*generated=*/true);
  const auto begun = catalog().Begin({}, request);
  ASSERT_TRUE(begun.ok()) << begun.status();
  EXPECT_EQ(begun->path, "a/one-2");
  ASSERT_TRUE(catalog().Commit({}, CommitOf(request, *begun)).ok());
  const auto third = catalog().Begin({}, NewSave("a/one", /*generated=*/true));
  ASSERT_TRUE(third.ok());
  EXPECT_EQ(third->path, "a/one-3");
}

TEST_P(CatalogConformance, BadPathsAreRefused) {
  for (const std::string& path :
       {std::string(""), std::string("/a"), std::string("a/"), std::string("a//b"),
        std::string("../a"), std::string("a/../b"), std::string("a/./b"), std::string("a\0b", 3),
        std::string(2000, 'x'), std::string("a/") + std::string(256, 'y')}) {
    if (path == "/a" && in_test_.drops_leading_slash) continue;
    EXPECT_EQ(catalog().Begin({}, NewSave(path)).status().code(),
              absl::StatusCode::kInvalidArgument)
        << path;
  }
}

TEST_P(CatalogConformance, AbortAndCommitExcludeEachOther) {
  const BeginRequest aborted = NewSave("a/aborted");
  const auto begun = catalog().Begin({}, aborted);
  ASSERT_TRUE(begun.ok());
  EXPECT_TRUE(catalog().Abort({}, aborted.save).ok());
  EXPECT_TRUE(catalog().Abort({}, aborted.save).ok());
  EXPECT_EQ(*catalog().Outcome({}, aborted.save), SaveOutcome::kAborted);
  EXPECT_EQ(catalog().Heartbeat({}, aborted.save).code(), absl::StatusCode::kFailedPrecondition);
  const absl::Status commit = catalog().Commit({}, CommitOf(aborted, *begun)).status();
  EXPECT_FALSE(commit.ok());
  EXPECT_NE(commit.code(), absl::StatusCode::kUnknown);
  EXPECT_EQ(PathsOf({}), Paths());
  EXPECT_TRUE(Save("a/aborted").ok());  // the path is free again

  const BeginRequest committed = NewSave("a/committed");
  const auto second = catalog().Begin({}, committed);
  ASSERT_TRUE(second.ok());
  EXPECT_TRUE(catalog().Heartbeat({}, committed.save).ok());
  ASSERT_TRUE(catalog().Commit({}, CommitOf(committed, *second)).ok());
  EXPECT_EQ(catalog().Abort({}, committed.save).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(*catalog().Outcome({}, committed.save), SaveOutcome::kCommitted);
}

TEST_P(CatalogConformance, AnUnknownSaveHasNoOutcome) {
  const auto outcome = catalog().Outcome({}, Draw<base::SaveId>());
  EXPECT_TRUE(!outcome.ok() || *outcome == SaveOutcome::kUnknown);
}

TEST_P(CatalogConformance, NothingCommitsOnceTheLeaseHasEnded) {
  if (!in_test_.expire_leases) GTEST_SKIP() << "leases cannot be ended here";
  const BeginRequest request = NewSave("a/late");
  const auto begun = catalog().Begin({}, request);
  ASSERT_TRUE(begun.ok());
  ASSERT_TRUE(Save("a/held").ok());
  const auto lease = Draw<base::LeaseId>();
  ASSERT_TRUE(catalog().Open({}, "a/held", lease).ok());
  in_test_.expire_leases();
  EXPECT_EQ(catalog().Heartbeat({}, request.save).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(catalog().Commit({}, CommitOf(request, *begun)).ok());
  EXPECT_FALSE(catalog().RenewHold({}, lease).ok());
  EXPECT_EQ(PathsOf({}), Paths{"a/held"});
}

TEST_P(CatalogConformance, ListsNewestFirstAndByWholeSegments) {
  for (const char* path : {"a/1", "ab/2", "a/b/3", "a"}) ASSERT_TRUE(Save(path).ok());
  EXPECT_EQ(PathsOf({}), (Paths{"a", "a/b/3", "ab/2", "a/1"}));
  ListQuery query;
  query.prefix = "a";
  EXPECT_EQ(PathsOf(query), (Paths{"a", "a/b/3", "a/1"}));
  query.prefix = "a/b";
  EXPECT_EQ(PathsOf(query), Paths{"a/b/3"});
}

TEST_P(CatalogConformance, ListsByJobAndInPages) {
  ASSERT_TRUE(Save("j/1", "one").ok());
  ASSERT_TRUE(Save("j/2", "two").ok());
  ASSERT_TRUE(Save("j/3", "one").ok());
  ASSERT_TRUE(Save("j/4").ok());
  ListQuery query;
  query.job_name = "one";
  EXPECT_EQ(PathsOf(query), (Paths{"j/3", "j/1"}));
  query = {};
  query.job_id = "id-two";
  EXPECT_EQ(PathsOf(query), Paths{"j/2"});
  query = {};
  query.newest_per_job = true;
  EXPECT_EQ(PathsOf(query), (Paths{"j/3", "j/2"}));
  query = {};
  query.limit = 2;
  const auto page = catalog().List({}, query);
  ASSERT_TRUE(page.ok());
  ASSERT_EQ(page->size(), 2u);
  EXPECT_EQ((*page)[1].path, "j/3");
  query.before_sequence = (*page)[1].sequence;
  EXPECT_EQ(PathsOf(query), (Paths{"j/2", "j/1"}));
}

TEST_P(CatalogConformance, DeleteHidesAtOnceAndFreesThePath) {
  ASSERT_TRUE(Save("a/one").ok());
  EXPECT_TRUE(catalog().Delete({}, "a/one").ok());
  EXPECT_EQ(PathsOf({}), Paths());
  EXPECT_EQ(catalog().Open({}, "a/one", Draw<base::LeaseId>()).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(catalog().Delete({}, "a/one").code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(Save("a/one").ok());
}

}  // namespace cedana::transfer
