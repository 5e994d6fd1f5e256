// The N-th operation on a provider fails, for N = 1, 2, 3… until a run meets no fault: whatever
// failed, a checkpoint is whole or absent, an older one stays readable, and once the fault is over
// collection leaves nothing behind.
#include <gtest/gtest.h>

#include "core/transfer/load.h"
#include "core/transfer/save.h"
#include "core/transfer/testing/image_fakes.h"
#include "storage/replica/collector.h"
#include "storage/replica/testing/test_vault.h"

namespace cedana::replica {
namespace {

constexpr char kOldBytes[] = "what the older checkpoint holds";

absl::Status SaveImage(TestVault& test, const std::string& path, const std::string& bytes) {
  OrgCatalog catalog(&test.vault, test.organisation);
  transfer::SaveOptions options;
  options.save = base::DrawId<base::SaveId>(base::SystemRandom());
  options.checkpoint = base::DrawId<base::CheckpointId>(base::SystemRandom());
  options.path = path;
  options.pipelines = 1;
  options.random = &base::SystemRandom();
  auto save = transfer::Save::Begin(
      {}, options, &catalog, [&](const base::SaveId& id) { return MakePackSink(&test.vault, id); });
  if (!save.ok()) return save.status();
  transfer::StringSource source(bytes);
  absl::Status status = (*save)->Store("pages-1.img", source);
  if (status.ok()) status = (*save)->Finish({}, absl::Seconds(10)).status();
  if (!status.ok()) (*save)->Abort(status);
  return status;
}

absl::StatusOr<std::string> LoadImage(TestVault& test, const std::string& path) {
  OrgCatalog catalog(&test.vault, test.organisation);
  transfer::LoadOptions options;
  options.path = path;
  options.lease = base::DrawId<base::LeaseId>(base::SystemRandom());
  options.random = &base::SystemRandom();
  auto load = transfer::Load::Open({}, options, &catalog, [&](const base::LeaseId& lease) {
    return MakePackSource(&test.vault, test.organisation, lease);
  });
  if (!load.ok()) return load.status();
  return transfer::ReadImageFile(**load, "pages-1.img", 1u << 20);
}

// One life of a service with the N-th operation at the first provider failing. True when it fired.
bool RunWithFault(int skip, bool lose_reply) {
  TestVault test(2);
  OrgCatalog catalog(&test.vault, test.organisation);
  Collector collector(&test.vault);
  EXPECT_TRUE(SaveImage(test, "old", kOldBytes).ok());
  objstore::Fault fault{.skip = skip, .times = 1};
  if (lose_reply) {
    fault.lose_reply = true;
  } else {
    fault.fail = absl::UnavailableError("the fault");
  }
  test.stores[0]->Add(fault);

  const std::string bytes(100000, 'n');
  const absl::Status saved = SaveImage(test, "new", bytes);
  const absl::StatusOr<std::string> loaded = LoadImage(test, "new");
  if (loaded.ok()) {
    EXPECT_EQ(*loaded, bytes);
    EXPECT_TRUE(saved.ok()) << saved;
  }
  EXPECT_EQ(catalog.Find("new").ok(), saved.ok());
  collector.Round({}).status().IgnoreError();
  EXPECT_TRUE(catalog.Delete({}, "new").ok() == saved.ok());
  collector.Round({}).status().IgnoreError();
  test.clock.Advance(test.vault.times.lease + test.vault.times.grant);
  collector.Round({}).status().IgnoreError();
  const bool fired = test.stores[0]->hits() > 0;

  test.stores[0]->Clear();
  EXPECT_EQ(LoadImage(test, "old").value_or("unreadable"), kOldBytes);
  EXPECT_TRUE(catalog.Delete({}, "old").ok());
  test.clock.Advance(test.vault.times.lease + test.vault.times.sweep_again);
  for (int round = 0; round < 3; ++round) {
    EXPECT_TRUE(collector.Round({}).ok());
    test.clock.Advance(test.vault.times.grace);
  }
  for (size_t provider = 0; provider < 2; ++provider) {
    EXPECT_EQ(test.Keys(provider, ""), std::vector<std::string>());
  }
  return fired;
}

TEST(FaultLoop, NoSingleFailedOperationLosesOrLeaksAnything) {
  int skip = 0;
  while (RunWithFault(skip, /*lose_reply=*/false)) ++skip;
  EXPECT_GT(skip, 10);
}

TEST(FaultLoop, NoSingleLostReplyLosesOrLeaksAnything) {
  int skip = 0;
  while (RunWithFault(skip, /*lose_reply=*/true)) ++skip;
  EXPECT_GT(skip, 10);
}

}  // namespace
}  // namespace cedana::replica
