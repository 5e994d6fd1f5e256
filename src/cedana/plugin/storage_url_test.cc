#include "cedana/plugin/storage_url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cedana::plugin {
namespace {

using testing::HasSubstr;

TEST(StorageUrl, SplitsSchemeAndPath) {
  const absl::StatusOr<StorageUrl> url = ParseStorageUrl("cedana://my-checkpoints/nightly");
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_EQ(url->scheme, "cedana");
  EXPECT_EQ(url->path, "my-checkpoints/nightly");
  EXPECT_EQ(url->Child("dump-1").ToString(), "cedana://my-checkpoints/nightly/dump-1");
}

TEST(StorageUrl, DropsOneLeadingAndAllTrailingSlashes) {
  EXPECT_EQ(ParseStorageUrl("S3:///bucket/a//")->ToString(), "s3://bucket/a");
}

TEST(StorageUrl, APathOfThisMachineIsRefusedWithOneLineSayingWhatIsNeeded) {
  for (const char* text : {"/tmp", ".", "", "my-checkpoints"}) {
    const absl::Status status = ParseStorageUrl(text).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("cedana://my-checkpoints"));
  }
}

TEST(StorageUrl, EmptyPathAndOddSchemesAreRefused) {
  for (const char* text : {"cedana://", "cedana:///", "://x", "../lib://x", "a/b://x", "1a://x"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseStorageUrl(text).status())) << text;
  }
}

TEST(StorageUrl, FilesNeedAnAbsolutePathAndKeepIt) {
  EXPECT_EQ(ParseStorageUrl("file:///var/ckpt/")->path, "var/ckpt");
  EXPECT_EQ(ParseStorageUrl("file:///var/ckpt")->Child("a").ToString(), "file:///var/ckpt/a");
  EXPECT_THAT(std::string(ParseStorageUrl("file://var/ckpt").status().message()),
              HasSubstr("file:///var/ckpt"));
  EXPECT_TRUE(absl::IsInvalidArgument(ParseStorageUrl("file:///").status()));
}

TEST(StorageUrl, GsIsGcs) { EXPECT_EQ(ParseStorageUrl("gs://b/x")->ToString(), "gcs://b/x"); }

TEST(StorageUrl, TheParentIsTheFolder) {
  EXPECT_EQ(ParseStorageUrl("s3://bucket/a/b.tar")->Parent().ToString(), "s3://bucket/a");
  EXPECT_EQ(ParseStorageUrl("s3://bucket")->Parent().path, "");
}

}  // namespace
}  // namespace cedana::plugin
