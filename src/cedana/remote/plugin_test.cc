#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cedana/plugin/loader.h"
#include "cedana/remote/testing/scripted_service.h"
#include "core/build_id.h"

namespace cedana::remote {
namespace {

using testing::HasSubstr;

// The shared object as it is installed: loaded, made, and talked to.
TEST(CedanaPlugin, LoadsAndReachesAService) {
  plugin::StoragePlugins plugins(STORAGE_PLUGIN_FOLDER);
  const absl::StatusOr<const plugin::StoragePluginV1*> found = plugins.Find("cedana");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_STREQ((*found)->name, "storage/cedana");
  EXPECT_STREQ((*found)->version, BuildVersion());

  ScriptedService service;
  service.On("GET /v3/checkpoints",
             {{200,
               base::DumpJson({{"checkpoints", base::Json::array({CheckpointJson("a/b")})}}),
               {},
               {}}});
  const absl::StatusOr<std::unique_ptr<plugin::StorageBackend>> backend =
      plugins.Open("cedana", {.url = service.origin(), .auth_token = "t"});
  ASSERT_TRUE(backend.ok()) << backend.status();
  const auto list = (*backend)->catalog().List({}, {});
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_EQ((*list)[0].path, "a/b");
  EXPECT_THAT(std::string(plugins.Open("cedana", {}).status().message()),
              HasSubstr("connection.url"));
}

}  // namespace
}  // namespace cedana::remote
