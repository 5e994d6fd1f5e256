#include "core/transfer/checkpoint_path.h"

#include <gtest/gtest.h>

#include <string>

namespace cedana::transfer {
namespace {

TEST(Paths, TakesPlainNamesAndDropsSuffixesAndOneLeadingSlash) {
  const std::pair<const char*, const char*> kGood[] = {
      {"a", "a"},
      {"/a", "a"},
      {"my-checkpoints/dump-process-my-job-1-1745322101",
       "my-checkpoints/dump-process-my-job-1-1745322101"},
      {"a/b.tar", "a/b"},
      {"a/b.tar.gz", "a/b"},
      {"a/b.tar.lz4", "a/b"},
      {"a/b.tar.zlib", "a/b"},
      {"a/b.tar.zst", "a/b"},
      {"a/b.tar.gz.tar", "a/b"},
      {"a.tar/b", "a.tar/b"},
      {"a/b.gz", "a/b.gz"},
      {"a/...", "a/..."},
      {"a/ b", "a/ b"},
      {"größe/日本/🙂", "größe/日本/🙂"},
  };
  for (const auto& [given, wanted] : kGood) {
    const auto path = NormalisePath(given);
    ASSERT_TRUE(path.ok()) << given << ": " << path.status();
    EXPECT_EQ(*path, wanted) << given;
    EXPECT_EQ(*NormalisePath(*path), *path) << given;
  }
}

TEST(Paths, RefusesWhatIsNoPath) {
  using std::string_literals::operator""s;
  const std::string kBad[] = {
      "",
      "/",
      "//a",
      "a//b",
      "a/",
      ".",
      "..",
      "a/./b",
      "a/../b",
      "../a",
      "a/..",
      ".tar",
      "a/.tar",
      "...tar",  // `..` after the suffix
      "a/..tar.gz.tar/..",
      "a\0b"s,
      "a\nb",
      "a\x7f",
      "a\xc2\x85",          // a C1 control character
      "a\xff",              // not UTF-8
      "a\xc0\xaf..",        // overlong '/'
      "a\xed\xa0\x80",      // surrogate
      "a\xf4\x90\x80\x80",  // past the last character
      "a\xe2\x82",          // cut
      std::string(256, 'x'),
      "a/" + std::string(256, 'x'),
  };
  for (const std::string& given : kBad) {
    EXPECT_TRUE(absl::IsInvalidArgument(NormalisePath(given).status())) << given;
  }
}

TEST(Paths, AFileKeepsItsNameUnderAPathThatNoCheckpointHas) {
  EXPECT_EQ(*NormaliseFile("x.tar"), "/x.tar");
  EXPECT_EQ(*NormaliseFile("/a/x.tar.gz.tar"), "/a/x.tar.gz.tar");
  EXPECT_EQ(*NormaliseFile(*NormaliseFile("a")), "/a");
  EXPECT_TRUE(IsFilePath("/x.tar"));
  EXPECT_FALSE(IsFilePath("x.tar"));
  EXPECT_FALSE(IsFilePath(""));
  EXPECT_FALSE(IsFilePath(*NormalisePath("/x.tar")));
  for (const char* bad : {"", "/", "//a", "a//b", "a/", "..", "a/../b", "a/.", "a\nb", "a\xff"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(NormaliseFile(bad).status())) << bad;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(NormaliseFile(std::string(256, 'x')).status()));
}

TEST(Paths, BoundsTheLength) {
  std::string path = std::string(255, 'x');
  for (int i = 0; i < 3; ++i) path += "/" + std::string(255, 'x');
  ASSERT_EQ(path.size(), 1023u);
  EXPECT_TRUE(NormalisePath(path).ok());
  EXPECT_TRUE(NormalisePath("/" + path).ok());
  EXPECT_FALSE(NormalisePath(path + "/y").ok());
}

TEST(Paths, AFolderMayBeTheRoot) {
  EXPECT_EQ(*NormaliseFolder(""), "");
  EXPECT_EQ(*NormaliseFolder("/"), "");
  EXPECT_EQ(*NormaliseFolder("/a/b/"), "a/b");
  EXPECT_EQ(*NormaliseFolder("a.tar"), "a.tar");
  EXPECT_FALSE(NormaliseFolder("a//b").ok());
  EXPECT_FALSE(NormaliseFolder("../a").ok());
  EXPECT_FALSE(NormaliseFolder("//").ok());
}

TEST(Paths, ListsUnderTheSuffixOfTheCompression) {
  EXPECT_EQ(SuffixOfCodec("none"), ".tar");
  EXPECT_EQ(SuffixOfCodec("lz4"), ".tar.lz4");
  EXPECT_EQ(SuffixOfCodec("gzip"), ".tar.gz");
  EXPECT_EQ(SuffixOfCodec("zlib"), ".tar.zlib");
  EXPECT_EQ(ViewSuffix("x.tar.lz4"), ".tar.lz4");
  EXPECT_EQ(ViewSuffix("x.lz4"), "");
}

}  // namespace
}  // namespace cedana::transfer
