// The shared object's face: its build, and the one symbol that it exports.
#include "build_id_text.h"
#include "cedana/plugin/plugin_note.h"
#include "cedana/plugin/storage_backend.h"
#include "cedana/remote/cedana_backend.h"

CEDANA_PLUGIN_NOTE(CEDANA_VERSION, CEDANA_BUILD_ID);

namespace cedana::remote {
namespace {

absl::StatusOr<std::unique_ptr<plugin::StorageBackend>> Create(
    const plugin::StorageConfig& config) {
  return CedanaBackend::Create(config, RemoteOptions());
}

constexpr plugin::StoragePluginV1 kPlugin = {"storage/cedana", "cedana", CEDANA_VERSION,
                                             CEDANA_BUILD_ID, Create};

}  // namespace
}  // namespace cedana::remote

extern "C" const cedana::plugin::StoragePluginV1* cedana_storage_plugin_v1() {
  return &cedana::remote::kPlugin;
}
