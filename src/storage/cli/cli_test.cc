#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "storage/api/testing/running_node.h"
#include "storage/cli/cli.h"
#include "storage/cli/commands.h"

namespace cedana::cli {
namespace {

class CliTest : public api::NodeTest {
 protected:
  struct Outcome {
    int code;
    std::string out;
    std::string error;
  };
  // Runs the program's command line in this process.
  Outcome Run(std::vector<std::string> words) {
    words.insert(words.begin(), "cedana-storage");
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    const int code = Main(static_cast<int>(argv.size()), argv.data());
    const std::string out = ::testing::internal::GetCapturedStdout();
    std::string error;
    for (const absl::string_view line :
         absl::StrSplit(::testing::internal::GetCapturedStderr(), '\n')) {
      if (absl::StartsWith(line, "Error: ")) absl::StrAppend(&error, line, "\n");
    }
    return {code, out, error};
  }
  // Against the running node, with its operator's token.
  Outcome Admin(std::vector<std::string> words) {
    words.insert(words.end(), {"--url", Origin(), "--data", folder_.string()});
    return Run(std::move(words));
  }
};

TEST_F(CliTest, AdministersARunningService) {
  StartNode();
  EXPECT_EQ(Admin({"org", "create", "acme"}).code, 0);
  const Outcome again = Admin({"org", "create", "acme"});
  EXPECT_EQ(again.code, 1);
  EXPECT_EQ(again.error, "Error: organisation acme: exists already\n");
  EXPECT_TRUE(absl::StrContains(Admin({"org", "list"}).out, "acme\n"));

  const std::string token =
      std::string(absl::StripAsciiWhitespace(Admin({"token", "create", "--org", "acme"}).out));
  EXPECT_EQ(Call("GET", "/v2/user", {}, token).status, 200);
  const auto list = base::ParseJson(Admin({"token", "list", "--org", "acme", "-o", "json"}).out);
  ASSERT_TRUE(list.ok()) << list.status();
  ASSERT_EQ(list->size(), 1u);
  EXPECT_EQ(Admin({"token", "revoke", (*list)[0]["id"]}).code, 0);
  EXPECT_EQ(Call("GET", "/v2/user", {}, token).status, 401);
  EXPECT_TRUE(absl::StrContains(Admin({"token", "list"}).out, "revoked"));
  EXPECT_TRUE(absl::StrContains(Admin({"collect"}).out, "deleted_packs=0"));
  const std::string status = Admin({"status"}).out;
  EXPECT_TRUE(absl::StrContains(status, "debt: none")) << status;
  EXPECT_TRUE(
      absl::StrContains(status, "repair since the start: 0 objects, 0 copies (0 B) written"))
      << status;
  EXPECT_TRUE(absl::StrContains(status, "found 0 damaged, 0 missing")) << status;
}

TEST_F(CliTest, SendsTheTokenToNoOtherMachineWithoutTls) {
  StartNode();
  const std::string other = absl::StrCat("http://storage.example:", node_->port());
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"status", "--url", other}, {"status", "--url", "http://0.0.0.0:7070/"}}) {
    std::vector<std::string> all = words;
    all.insert(all.end(), {"--data", folder_.string()});
    const Outcome outcome = Run(all);
    EXPECT_EQ(outcome.code, 1);
    EXPECT_EQ(outcome.error,
              absl::StrCat("Error: --url (CEDANA_STORAGE_URL) \"", words[2],
                           "\" is plain http:// to another machine, which would show token and "
                           "keys to the network: use https://\n"));
  }
  EXPECT_TRUE(absl::StrContains(
      Run({"status", "--url", "127.0.0.1:7070", "--data", folder_.string()}).error,
      "must start with https:// (or http:// on loopback)"));
}

TEST_F(CliTest, SaysInOneLineWhatIsWrong) {
  StartNode();
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {},
           {"frobnicate"},
           {"serve"},
           {"token", "create"},
           {"org", "list", "--url", Origin()},  // no token
           {"org", "list", "--url", Origin(), "--operator-token-file", folder_ / "token"},
           {"org", "list", "--url", "http://127.0.0.1:1", "--data", folder_},
           {"serve", "--data", folder_, "--listen", "127.0.0.1:0"},
           {"serve", "--data", folder_ / "x", "--listen", "0.0.0.0:1"},
           {"serve", "--data", folder_ / "x", "--listen", "0.0.0.0:1", "--tls-cert", folder_ / "c"},
           {"serve", "--data", folder_ / "x", "--listen", "127.0.0.1:0", "--tls-cert",
            folder_ / "c", "--tls-key", folder_ / "k"},  // neither is there
           {"serve", "--data", folder_ / "x", "--listen", "127.0.0.1"},
           {"serve", "--data", folder_ / "x", "--listen", "127.0.0.1:0", "--provider", "x"},
           {"serve", "--data", folder_ / "x", "--listen", "127.0.0.1:0", "--lease", "10",
            "--heartbeat", "9"}}) {
    const Outcome outcome = Run(words);
    EXPECT_EQ(outcome.code, 1) << ::testing::PrintToString(words);
    EXPECT_EQ(std::count(outcome.error.begin(), outcome.error.end(), '\n'), 1) << outcome.error;
    EXPECT_EQ(outcome.out, "") << ::testing::PrintToString(words);
  }
  EXPECT_EQ(Run({"--help"}).code, 0);
  EXPECT_TRUE(absl::StartsWith(Run({"version"}).out, "cedana-storage "));
}

}  // namespace
}  // namespace cedana::cli
