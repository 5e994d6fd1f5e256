#include "core/objstore/credentials.h"

#include <sys/stat.h>

#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/fd.h"
#include "core/base/json.h"
#include "core/objstore/testing/service_account.h"
#include "gtest/gtest.h"

namespace cedana::objstore {
namespace {

class CredentialsTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name :
         {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
          "AWS_SHARED_CREDENTIALS_FILE", "GOOGLE_APPLICATION_CREDENTIALS", "AZURE_STORAGE_ACCOUNT",
          "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN"}) {
      unsetenv(name);
    }
  }
  void TearDown() override {
    SetUp();
    if (!path_.empty()) unlink(path_.c_str());
  }
  std::string File(absl::string_view text) {
    path_ = absl::StrCat("/tmp/credentials_test.", getpid());
    EXPECT_TRUE(base::WriteFileAtomic(path_, text, 0600).ok());
    return path_;
  }
  absl::StatusOr<Credentials> Load(absl::string_view url) {
    return LoadCredentials(StoreUrl::Parse(url).value());
  }

  std::string path_;
};

constexpr char kIni[] = R"(# comment
[other]
aws_access_key_id = WRONG
aws_secret_access_key = WRONG
[default]
aws_access_key_id = AKID
aws_secret_access_key=S/e+c=ret
aws_session_token = TOKEN==
)";

TEST_F(CredentialsTest, SaysOnceThatOthersCanReadAFile) {
  const std::string url = "s3://b?credentials=" + File(kIni);
  const auto said = [&] {
    testing::internal::CaptureStderr();
    EXPECT_TRUE(Load(url).ok());
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_EQ(said(), "");
  ASSERT_EQ(chmod(path_.c_str(), 0640), 0);
  const std::string warning = said();
  EXPECT_TRUE(absl::StrContains(warning, "chmod 600 " + path_)) << warning;
  EXPECT_EQ(said(), "");
}

TEST_F(CredentialsTest, ReadsS3FromBothKindsOfFile) {
  auto ini = Load("s3://b?credentials=" + File(kIni));
  ASSERT_TRUE(ini.ok()) << ini.status();
  EXPECT_EQ(ini->s3->access_key_id, "AKID");
  EXPECT_EQ(ini->s3->secret_access_key, "S/e+c=ret");
  EXPECT_EQ(ini->s3->session_token, "TOKEN==");
  auto json =
      Load("s3://b?credentials=" + File(R"({"access_key_id": "A", "secret_access_key": "B"})"));
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ(json->s3->access_key_id, "A");
  EXPECT_TRUE(json->s3->session_token.empty());
}

TEST_F(CredentialsTest, ReadsS3FromTheEnvironment) {
  EXPECT_EQ(Load("s3://b").status().code(), absl::StatusCode::kUnauthenticated);
  setenv("AWS_SHARED_CREDENTIALS_FILE", File(kIni).c_str(), 1);
  EXPECT_EQ(Load("s3://b")->s3->access_key_id, "AKID");
  setenv("AWS_PROFILE", "other", 1);
  EXPECT_EQ(Load("s3://b")->s3->access_key_id, "WRONG");
  setenv("AWS_PROFILE", "none", 1);
  EXPECT_EQ(Load("s3://b").status().code(), absl::StatusCode::kInvalidArgument);
  setenv("AWS_ACCESS_KEY_ID", "ID", 1);
  EXPECT_EQ(Load("s3://b").status().code(), absl::StatusCode::kInvalidArgument);
  setenv("AWS_SECRET_ACCESS_KEY", "SECRET", 1);
  EXPECT_EQ(Load("s3://b")->s3->secret_access_key, "SECRET");
}

TEST_F(CredentialsTest, ReadsAServiceAccount) {
  const base::Json key = {{"type", "service_account"},
                          {"client_email", TestServiceAccount().client_email},
                          {"private_key", TestServiceAccount().private_key}};
  auto loaded = Load("gcs://b?credentials=" + File(base::DumpJson(key)));
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->gcs->client_email, TestServiceAccount().client_email);
  EXPECT_EQ(Load("gcs://b").status().code(), absl::StatusCode::kUnauthenticated);
  setenv("GOOGLE_APPLICATION_CREDENTIALS", path_.c_str(), 1);
  EXPECT_TRUE(Load("gcs://b").ok());
  EXPECT_FALSE(Load("gcs://b?credentials=" + File(R"({"type": "authorized_user"})")).ok());
}

TEST_F(CredentialsTest, ReadsAzureKeysAndSignatures) {
  auto key = Load("azure://c?credentials=" + File(R"({"account": "me", "key": "a2V5"})"));
  ASSERT_TRUE(key.ok()) << key.status();
  EXPECT_EQ(key->azure->account, "me");
  EXPECT_EQ(key->azure->key, "a2V5");
  EXPECT_EQ(Load("azure://c?credentials=" + File("?sv=1&sig=x%3D\n"))->azure->sas, "sv=1&sig=x%3D");
  EXPECT_EQ(Load("azure://c").status().code(), absl::StatusCode::kUnauthenticated);
  setenv("AZURE_STORAGE_KEY", "a2V5", 1);
  EXPECT_EQ(Load("azure://c?account=you")->azure->account, "you");
  setenv("AZURE_STORAGE_ACCOUNT", "me", 1);
  EXPECT_EQ(Load("azure://c?account=you")->azure->account, "me");
}

TEST_F(CredentialsTest, NeedsNoneForADirectory) { EXPECT_TRUE(Load("file:///x").ok()); }

TEST_F(CredentialsTest, NamesNoSecretInAnError) {
  for (const std::string& text :
       {std::string(R"({"access_key_id": "hunter2"})"),
        std::string(R"({"access_key_id": "hunter2", "secret_access_key": "hun ter2"})"),
        std::string(R"({"access_key_id": "hunter2", "secret_access_key": "hunter2\n"})"),
        std::string("{\"access_key_id\": \"hunter2\""), std::string("hunter2"),
        std::string("[default]\naws_secret_access_key = hunter2\n")}) {
    for (const char* url :
         {"s3://b?credentials=", "gcs://b?credentials=", "azure://b?credentials="}) {
      const auto loaded = Load(url + File(text));
      EXPECT_EQ(loaded.status().code(), absl::StatusCode::kInvalidArgument) << text;
      EXPECT_FALSE(absl::StrContains(loaded.status().message(), "hunter2")) << loaded.status();
      EXPECT_TRUE(absl::StrContains(loaded.status().message(), path_)) << loaded.status();
    }
  }
  EXPECT_EQ(Load("s3://b?credentials=/nowhere").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace cedana::objstore
