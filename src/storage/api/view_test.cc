// The tar view: its layout byte by byte, and a real checkpoint downloaded as one.
#include <gtest/gtest.h>

#include <map>

#include "absl/strings/match.h"
#include "core/codec/testing/expand_stream.h"
#include "core/transfer/save.h"
#include "core/transfer/testing/image_fakes.h"
#include "storage/api/tar_layout.h"
#include "storage/api/testing/running_node.h"
#include "storage/replica/org_catalog.h"

namespace cedana::api {
namespace {

using Files = std::map<std::string, std::string>;

uint64_t Octal(const std::string& archive, size_t at, size_t size) {
  return std::stoull(archive.substr(at, size), nullptr, 8);
}

// The files of an archive; checks every header on the way.
Files ReadTar(const std::string& archive, std::vector<std::string>* names) {
  Files files;
  std::string long_name;
  size_t at = 0;
  while (at + 512 <= archive.size() && archive[at] != '\0') {
    std::string header = archive.substr(at, 512);
    const uint64_t sum = Octal(header, 148, 7);
    header.replace(148, 8, 8, ' ');
    uint64_t counted = 0;
    for (const char c : header) counted += static_cast<uint8_t>(c);
    EXPECT_EQ(counted, sum);
    EXPECT_EQ(header.substr(257, 8), std::string("ustar\0"
                                                 "00",
                                                 8));
    EXPECT_EQ(Octal(header, 136, 12), 0u);  // mtime
    EXPECT_EQ(Octal(header, 108, 8) + Octal(header, 116, 8), 0u);
    const uint64_t size = Octal(header, 124, 12);
    const std::string body = archive.substr(at + 512, size);
    at += 512 + (size + 511) / 512 * 512;
    if (header[156] == 'x') {
      const size_t start = body.find("path=") + 5;
      long_name = body.substr(start, body.find('\n', start) - start);
      EXPECT_EQ(std::stoull(body), body.size());
      continue;
    }
    std::string name = header.substr(0, 100);
    name = name.substr(0, name.find('\0'));
    if (!long_name.empty()) name = std::exchange(long_name, "");
    names->push_back(name);
    if (header[156] == '0') files[name] = body;
  }
  EXPECT_EQ(archive.substr(at), std::string(1024, '\0'));
  return files;
}

TEST(TarLayout, KnowsItsLengthAndHoldsLongNames) {
  const std::vector<transfer::ImageFile> files = {
      {"a.img", 0}, {"b.img", 512}, {std::string(255, 'c'), 513}};
  const std::vector<TarPiece> pieces = LayOutTar(files);
  std::string archive;
  for (const TarPiece& piece : pieces) {
    archive += piece.file.empty() ? piece.literal : std::string(piece.bytes, piece.file[0]);
  }
  EXPECT_EQ(archive.size(), TarBytes(pieces));
  EXPECT_EQ(archive.size() % 512, 0u);
  std::vector<std::string> names;
  const Files read = ReadTar(archive, &names);
  EXPECT_EQ(names, (std::vector<std::string>{".", "a.img", "b.img", std::string(255, 'c')}));
  EXPECT_EQ(read.at("b.img"), std::string(512, 'b'));
  EXPECT_EQ(read.at(std::string(255, 'c')), std::string(513, 'c'));
}

TEST(TarLayout, GivesAFileOverEightGiBItsSizeInAPaxHeader) {
  const uint64_t size = (uint64_t{8} << 30) + 5;
  const std::vector<TarPiece> pieces = LayOutTar({{"pages-1.img", size}});
  EXPECT_TRUE(absl::StrContains(pieces[0].literal, absl::StrCat("size=", size, "\n")));
  EXPECT_GT(TarBytes(pieces), size);
  EXPECT_EQ(TarBytes(pieces) % 512, 0u);
}

class ViewTest : public NodeTest {
 protected:
  void SetUp() override { StartNode(); }

  void SaveImages(const std::string& path, const Files& images) {
    const replica::Vault& vault = node_->vault();
    const auto organisation = vault.metadata->identities().FindOrganisation("default")->id;
    replica::OrgCatalog catalog(&vault, organisation);
    transfer::SaveOptions options;
    options.save = base::DrawId<base::SaveId>(base::SystemRandom());
    options.checkpoint = base::DrawId<base::CheckpointId>(base::SystemRandom());
    options.path = path;
    options.codec = "lz4";
    options.random = &base::SystemRandom();
    auto save = transfer::Save::Begin({}, options, &catalog, [&](const base::SaveId& id) {
      return replica::MakePackSink(&vault, id);
    });
    ASSERT_TRUE(save.ok()) << save.status();
    for (const auto& [name, bytes] : images) {
      transfer::StringSource source(bytes);
      const absl::Status stored = (*save)->Store(name, source);
      ASSERT_TRUE(stored.ok()) << stored;
    }
    const auto info = (*save)->Finish({}, absl::Seconds(30));
    ASSERT_TRUE(info.ok()) << info.status();
  }
  std::string ViewUrl(const std::string& path, const std::string& suffix = ".tar") {
    const Answer answer = Call("GET", "/v2/files/" + http::PercentEncode(path + suffix));
    EXPECT_EQ(answer.status, 200) << answer.body;
    return answer.body;
  }
  std::string Memory(size_t bytes) {
    std::string memory(bytes, '\0');
    base::SystemRandom().Fill(reinterpret_cast<uint8_t*>(memory.data()), bytes / 2);
    return memory;
  }
};

TEST_F(ViewTest, GivesEveryFileOfACheckpoint) {
  const Files images = {{"core-1.img", "core"},
                        {"inventory.img", ""},
                        {"pages-1.img", Memory(3u << 20)},
                        {"process_state.json", "{}"}};
  SaveImages("a/b", images);
  const std::string url = ViewUrl("a/b");
  const Answer whole = Get(url);
  ASSERT_EQ(whole.status, 200);
  EXPECT_EQ(whole.Header("content-length"), absl::StrCat(whole.body.size()));
  std::vector<std::string> names;
  EXPECT_EQ(ReadTar(whole.body, &names), images);
  EXPECT_EQ(names, (std::vector<std::string>{".", "core-1.img", "inventory.img", "pages-1.img",
                                             "process_state.json"}));
  const Answer head = Do({.method = "HEAD", .url = url});
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.Header("content-length"), absl::StrCat(whole.body.size()));
  EXPECT_EQ(head.Header("etag"), whole.Header("etag"));
  const Answer part = Get(url, {{"Range", "bytes=300-1500000"}});
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.body, whole.body.substr(300, 1499701));
  EXPECT_EQ(Get(url).body, whole.body);
}

TEST_F(ViewTest, AnswersConditionsAndRangesOfTheTar) {
  SaveImages("a", {{"pages-1.img", Memory(1u << 20)}});
  const std::string url = ViewUrl("a");
  const Answer whole = Get(url);
  const std::string etag = whole.Header("etag");
  ASSERT_FALSE(etag.empty());
  EXPECT_EQ(whole.Header("accept-ranges"), "bytes");
  const auto status = [&](const std::string& name, const std::string& value) {
    return Get(url, {{name, value}}).status;
  };
  EXPECT_EQ(status("If-None-Match", etag), 304);
  EXPECT_EQ(status("If-None-Match", "\"x\", W/" + etag), 304);
  EXPECT_EQ(status("If-None-Match", "*"), 304);
  EXPECT_EQ(status("If-None-Match", "\"x\""), 200);
  EXPECT_EQ(status("If-Match", etag), 200);
  EXPECT_EQ(status("If-Match", "\"x\", " + etag), 200);
  EXPECT_EQ(status("If-Match", "\"x\""), 412);
  EXPECT_EQ(status("If-Match", "W/" + etag), 412);
  const Answer same = Get(url, {{"Range", "bytes=-7"}, {"If-Range", etag}});
  EXPECT_EQ(same.status, 206);
  EXPECT_EQ(same.body, whole.body.substr(whole.body.size() - 7));
  for (const std::string& other :
       {std::string("\"x\""), "W/" + etag, std::string("Wed, 21 Oct 2026 07:28:00 GMT")}) {
    const Answer changed = Get(url, {{"Range", "bytes=-7"}, {"If-Range", other}});
    EXPECT_EQ(changed.status, 200) << other;
    EXPECT_TRUE(changed.body == whole.body);
  }
  const Answer outside = Get(url, {{"Range", "bytes=99999999-"}});
  EXPECT_EQ(outside.status, 416);
  EXPECT_EQ(outside.Header("content-range"), absl::StrCat("bytes */", whole.body.size()));
}

TEST_F(ViewTest, CompressedViewsHoldTheSameArchive) {
  SaveImages("a", {{"core-1.img", "core"}, {"pages-1.img", Memory(5u << 20)}, {"x.img", ""}});
  const std::string archive = Get(ViewUrl("a")).body;
  const std::pair<const char*, codec::Container> kViews[] = {{".tar.gz", codec::Container::kGzip},
                                                             {".tar.zlib", codec::Container::kZlib},
                                                             {".tar.lz4", codec::Container::kLz4},
                                                             {".tar.zst", codec::Container::kZstd}};
  for (const auto& [suffix, container] : kViews) {
    const std::string url = ViewUrl("a", suffix);
    const Answer view = Get(url, {{"Range", "bytes=5-"}});
    EXPECT_EQ(view.status, 200) << suffix;
    EXPECT_EQ(view.Header("transfer-encoding"), "chunked") << suffix;
    EXPECT_LT(view.body.size(), archive.size() * 3 / 4) << suffix;
    EXPECT_TRUE(codec::ExpandStream(container, view.body, archive.size()) == archive) << suffix;
    EXPECT_EQ(Get(url, {{"If-None-Match", view.Header("etag")}}).status, 304) << suffix;
    EXPECT_EQ(Do({.method = "HEAD", .url = url}).body, "") << suffix;
  }
  EXPECT_EQ(Call("GET", "/v2/files/a.tar.bz2").status, 404);
  EXPECT_EQ(Call("GET", "/v2/files/a").status, 404);
}

TEST_F(ViewTest, WantsItsGrantAndTheCheckpointItWasGivenFor) {
  SaveImages("a", {{"x.img", "one"}});
  const std::string url = ViewUrl("a");
  std::string altered = url;
  altered.back() = altered.back() == '0' ? '1' : '0';
  EXPECT_EQ(Get(altered).status, 403);
  EXPECT_EQ(Get(Origin() + "/v2/data/x").status, 403);
  ASSERT_EQ(Call("DELETE", "/v3/checkpoints?path=a").status, 200);
  EXPECT_EQ(Get(url).status, 404);
  SaveImages("a", {{"x.img", "two"}});
  EXPECT_EQ(Get(url).status, 404);
  const std::string fresh = ViewUrl("a");
  clock_.Advance(absl::Minutes(15));
  EXPECT_EQ(Get(fresh).status, 403);
}

TEST_F(ViewTest, ADamagedPackCutsTheDownload) {
  SaveImages("a", {{"pages-1.img", Memory(4u << 20)}});
  const std::string urls[] = {ViewUrl("a"), ViewUrl("a", ".tar.gz"), ViewUrl("a", ".tar.lz4"),
                              ViewUrl("a", ".tar.zlib"), ViewUrl("a", ".tar.zst")};
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ / "objects/s")) {
    if (!entry.is_regular_file() || entry.file_size() < (1u << 20)) continue;
    std::string bytes = *base::ReadFile(entry.path());
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 4);
    ASSERT_TRUE(base::WriteFileAtomic(entry.path(), bytes, 0600).ok());
  }
  for (const std::string& url : urls) {
    const auto broken = client_->Do({}, {.method = "GET", .url = url});
    EXPECT_FALSE(broken.ok() && broken->status == 200);
  }
}

}  // namespace
}  // namespace cedana::api
