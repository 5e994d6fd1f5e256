// A whole vault (catalog, keys, providers over memory that can be made to fail) for tests.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/random.h"
#include "core/codec/crc32c.h"
#include "core/objstore/fault_store.h"
#include "core/objstore/memory_store.h"
#include "storage/metadata/testing/fake_catalog.h"
#include "storage/replica/object_keys.h"
#include "storage/replica/objects.h"
#include "storage/replica/org_catalog.h"

namespace cedana::replica {

struct TestVault {
  explicit TestVault(size_t provider_count = 1) {
    folder = std::filesystem::temp_directory_path() /
             absl::StrCat("cedana-vault-", absl::Hex(base::SystemRandom().Next64()));
    std::filesystem::create_directory(folder);
    vault.times.lease = absl::Seconds(60);
    vault.times.heartbeat = absl::Seconds(20);
    vault.times.grant = absl::Seconds(100);
    vault.times.patience = {absl::Seconds(2), absl::Milliseconds(200), absl::Milliseconds(300)};
    metadata = *metadata::Metadata::Open(
        folder / "catalog.db",
        {.clock = &clock, .lease = vault.times.lease, .grant = vault.times.grant});
    vault.metadata = metadata.get();
    vault.providers = &providers;
    for (size_t i = 0; i < provider_count; ++i) AddProvider();
    vault.keys = &keys;
    vault.grants = &signer;
    vault.clock = &clock;
    vault.random = &base::SystemRandom();
    organisation = AddOrganisation("one");
  }
  ~TestVault() {
    metadata.reset();
    std::filesystem::remove_all(folder);
  }
  TestVault(const TestVault&) = delete;

  // One more, "p<number>" in its own failure domain, over memory.
  void AddProvider() {
    const std::string name = absl::StrCat("p", stores.size());
    memories.push_back(std::make_unique<objstore::MemoryStore>(&clock));
    stores.push_back(std::make_unique<objstore::FaultStore>(memories.back().get()));
    const std::string domain = absl::StrCat("d-", name);
    EXPECT_TRUE(metadata->providers().Add(name, absl::StrCat("memory://", name), domain).ok());
    providers.Put({.name = name,
                   .domain = domain,
                   .capabilities = {.grant_enforces_size = true,
                                    .grant_enforces_checksum = true,
                                    .grant_enforces_create_only = true,
                                    .keeps_checksum = true},
                   .store = {std::shared_ptr<void>(), stores.back().get()}});
    clock.Advance(absl::Milliseconds(1));  // the catalog lists them in this order
  }
  // Everything at a provider fails from now on, as when its network is gone.
  void Darken(size_t provider, absl::Duration latency = absl::ZeroDuration()) {
    stores[provider]->Add(
        {.times = -1, .latency = latency, .fail = absl::UnavailableError("dark")});
  }
  base::OrgId AddOrganisation(const std::string& name) {
    const auto id = base::DrawId<base::OrgId>(base::SystemRandom());
    const std::string wrapped = keys.DrawOrganisationKey(base::SystemRandom(), id);
    EXPECT_TRUE(metadata->identities().AddOrganisation({id, name, wrapped}).ok());
    return id;
  }
  // Keys under `prefix` at a provider.
  std::vector<std::string> Keys(size_t provider, const std::string& prefix) {
    std::vector<std::string> found;
    const absl::Status listed =
        ListAll({}, *memories[provider], prefix, [&](const objstore::ObjectInfo& object) {
          found.push_back(object.key);
          return absl::OkStatus();
        });
    EXPECT_TRUE(listed.ok()) << listed;
    return found;
  }
  // Uploads a pack of the save, as often as the policy wants.
  transfer::StoredPack StorePack(const base::SaveId& save, const std::string& text = "a pack") {
    transfer::StoredPack pack;
    pack.id = base::DrawId<base::PackId>(base::SystemRandom());
    pack.bytes = text.size();
    pack.crc32c = codec::Crc32c({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
    pack.key_epoch = 1;
    const auto put =
        MakePackSink(&vault, save)
            ->Put({}, pack.id, {reinterpret_cast<const uint8_t*>(text.data()), text.size()},
                  pack.crc32c);
    EXPECT_TRUE(put.ok()) << put.status();
    if (put.ok()) pack.providers = *put;
    return pack;
  }
  // A whole save; `packs` beside one of its own.
  absl::StatusOr<transfer::CheckpointInfo> Save(OrgCatalog& catalog, const std::string& path,
                                                std::vector<transfer::StoredPack> packs = {}) {
    transfer::CommitRequest commit;
    commit.save = base::DrawId<base::SaveId>(base::SystemRandom());
    commit.checkpoint = base::DrawId<base::CheckpointId>(base::SystemRandom());
    commit.path = path;
    commit.manifest = "manifest";
    commit.codec = "none";
    const auto begun = catalog.Begin({}, {commit.save, commit.checkpoint, path, false});
    if (!begun.ok()) return begun.status();
    commit.packs = std::move(packs);
    commit.packs.push_back(StorePack(commit.save));
    last_own = commit.packs.back();
    return catalog.Commit({}, commit);
  }

  std::filesystem::path folder;
  metadata::FakeClock clock;
  std::vector<std::unique_ptr<objstore::MemoryStore>> memories;
  std::vector<std::unique_ptr<objstore::FaultStore>> stores;
  HealthBoard health{&clock};
  ProviderSet providers{&health};
  std::unique_ptr<metadata::Metadata> metadata;
  KeyRing keys = *KeyRing::FromHex(std::string(64, '5'));
  GrantSigner signer{keys.grant_key()};
  Vault vault;
  base::OrgId organisation;
  transfer::StoredPack last_own;
};

}  // namespace cedana::replica
