#include "cedana/remote/wire.h"

#include <gtest/gtest.h>

#include "cedana/remote/testing/scripted_service.h"

namespace cedana::remote {
namespace {

using base::Json;

TEST(Wire, CommitCarriesEveryMemberOfTheInterface) {
  transfer::CommitRequest request;
  request.checkpoint = *base::CheckpointId::FromHex(std::string(32, '1'));
  request.path = "a/b";
  request.manifest = std::string("\0\xff", 2);
  request.packs = {{*base::PackId::FromHex(std::string(32, '2')), 9, 4000000000u, 3, true, {"p"}}};
  request.image_bytes = 1;
  request.stored_bytes = 2;
  request.new_bytes = 3;
  request.codec = "lz4";
  request.facts.job_name = "j";
  const Json json = ToJson(request);
  EXPECT_EQ(json["manifest"], "AP8=");
  EXPECT_EQ(json["packs"][0]["pack"], std::string(32, '2'));
  EXPECT_EQ(json["packs"][0]["crc32c"], 4000000000u);
  EXPECT_EQ(json["packs"][0]["key_epoch"], 3);
  EXPECT_EQ(json["packs"][0]["own"], true);
  EXPECT_EQ(json["packs"][0]["providers"], Json::array({"p"}));
  EXPECT_EQ(json["facts"]["job_name"], "j");
  for (const char* key : {"checkpoint", "path", "image_bytes", "stored_bytes", "new_bytes"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
}

TEST(Wire, QueriesAreEncoded) {
  EXPECT_EQ(ToQuery({}), "?limit=1000");
  EXPECT_EQ(ToQuery({.prefix = "a/b c",
                     .job_name = "j&k",
                     .newest_per_job = true,
                     .before_sequence = 5,
                     .limit = 5000}),
            "?prefix=a%2Fb%20c&job_name=j%26k&newest_per_job=1&before_sequence=5&limit=1000");
}

TEST(Wire, ReadsACheckpoint) {
  const absl::StatusOr<transfer::CheckpointInfo> info = CheckpointFromJson(CheckpointJson("a"));
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->path, "a");
  EXPECT_EQ(info->sequence, 7u);
  EXPECT_EQ(absl::ToUnixSeconds(info->created), 1745322101);
  EXPECT_EQ(info->facts.job_name, "my-job-1");
}

TEST(Wire, EveryMissingOrWrongMemberIsNamed) {
  for (const char* key : {"id", "path", "sequence", "created_ms", "image_bytes", "stored_bytes"}) {
    Json json = CheckpointJson("a");
    json.erase(key);
    const absl::Status missing = CheckpointFromJson(json).status();
    EXPECT_TRUE(absl::IsInvalidArgument(missing)) << key;
    EXPECT_NE(missing.message().find(key), absl::string_view::npos) << missing;
    json[key] = Json::array();
    EXPECT_TRUE(absl::IsInvalidArgument(CheckpointFromJson(json).status())) << key;
  }
  Json negative = CheckpointJson("a");
  negative["sequence"] = -1;
  EXPECT_FALSE(CheckpointFromJson(negative).ok());
  EXPECT_FALSE(CheckpointFromJson(Json("text")).ok());
}

TEST(Wire, KeysMustBeWhole) {
  ASSERT_TRUE(KeysFromJson(KeysJson()).ok());
  EXPECT_EQ(KeysFromJson(KeysJson())->sealing[0].key[0], 's');
  Json none = KeysJson();
  none["sealing"] = Json::array();
  EXPECT_FALSE(KeysFromJson(none).ok());
  Json cut = KeysJson();
  cut["page_id_key"] = "AP8=";
  EXPECT_FALSE(KeysFromJson(cut).ok());
}

TEST(Wire, GrantsOfPlainHttpElsewhereAreRefused) {
  const base::PackId pack = *base::PackId::FromHex(std::string(32, '1'));
  const Json json = *base::ParseJson(GrantsBody(pack, {"p"}, "PUT"));
  Json good = json;
  good["grants"][0]["url"] = "/v3/objects/p/k?sig=1";
  const absl::StatusOr<std::vector<Grant>> grants = GrantsFromJson(good, "http://127.0.0.1:1");
  ASSERT_TRUE(grants.ok()) << grants.status();
  EXPECT_EQ((*grants)[0].url, "http://127.0.0.1:1/v3/objects/p/k?sig=1");
  EXPECT_EQ((*grants)[0].headers, (http::Headers{{"x-test", "p"}}));
  Json bad = json;
  bad["grants"][0]["url"] = "http://example.com/k";
  EXPECT_FALSE(GrantsFromJson(bad, "http://127.0.0.1:1").ok());
}

TEST(Wire, OutcomesAreTheFourStates) {
  EXPECT_EQ(*OutcomeFromJson({{"state", "committed"}}), transfer::SaveOutcome::kCommitted);
  EXPECT_EQ(*OutcomeFromJson({{"state", "unknown"}}), transfer::SaveOutcome::kUnknown);
  EXPECT_FALSE(OutcomeFromJson({{"state", "maybe"}}).ok());
}

}  // namespace
}  // namespace cedana::remote
