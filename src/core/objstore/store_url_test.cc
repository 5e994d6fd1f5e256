#include "core/objstore/store_url.h"

#include "absl/strings/match.h"
#include "gtest/gtest.h"

namespace cedana::objstore {
namespace {

StoreUrl Parsed(absl::string_view text) {
  const auto url = StoreUrl::Parse(text);
  EXPECT_TRUE(url.ok()) << text << ": " << url.status();
  return url.ok() ? *url : StoreUrl();
}

TEST(StoreUrl, ReadsEveryDialect) {
  const StoreUrl s3 = Parsed("s3://bucket/some/prefix/?region=eu-central-1&domain=aws-1");
  EXPECT_EQ(s3.dialect, Dialect::kS3);
  EXPECT_EQ(s3.bucket, "bucket");
  EXPECT_EQ(s3.prefix, "some/prefix");
  EXPECT_EQ(s3.EndpointUrl(), "https://s3.eu-central-1.amazonaws.com");
  EXPECT_TRUE(s3.virtual_host);
  EXPECT_EQ(s3.ObjectName("s/1"), "some/prefix/s/1");
  EXPECT_EQ(s3.FailureDomain(), "aws-1");

  const StoreUrl other =
      Parsed("s3://b?endpoint=http%3A%2F%2F127.0.0.1%3A9000/&credentials=/etc/key&checksum=no");
  EXPECT_FALSE(other.virtual_host);
  EXPECT_FALSE(other.checksums);
  EXPECT_TRUE(other.conditional_writes);
  EXPECT_EQ(other.EndpointUrl(), "http://127.0.0.1:9000");
  EXPECT_EQ(other.credentials_file, "/etc/key");
  EXPECT_EQ(other.FailureDomain(), "s3:127.0.0.1:9000");
  EXPECT_EQ(other.ObjectName("k"), "k");
  EXPECT_TRUE(Parsed("s3://b?endpoint=https://h&style=virtual").virtual_host);
  EXPECT_FALSE(Parsed("s3://b.with.dots").virtual_host);

  EXPECT_EQ(Parsed("gs://bucket_1/p").dialect, Dialect::kGcs);
  EXPECT_EQ(Parsed("gcs://bucket/p").FailureDomain(), "gcs:storage.googleapis.com");

  const StoreUrl azure = Parsed("azure://container/p?account=me");
  EXPECT_EQ(azure.dialect, Dialect::kAzure);
  EXPECT_EQ(azure.EndpointUrl(), "https://me.blob.core.windows.net");

  const StoreUrl file = Parsed("file:///var//lib/a%20b/?domain=rack-7");
  EXPECT_EQ(file.dialect, Dialect::kDirectory);
  EXPECT_EQ(file.path, "/var/lib/a b");
  EXPECT_EQ(file.FailureDomain(), "rack-7");
  EXPECT_EQ(Parsed("file:///x").FailureDomain(), "file:/x");
}

TEST(StoreUrl, WritesWhatItReads) {
  for (const std::string& text :
       {std::string("s3://bucket/a/b?region=eu-1&endpoint=http://h:1&domain=d:1/x&style=virtual"
                    "&conditional=no&checksum=no&credentials=/a%26b"),
        std::string("gs://b"), std::string("azure://c/p?account=a"), std::string("file:///a%20b"),
        std::string("file:///"), std::string("s3://a.b/c")}) {
    const StoreUrl url = Parsed(text);
    const StoreUrl again = Parsed(url.ToString());
    EXPECT_EQ(again.ToString(), url.ToString());
    EXPECT_EQ(again.credentials_file, url.credentials_file);
    EXPECT_EQ(again.path, url.path);
    EXPECT_EQ(again.virtual_host, url.virtual_host);
  }
}

TEST(StoreUrl, RefusesWhatItDoesNotKnow) {
  for (const std::string& text : {std::string(""),
                                  std::string("bucket"),
                                  std::string("http://b"),
                                  std::string("s3://"),
                                  std::string("s3:///p"),
                                  std::string("s3://Bucket"),
                                  std::string("s3://b/a//b"),
                                  std::string("s3://b/../c"),
                                  std::string("s3://b/a b"),
                                  std::string("s3://b/a%20b"),
                                  std::string("s3://b#x"),
                                  std::string("s3://b?regoin=x"),
                                  std::string("s3://b?region="),
                                  std::string("s3://b?region=a&region=b"),
                                  std::string("s3://b?endpoint=h:1"),
                                  std::string("s3://b?endpoint=http://"),
                                  std::string("s3://b?endpoint=http://h?x"),
                                  std::string("s3://b?style=none"),
                                  std::string("s3://b?conditional=maybe"),
                                  std::string("s3://b?credentials=relative"),
                                  std::string("s3://b?account=x"),
                                  std::string("gcs://b?style=path"),
                                  std::string("gcs://b?region=x"),
                                  std::string("azure://c?region=x"),
                                  std::string("file://host/path"),
                                  std::string("file://"),
                                  std::string("file:///a%00b"),
                                  std::string("file:///a?region=x"),
                                  std::string("s3://b?region=a%0d%0ab"),
                                  std::string("s3://") + std::string(300, 'a'),
                                  std::string("s3://b/") + std::string(600, 'a')}) {
    const auto url = StoreUrl::Parse(text);
    EXPECT_EQ(url.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_FALSE(absl::StrContains(url.status().message(), "\n")) << text;
  }
}

TEST(StoreUrl, RefusesASecretWithoutRepeatingIt) {
  for (const std::string& text :
       {std::string("s3://AKIA:hunter2@b"), std::string("s3://b?secret_access_key=hunter2"),
        std::string("s3://b?X-Amz-Signature=hunter2"), std::string("azure://c?sas=hunter2"),
        std::string("azure://c?key=hunter2"), std::string("s3://b?hunter2=1"),
        std::string("s3://b?endpoint=http://u:hunter2@h"),
        std::string("s3://b?credentials=hunter2")}) {
    const auto url = StoreUrl::Parse(text);
    EXPECT_EQ(url.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_FALSE(absl::StrContains(url.status().message(), "hunter2")) << url.status();
  }
}

}  // namespace
}  // namespace cedana::objstore
