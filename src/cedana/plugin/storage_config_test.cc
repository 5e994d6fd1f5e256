#include "cedana/plugin/storage_config.h"

#include <gtest/gtest.h>

namespace cedana::plugin {
namespace {

TEST(StorageConfig, EachSettingIsReadFromItsKey) {
  config::Config config = config::Config::Defaults();
  EXPECT_TRUE(ReadStorageConfig(config).aws.checksum);
  EXPECT_EQ(ReadStorageConfig(config).aws.style, "");
  for (const char* key :
       {"connection.url", "connection.auth_token", "connection.ca_file", "storage.key_file",
        "aws.access_key_id", "aws.secret_access_key", "aws.session_token", "aws.region",
        "aws.endpoint", "aws.style", "gcs.credentials_file", "gcs.endpoint", "azure.account",
        "azure.key", "azure.sas_token", "azure.endpoint"}) {
    ASSERT_TRUE(config.Set(key, key).ok()) << key;
  }
  ASSERT_TRUE(config.Set("aws.checksum", "false").ok());
  const StorageConfig storage = ForFolder(ReadStorageConfig(config), {"s3", "bucket/folder"});
  EXPECT_EQ(storage.folder, "bucket/folder");
  EXPECT_EQ(storage.url, "connection.url");
  EXPECT_EQ(storage.auth_token, "connection.auth_token");
  EXPECT_EQ(storage.ca_file, "connection.ca_file");
  EXPECT_EQ(storage.key_file, "storage.key_file");
  EXPECT_EQ(storage.aws.access_key_id, "aws.access_key_id");
  EXPECT_EQ(storage.aws.secret_access_key, "aws.secret_access_key");
  EXPECT_EQ(storage.aws.session_token, "aws.session_token");
  EXPECT_EQ(storage.aws.region, "aws.region");
  EXPECT_EQ(storage.aws.endpoint, "aws.endpoint");
  EXPECT_EQ(storage.aws.style, "aws.style");
  EXPECT_FALSE(storage.aws.checksum);
  EXPECT_EQ(storage.gcs.credentials_file, "gcs.credentials_file");
  EXPECT_EQ(storage.gcs.endpoint, "gcs.endpoint");
  EXPECT_EQ(storage.azure.account, "azure.account");
  EXPECT_EQ(storage.azure.key, "azure.key");
  EXPECT_EQ(storage.azure.sas_token, "azure.sas_token");
  EXPECT_EQ(storage.azure.endpoint, "azure.endpoint");
}

}  // namespace
}  // namespace cedana::plugin
