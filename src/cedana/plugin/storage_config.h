// The settings that storage back ends read, from the configuration.
#pragma once

#include "cedana/config/config.h"
#include "cedana/plugin/storage_backend.h"
#include "cedana/plugin/storage_url.h"

namespace cedana::plugin {

// Without a folder.
StorageConfig ReadStorageConfig(const config::Config& config);

// The same for a back end that is opened for `folder`.
StorageConfig ForFolder(StorageConfig config, const StorageUrl& folder);

}  // namespace cedana::plugin
