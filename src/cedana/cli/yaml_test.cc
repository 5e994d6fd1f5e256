#include "cedana/cli/yaml.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "daemon_api.h"

namespace cedana::cli {
namespace {

using Json = nlohmann::ordered_json;

TEST(MessageToJson, LowersNamesAndLeavesOutWhatIsAbsent) {
  daemon_api::Job job;
  job.set_jid("my-job-1");
  job.mutable_state()->set_pid(7);
  job.mutable_state()->set_starttime(1739968236000);
  job.mutable_state()->add_uids(0);
  job.mutable_state()->add_children()->set_pid(8);
  const Json json = MessageToJson(job);
  EXPECT_EQ(json["jid"], "my-job-1");
  EXPECT_EQ(json["state"]["pid"], 7);
  EXPECT_EQ(json["state"]["starttime"], 1739968236000);
  EXPECT_EQ(json["state"]["uids"], Json::array({0}));
  EXPECT_EQ(json["state"]["children"][0]["pid"], 8);
  EXPECT_EQ(json["attachable"], false);
  EXPECT_FALSE(json.contains("latest"));
  EXPECT_FALSE(json["state"].contains("mounts"));
}

TEST(ToYaml, NestsObjectsAndLists) {
  const Json value = {{"jid", "my-job-1"},
                      {"state", {{"pid", 7}, {"isrunning", true}}},
                      {"files", {{{"path", "/a b"}, {"fd", 1}}, {{"path", "/c"}}}},
                      {"uids", {0, 1}},
                      {"none", Json::array()}};
  EXPECT_EQ(ToYaml(value),
            "jid: my-job-1\n"
            "state:\n"
            "  pid: 7\n"
            "  isrunning: true\n"
            "files:\n"
            "  - path: /a b\n"
            "    fd: 1\n"
            "  - path: /c\n"
            "uids:\n"
            "  - 0\n"
            "  - 1\n"
            "none: []\n");
}

TEST(ToYaml, QuotesWhatWouldBeReadAsSomethingElse) {
  for (const char* text : {"", "true", "No", "123", "1e5", "0x1f", "2025-02-19", "a: b", "- x",
                           "#x", "*x", "a\nb", " x", "x ", "[x]", "'x'", "~"}) {
    const std::string yaml = ToYaml(Json{{"k", text}});
    EXPECT_EQ(yaml[3], '"') << yaml;
  }
  EXPECT_EQ(ToYaml(Json{{"k", "cedana-output-1.log"}}), "k: cedana-output-1.log\n");
  EXPECT_EQ(ToYaml(Json{{"k", "3f2a-77"}}), "k: \"3f2a-77\"\n");
}

}  // namespace
}  // namespace cedana::cli
