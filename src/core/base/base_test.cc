#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "core/base/context.h"
#include "core/base/fd.h"
#include "core/base/ids.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "core/base/thread.h"
#include "gtest/gtest.h"

namespace cedana::base {
namespace {

TEST(Id, RoundTripsThroughHex) {
  const PackId id = DrawId<PackId>(SystemRandom());
  EXPECT_EQ(*PackId::FromHex(id.ToHex()), id);
  EXPECT_FALSE(PackId::FromHex("12").ok());
  EXPECT_FALSE(PackId::FromHex(std::string(32, 'x')).ok());
}

TEST(Log, JsonHasNumbersAsNumbersAndStaysOneLine) {
  const std::string line =
      JsonLogLine(LogLevel::kWarn, "dumped",
                  {{"url", "cedana://a\n\"b\""}, {"bytes", uint64_t{1} << 40}, {"code", -1}});
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const Json json = *ParseJson(line);
  EXPECT_EQ(json["level"], "warning");
  EXPECT_EQ(json["event"], "dumped");
  EXPECT_EQ(json["url"], "cedana://a\n\"b\"");
  EXPECT_EQ(json["bytes"], int64_t{1} << 40);
  EXPECT_EQ(json["code"], -1);
  EXPECT_EQ(json["process"], ::getpid());
  EXPECT_TRUE(json["program"].is_string());
  const std::string time = json["time"].get<std::string>();
  EXPECT_EQ(time.size(), std::string("2026-01-02T03:04:05.678+00:00").size()) << time;
  EXPECT_EQ(time[10], 'T');
}

TEST(Status, ClassifiesErrno) {
  EXPECT_EQ(ErrnoStatus(ENOSPC, "x").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(IsTransient(ErrnoStatus(ECONNREFUSED, "x")));
  EXPECT_EQ(Annotate(absl::NotFoundError("b"), "a").message(), "a: b");
}

TEST(CancelSource, WakesWaitersAndRunsCallbacksOnce) {
  auto cancel = std::make_shared<CancelSource>();
  int calls = 0;
  cancel->OnCancel([&] { ++calls; });
  Context context{absl::InfiniteFuture(), cancel};
  Thread canceller("canceller", [&] { cancel->Cancel(absl::UnavailableError("gone")); });
  EXPECT_EQ(context.Sleep(absl::Seconds(30)).code(), absl::StatusCode::kUnavailable);
  canceller.Join();
  cancel->Cancel(absl::InternalError("second"));
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(cancel->status().message(), "gone");
}

TEST(Context, EndsAtItsDeadline) {
  const Context context = Context{}.WithTimeout(absl::Milliseconds(1));
  EXPECT_EQ(context.Sleep(absl::Seconds(10)).code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(WriteFileAtomic, LeavesNoTemporaryFile) {
  char folder[] = "/tmp/base_test.XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const std::string path = std::string(folder) + "/a";
  ASSERT_TRUE(WriteFileAtomic(path, "one", 0600).ok());
  ASSERT_TRUE(WriteFileAtomic(path, "two", 0600).ok());
  EXPECT_EQ(*ReadFile(path), "two");
  struct stat st {};
  ASSERT_EQ(stat(path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
  unlink(path.c_str());
  EXPECT_EQ(rmdir(folder), 0);
}

TEST(Json, NamesTheMissingKey) {
  const Json json = *ParseJson("{\"a\": 1}");
  EXPECT_EQ(*GetInt(json, "a"), 1);
  EXPECT_NE(GetString(json, "b").status().message().find("\"b\""), std::string::npos);
  EXPECT_FALSE(ParseJson("{").ok());
  EXPECT_FALSE(ParseJson("{\"a\": 1e999}").ok());
}

TEST(Json, HasALimitedDepth) {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_TRUE(ParseJson(nested(kJsonDepthMax)).ok());
  EXPECT_FALSE(ParseJson(nested(kJsonDepthMax + 1)).ok());
  EXPECT_TRUE(ParseJson("[{\"a\": [1]}, {\"b\": [2]}]", 3).ok());
  EXPECT_FALSE(ParseJson("[{\"a\": [1]}, {\"b\": [2]}]", 2).ok());
  // Side by side, and in texts, brackets are no levels.
  EXPECT_TRUE(ParseJson(R"([[], [], "[[[", "\"[[[", "\\", ["]"]])", 2).ok());
  EXPECT_FALSE(ParseJson(R"(["\\", [[]]])", 2).ok());
  // What would take more stack than a thread has is refused before anything is built of it, closed
  // or not.
  for (const std::string& hostile :
       {nested(10000000), std::string(10000000, '['), "{\"a\":" + nested(10000000) + "}"}) {
    const auto json = ParseJson(hostile);
    EXPECT_NE(json.status().message().find("more than 64 levels"), std::string::npos)
        << json.status();
  }
}

}  // namespace
}  // namespace cedana::base
