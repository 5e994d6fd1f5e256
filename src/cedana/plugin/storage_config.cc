#include "cedana/plugin/storage_config.h"

namespace cedana::plugin {

StorageConfig ReadStorageConfig(const config::Config& config) {
  StorageConfig storage;
  storage.url = config.Text("connection.url");
  storage.auth_token = config.Text("connection.auth_token");
  storage.ca_file = config.Text("connection.ca_file");
  storage.key_file = config.Text("storage.key_file");
  storage.aws = {config.Text("aws.access_key_id"), config.Text("aws.secret_access_key"),
                 config.Text("aws.session_token"), config.Text("aws.region"),
                 config.Text("aws.endpoint"),      config.Text("aws.style"),
                 config.Bool("aws.checksum")};
  storage.gcs = {config.Text("gcs.credentials_file"), config.Text("gcs.endpoint")};
  storage.azure = {config.Text("azure.account"), config.Text("azure.key"),
                   config.Text("azure.sas_token"), config.Text("azure.endpoint")};
  return storage;
}

StorageConfig ForFolder(StorageConfig config, const StorageUrl& folder) {
  config.folder = folder.path;
  return config;
}

}  // namespace cedana::plugin
