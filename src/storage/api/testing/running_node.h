// A whole service on loopback over a temporary folder, and a client that speaks to it.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/fd.h"
#include "core/base/json.h"
#include "core/base/random.h"
#include "core/codec/crc32c.h"
#include "core/http/client.h"
#include "storage/api/node.h"
#include "storage/metadata/testing/fake_catalog.h"

namespace cedana::api {

struct Answer {
  int status = 0;
  base::Json json;
  std::string body;
  http::Headers headers;
  std::string Code() const { return json.is_object() ? base::StringOr(json, "code", "") : ""; }
  std::string Header(const std::string& name) const {
    for (const auto& [key, value] : headers) {
      if (key == name) return value;
    }
    return "";
  }
};

class NodeTest : public ::testing::Test {
 protected:
  NodeTest() {
    folder_ = std::filesystem::temp_directory_path() /
              absl::StrCat("cedana-node-", absl::Hex(base::SystemRandom().Next64()));
    std::filesystem::create_directory(folder_);
    client_ = *http::Client::Create({});
    options_.data_dir = folder_;
    options_.port = 0;
    options_.clock = &clock_;
    options_.times.sweep_interval = absl::Hours(1);
  }
  ~NodeTest() override {
    node_.reset();
    std::filesystem::remove_all(folder_);
  }

  void StartNode() {
    auto node = Node::Start(options_);
    ASSERT_TRUE(node.ok()) << node.status();
    node_ = *std::move(node);
    token_ = ReadToken("token");
    operator_token_ = ReadToken("operator-token");
  }
  std::string ReadToken(const std::string& name) const {
    return std::string(absl::StripAsciiWhitespace(*base::ReadFile(folder_ / name)));
  }
  std::string Origin() const {
    const char* scheme = options_.tls_cert_file.empty() ? "http" : "https";
    return absl::StrCat(scheme, "://127.0.0.1:", node_->port());
  }

  Answer Do(http::ClientRequest request) {
    const auto response = client_->Do({}, request);
    EXPECT_TRUE(response.ok()) << request.method << " " << request.url << ": " << response.status();
    Answer answer;
    if (!response.ok()) return answer;
    answer.status = response->status;
    answer.body = response->body;
    answer.headers = response->headers;
    if (auto json = base::ParseJson(answer.body); json.ok()) answer.json = *std::move(json);
    return answer;
  }
  // With this organisation's token unless another is given; "-" is none.
  Answer Call(const std::string& method, const std::string& target, const base::Json& body = {},
              const std::string& token = "") {
    http::ClientRequest request{.method = method, .url = Origin() + target};
    if (token != "-") {
      request.headers.emplace_back("Authorization",
                                   absl::StrCat("Bearer ", token.empty() ? token_ : token));
    }
    const std::string text = body.is_null() ? "" : base::DumpJson(body);
    request.body = {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
    request.has_body = method != "GET" && method != "DELETE" && method != "HEAD";
    return Do(std::move(request));
  }
  Answer Put(const std::string& url, const std::string& bytes) {
    http::ClientRequest request{.method = "PUT", .url = url};
    request.body = {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
    request.has_body = true;
    request.expect_continue = true;
    return Do(std::move(request));
  }
  Answer Get(const std::string& url, http::Headers headers = {}) {
    return Do({.method = "GET", .url = url, .headers = std::move(headers)});
  }

  static uint32_t Crc(const std::string& bytes) {
    return codec::Crc32c({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  }
  template <typename IdType>
  static std::string Draw() {
    return base::DrawId<IdType>(base::SystemRandom()).ToHex();
  }

  // A save as a client goes through it, one pack of bytes that need not mean anything.
  struct TestSave {
    std::string save = Draw<base::SaveId>();
    std::string checkpoint = Draw<base::CheckpointId>();
    std::string pack = Draw<base::PackId>();
    std::string path;
    std::string bytes = "sealed bytes of a pack";
    std::string manifest = "sealed manifest";
    base::Json facts = {{"job_id", ""}, {"job_name", "my-job-1"}, {"type", "process"}};

    std::string Target(const std::string& action = "") const {
      return absl::StrCat("/v3/saves/", save, action);
    }
    base::Json Begin() const { return {{"checkpoint", checkpoint}, {"path", path}}; }
    base::Json Pack() const {
      return {{"pack", pack}, {"bytes", bytes.size()}, {"crc32c", Crc(bytes)}};
    }
    base::Json Commit() const {
      base::Json entry = Pack();
      entry["key_epoch"] = 1;
      entry["own"] = true;
      entry["providers"] = {"local"};
      return {{"checkpoint", checkpoint},
              {"path", path},
              {"manifest", base::Base64Encode(manifest)},
              {"packs", {entry}},
              {"image_bytes", 100},
              {"stored_bytes", bytes.size()},
              {"new_bytes", bytes.size()},
              {"codec", "lz4"},
              {"facts", facts}};
    }
  };
  std::string UploadUrl(const TestSave& save) {
    const Answer grants = Call("POST", save.Target("/grants"), {{"packs", {save.Pack()}}});
    EXPECT_EQ(grants.status, 200) << grants.body;
    return grants.json["grants"][0]["url"].get<std::string>();
  }
  // Begun, uploaded and committed.
  TestSave Commit(const std::string& path) {
    TestSave save{.path = path};
    EXPECT_EQ(Call("PUT", save.Target(), save.Begin()).status, 200);
    EXPECT_EQ(Put(UploadUrl(save), save.bytes).status, 201);
    const Answer committed = Call("POST", save.Target("/commit"), save.Commit());
    EXPECT_EQ(committed.status, 200) << committed.body;
    return save;
  }
  size_t CountObjects(const std::string& under) const {
    size_t count = 0;
    const std::filesystem::path folder = folder_ / "objects" / under;
    if (!std::filesystem::exists(folder)) return 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
      count += entry.is_regular_file() ? 1 : 0;
    }
    return count;
  }

  metadata::FakeClock clock_;
  std::filesystem::path folder_;
  NodeOptions options_;
  std::unique_ptr<http::Client> client_;
  std::unique_ptr<Node> node_;
  std::string token_;
  std::string operator_token_;
};

}  // namespace cedana::api
