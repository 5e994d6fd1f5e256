// A whole storage plugin, as small as one can be: its back ends store nothing, and their health
// check says which of the fakes they are.
#include <cstdlib>

#include "build_id_text.h"
#include "cedana/plugin/plugin_note.h"
#include "cedana/plugin/storage_backend.h"

#ifndef FAKE_BUILD_ID
#define FAKE_BUILD_ID CEDANA_BUILD_ID
#endif

CEDANA_PLUGIN_NOTE(CEDANA_VERSION, FAKE_BUILD_ID);

namespace cedana::plugin {
namespace {

class FakeBackend : public StorageBackend {
 public:
  transfer::Catalog& catalog() override { std::abort(); }
  std::unique_ptr<transfer::PackSink> OpenSink(const base::SaveId& save) override {
    return nullptr;
  }
  std::unique_ptr<transfer::PackSource> OpenSource(const base::LeaseId& lease) override {
    return nullptr;
  }
  std::vector<HealthItem> Check(const base::Context& context, bool full) override {
    return {HealthItem{"mark", FAKE_MARK, {}, {}}};
  }
};

absl::StatusOr<std::unique_ptr<StorageBackend>> Create(const StorageConfig& config) {
  if (config.url.empty()) return absl::InvalidArgumentError("no URL");
  return std::make_unique<FakeBackend>();
}

constexpr StoragePluginV1 kPlugin = {"storage/fake", "fake", CEDANA_VERSION, FAKE_BUILD_ID, Create};

}  // namespace
}  // namespace cedana::plugin

extern "C" __attribute__((visibility("default"))) const cedana::plugin::StoragePluginV1*
cedana_storage_plugin_v1() {
  return &cedana::plugin::kPlugin;
}
