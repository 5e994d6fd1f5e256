// Three providers, and an organisation that saves to them: what tests of placement and of reading
// back share.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "storage/replica/collector.h"
#include "storage/replica/org_catalog.h"
#include "storage/replica/prober.h"
#include "storage/replica/testing/test_vault.h"

namespace cedana::replica {

class PlacementTest : public ::testing::Test {
 protected:
  PlacementTest()
      : test_(3), catalog_(&test_.vault, test_.organisation), collector_(&test_.vault) {}

  void SetPolicy(uint32_t copies, uint32_t ack) {
    ASSERT_TRUE(test_.metadata->providers()
                    .SetPolicy(test_.organisation, metadata::Policy{copies, ack})
                    .ok());
  }
  void ProbeTimes(int times) {
    for (int i = 0; i < times; ++i) ProbeAll({}, test_.vault);
  }
  // A save that was begun.
  transfer::CommitRequest Begin(const std::string& path) {
    transfer::CommitRequest commit;
    commit.save = base::DrawId<base::SaveId>(base::SystemRandom());
    commit.checkpoint = base::DrawId<base::CheckpointId>(base::SystemRandom());
    commit.path = path;
    commit.manifest = "manifest";
    EXPECT_TRUE(catalog_.Begin({}, {commit.save, commit.checkpoint, path, false}).ok());
    return commit;
  }
  std::vector<std::string> GrantedAt(const transfer::CommitRequest& commit) {
    const auto grants = catalog_.GrantUploads(
        commit.save, {{base::DrawId<base::PackId>(base::SystemRandom()), 10, 1}});
    EXPECT_TRUE(grants.ok()) << grants.status();
    std::vector<std::string> names;
    for (const PackGrant& grant : *grants) names.push_back(grant.provider->name);
    return names;
  }
  std::string DurabilityOf(const std::string& path) {
    const auto found = catalog_.Find(path);
    return found.ok() ? found->durability : std::string(found.status().message());
  }
  uint64_t PacksInDebt() { return test_.metadata->replication().Summary()->packs; }

  TestVault test_;
  OrgCatalog catalog_;
  Collector collector_;
};

}  // namespace cedana::replica
