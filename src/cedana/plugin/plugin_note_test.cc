#include "cedana/plugin/plugin_note.h"

#include <gtest/gtest.h>

#include "core/base/fd.h"
#include "core/build_id.h"

namespace cedana::plugin {
namespace {

std::string Bytes(const char* path) {
  absl::StatusOr<std::string> bytes = base::ReadFile(path, 512u << 20);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  return bytes.value_or("");
}

TEST(PluginNote, SaysVersionAndBuild) {
  const absl::StatusOr<PluginNote> note = ReadPluginNote(Bytes(FAKE_PLUGIN_ONE));
  ASSERT_TRUE(note.ok()) << note.status();
  EXPECT_EQ(note->version, BuildVersion());
  EXPECT_EQ(note->build_id, BuildId());
  EXPECT_EQ(ReadPluginNote(Bytes(FAKE_PLUGIN_OTHER))->build_id, "0123456789abcdef");
}

TEST(PluginNote, AnyOtherFileIsRefused) {
  EXPECT_TRUE(absl::IsInvalidArgument(ReadPluginNote("").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(ReadPluginNote(std::string(4096, 'x')).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(ReadPluginNote(Bytes("/proc/self/exe")).status()));
}

TEST(PluginNote, AFileCutAnywhereIsRefusedOrStillReadRight) {
  const std::string whole = Bytes(FAKE_PLUGIN_ONE);
  for (size_t size = 0; size < 4096 && size < whole.size(); size += 7) {
    const absl::StatusOr<PluginNote> note = ReadPluginNote(absl::string_view(whole.data(), size));
    if (!note.ok()) continue;
    EXPECT_EQ(note->build_id, BuildId()) << size;
  }
}

}  // namespace
}  // namespace cedana::plugin
