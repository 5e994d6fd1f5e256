#include "cedana/cli/progress.h"

#include <gtest/gtest.h>

#include "core/base/fd.h"

namespace cedana::cli {
namespace {

class FakeClock : public base::Clock {
 public:
  absl::Time Now() override { return absl::UnixEpoch() + now; }
  absl::Duration Monotonic() override { return now; }
  void Sleep(absl::Duration duration) override { now += duration; }
  absl::Duration now = absl::Seconds(100);
};

// What was written to stderr by the end.
template <typename Function>
std::string Written(bool terminal, Function use) {
  base::Pipe pipe = *base::MakePipe();
  FakeClock clock;
  const Terminal written(-1, -1, pipe.write.get(), terminal);
  {
    Progress progress(written, clock, "my-job-1");
    use(progress, clock);
  }
  pipe.write.Reset();
  std::string text(4096, '\0');
  text.resize(*base::ReadFully(pipe.read.get(), reinterpret_cast<uint8_t*>(text.data()), 4096));
  return text;
}

TEST(ProgressText, ShowsStageBytesAndRate) {
  EXPECT_EQ(ProgressText({"freezing", 0, 0, 0}, absl::Seconds(1)), "freezing");
  EXPECT_EQ(ProgressText({"uploading", 312u << 20, 1u << 30, 104u << 20}, absl::Seconds(2)),
            "uploading  312 MiB of 1 GiB  stored 104 MiB  156 MiB/s");
}

TEST(Progress, WritesNothingWhereNobodyLooks) {
  EXPECT_EQ(Written(false,
                    [](Progress& progress, FakeClock&) {
                      progress.Update({"reading", 1, 0, 0});
                    }),
            "");
}

TEST(Progress, RewritesItsLineAndClearsItAtTheEnd) {
  EXPECT_EQ(Written(true,
                    [](Progress& progress, FakeClock& clock) {
                      progress.Update({"reading", 0, 0, 0});
                      progress.Update({"reading", 1024, 0, 0});  // too soon
                      clock.Sleep(absl::Seconds(1));
                      progress.Update({"reading", 2048, 0, 0});
                    }),
            "\rmy-job-1: reading\x1b[K"
            "\rmy-job-1: reading  2 KiB  2 KiB/s\x1b[K"
            "\r\x1b[K");
}

TEST(Progress, NotesStayAboveTheLine) {
  EXPECT_EQ(Written(true,
                    [](Progress& progress, FakeClock&) {
                      progress.Note("first");
                      progress.Update({"reading", 0, 0, 0});
                      progress.Note("second");
                    }),
            "first\n"
            "\rmy-job-1: reading\x1b[K"
            "\r\x1b[Ksecond\n"
            "\rmy-job-1: reading\x1b[K"
            "\r\x1b[K");
}

}  // namespace
}  // namespace cedana::cli
