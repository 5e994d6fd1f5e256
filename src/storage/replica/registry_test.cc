#include "storage/replica/registry.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "core/base/fd.h"
#include "storage/replica/testing/test_vault.h"

namespace cedana::replica {
namespace {

TEST(ParseProvider, WantsANameAndAUrl) {
  const auto spec = ParseProvider("a-1=file:///var/x?domain=rack-1");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->name, "a-1");
  EXPECT_EQ(spec->url, "file:///var/x?domain=rack-1");
  for (const char* bad :
       {"", "a", "=file:///x", "A=file:///x", "a=/x", "a/b=file:///x", "..=file:///x"}) {
    EXPECT_FALSE(ParseProvider(bad).ok()) << bad;
  }
  EXPECT_EQ(ParseProviders(R"({"providers": [{"name": "a", "url": "file:///x"}]})")->size(), 1u);
  for (const char* bad :
       {"", "[]", "{}", R"({"providers": [1]})", R"({"providers": [{"name": "a"}]})"}) {
    EXPECT_FALSE(ParseProviders(bad).ok()) << bad;
  }
}

class RegistryTest : public ::testing::Test {
 protected:
  RegistryTest() : test_(0) {}

  ProviderSpec At(const std::string& name, const std::string& more = "") const {
    return {name, absl::StrCat("file://", (test_.folder / name).string(), more), ""};
  }
  // As after a start of the service.
  absl::Status Load(const std::vector<ProviderSpec>& given) {
    for (const ProviderPtr& provider : test_.providers.All()) {
      test_.providers.Remove(provider->name);
    }
    return registry_.Load(given);
  }
  std::vector<std::string> Known() {
    std::vector<std::string> names;
    for (const ProviderPtr& provider : test_.providers.All()) names.push_back(provider->name);
    return names;
  }
  using Names = std::vector<std::string>;

  TestVault test_;
  ProviderRegistry registry_{&test_.vault, test_.folder / "providers"};
};

TEST_F(RegistryTest, WhatWasGivenOnceIsKnownAtTheNextStart) {
  EXPECT_FALSE(Load({}).ok());
  EXPECT_FALSE(Load({{"a", "ftp://x", ""}}).ok());
  EXPECT_FALSE(Load({At("a"), At("a")}).ok());
  EXPECT_FALSE(Load({{"a", "file:///no/such/parent/x", ""}}).ok());
  ASSERT_TRUE(Load({At("a"), At("b", "?domain=rack")}).ok());
  EXPECT_EQ(test_.providers.Find("b")->domain, "rack");
  ASSERT_TRUE(Load({}).ok());
  EXPECT_EQ(Known(), (Names{"a", "b"}));
  EXPECT_EQ(test_.metadata->providers().PolicyOf(test_.organisation)->copies, 2u);
  // It may move to another address, not to another failure domain.
  EXPECT_TRUE(absl::IsAlreadyExists(Load({At("b", "?domain=other")})));
}

TEST_F(RegistryTest, OneThatCannotBeOpenedStopsNobodyAndIsTriedAgain) {
  ASSERT_TRUE(Load({At("a"), At("b")}).ok());
  std::filesystem::remove_all(test_.folder / "b");
  ASSERT_TRUE(base::WriteFileAtomic(test_.folder / "b", "no directory", 0600).ok());
  ASSERT_TRUE(Load({At("a"), At("b")}).ok());
  EXPECT_EQ(Known(), (Names{"a", "b"}));
  EXPECT_FALSE(test_.providers.Find("b")->opened);
  EXPECT_FALSE(
      test_.providers.Find("b")->store->Head({}, *objstore::ObjectKey::Parse("k/probe")).ok());
  std::filesystem::remove(test_.folder / "b");
  registry_.Reopen();
  EXPECT_TRUE(test_.providers.Find("b")->opened);
  EXPECT_NE(test_.providers.Find("b")->directory, nullptr);
}

TEST_F(RegistryTest, ASecretThatOthersCanReadIsNotUsed) {
  ProviderSpec b = At("b");
  b.credentials = "{}";
  ASSERT_TRUE(Load({At("a")}).ok());
  ASSERT_TRUE(registry_.Add(b).ok());
  const std::string file = test_.folder / "providers" / "b.json";
  ASSERT_EQ(::chmod(file.c_str(), 0644), 0);
  ASSERT_TRUE(Load({}).ok());
  EXPECT_FALSE(test_.providers.Find("b")->opened);
  const absl::Status why =
      test_.providers.Find("b")->store->Head({}, *objstore::ObjectKey::Parse("k/probe")).status();
  EXPECT_NE(why.message().find("chmod 600 " + file), std::string::npos) << why;
  ASSERT_EQ(::chmod(file.c_str(), 0600), 0);
  registry_.Reopen();
  EXPECT_TRUE(test_.providers.Find("b")->opened);
}

TEST_F(RegistryTest, AddsAndRemovesWhileServing) {
  ASSERT_TRUE(Load({At("a")}).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(registry_.Remove("a", true)));
  ProviderSpec b = At("b");
  b.credentials = "{\"secret\": 1}";
  ASSERT_TRUE(registry_.Add(b).ok());
  struct stat info {};
  ASSERT_EQ(::stat((test_.folder / "providers" / "b.json").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_TRUE(absl::IsAlreadyExists(registry_.Add(b)));
  // It has the organisations' keys.
  const std::string key = OrganisationKeyKey(test_.organisation);
  EXPECT_TRUE(ReadObject({}, *test_.providers.Find("b")->store, key, 4096).ok());
  ASSERT_TRUE(registry_.Remove("b", false).ok());
  EXPECT_EQ(test_.providers.Find("b")->state, metadata::ProviderState::kDraining);
  EXPECT_EQ(test_.metadata->providers().PolicyOf(test_.organisation)->copies, 1u);
  ASSERT_TRUE(registry_.Forget("b").ok());
  EXPECT_EQ(Known(), Names{"a"});
  EXPECT_NE(::stat((test_.folder / "providers" / "b.json").c_str(), &info), 0);
  ASSERT_TRUE(registry_.Add(b).ok());  // the name is free again
  ASSERT_TRUE(registry_.Remove("b", true).ok());
  EXPECT_EQ(Known(), Names{"a"});
  EXPECT_TRUE(absl::IsFailedPrecondition(registry_.Add(b)));
  EXPECT_NE(::stat((test_.folder / "providers" / "b.json").c_str(), &info), 0);  // nor its secret
  ASSERT_TRUE(Load({At("a"), At("b")}).ok());  // its flag is still there: warned of, not used
  EXPECT_EQ(Known(), Names{"a"});
  EXPECT_TRUE(absl::IsNotFound(registry_.Remove("b", true)));
}

TEST_F(RegistryTest, OnePlaceIsOneProvider) {
  ASSERT_TRUE(Load({At("a")}).ok());
  std::filesystem::create_directory_symlink(test_.folder / "a", test_.folder / "link");
  const std::string url = At("a").url;
  for (const std::string& same : {url, url + "/", url + "/in", url + "/../a?domain=other",
                                  At("link").url, absl::StrCat("file://", test_.folder.string())}) {
    const absl::Status added = registry_.Add({"b", same, ""});
    EXPECT_TRUE(absl::IsAlreadyExists(added)) << same << ": " << added;
  }
  EXPECT_TRUE(absl::IsAlreadyExists(Load({At("a"), {"b", url, ""}})));
  EXPECT_EQ(test_.metadata->providers().All()->size(), 1u);
  ASSERT_TRUE(Load({}).ok());
  ASSERT_TRUE(registry_.Add(At("ab")).ok());
  // As a copy of the same place that no spelling shows, a mount say.
  std::filesystem::create_directory(test_.folder / "mount");
  std::filesystem::copy(test_.folder / "a" / "v", test_.folder / "mount" / "v");
  const absl::Status mounted = registry_.Add(At("mount"));
  EXPECT_TRUE(absl::IsAlreadyExists(mounted)) << mounted;
  // Given up, it is free.
  ASSERT_TRUE(registry_.Remove("a", false).ok());
  ASSERT_TRUE(registry_.Forget("a").ok());
  EXPECT_FALSE(std::filesystem::exists(test_.folder / "a" / "v"));
  EXPECT_TRUE(registry_.Add({"b", url, ""}).ok());
}

TEST_F(RegistryTest, WhatBelongsToAnotherServiceIsNotUsed) {
  TestVault other(0);
  ProviderRegistry others(&other.vault, other.folder / "providers");
  ASSERT_TRUE(others.Load({At("a")}).ok());
  ASSERT_TRUE(Load({At("b")}).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(registry_.Add(At("a"))));
  EXPECT_TRUE(absl::IsAlreadyExists(Load({At("b"), At("a")})));
  // One that becomes another's while the service is down, as when two catalogs were merged by hand.
  std::filesystem::remove_all(test_.folder / "b" / "v");
  std::filesystem::copy(test_.folder / "a" / "v", test_.folder / "b" / "v");
  ASSERT_TRUE(Load({At("b")}).ok());
  const ProviderPtr b = test_.providers.Find("b");
  EXPECT_FALSE(b->opened);
  EXPECT_EQ(b->directory, nullptr);
  const absl::Status why = b->store->Head({}, *objstore::ObjectKey::Parse("k/probe")).status();
  EXPECT_NE(why.message().find("another service"), std::string::npos) << why;
  std::filesystem::remove_all(test_.folder / "b" / "v");
  registry_.Reopen();
  EXPECT_TRUE(test_.providers.Find("b")->opened);
}

TEST_F(RegistryTest, CredentialsThatWereExchangedAreTakenAtTheNextStart) {
  ProviderSpec cloud{"b", "s3://bucket?endpoint=http://127.0.0.1:9&style=path", ""};
  cloud.credentials = R"({"access_key_id": "AKIDEXAMPLE", "secret_access_key": "s"})";
  // It is dark, which holds up no start.
  ASSERT_TRUE(Load({At("a"), cloud}).ok());
  EXPECT_TRUE(test_.providers.Find("b")->opened);
  const std::string file = test_.folder / "providers" / "b.json";
  ASSERT_TRUE(base::WriteFileAtomic(file, "{}", 0600).ok());
  ASSERT_TRUE(Load({}).ok());
  EXPECT_FALSE(test_.providers.Find("b")->opened);
  ASSERT_TRUE(
      base::WriteFileAtomic(file, R"({"access_key_id": "AKIDNEW", "secret_access_key": "n"})", 0600)
          .ok());
  ASSERT_TRUE(Load({}).ok());
  EXPECT_TRUE(test_.providers.Find("b")->opened);
}

TEST(PlaceOf, IsOneForAllSpellingsOfAPlace) {
  const auto place = [](const std::string& url, const std::string& credentials = "") {
    return PlaceOf({"a", url, credentials}).value_or("none");
  };
  const std::string amazon = place("s3://b/x?region=eu-central-1");
  EXPECT_EQ(amazon, "s3:s3.eu-central-1.amazonaws.com/b/x");
  EXPECT_EQ(place("s3://b/x/?endpoint=https://S3.eu-central-1.amazonaws.com:443/&domain=d"),
            amazon);
  EXPECT_NE(place("s3://b/y?region=eu-central-1"), amazon);
  EXPECT_NE(place("s3://b/x?endpoint=https://minio:9000"), amazon);
  EXPECT_EQ(place("gs://b/x"), place("gcs://b/x?domain=other"));
  EXPECT_NE(place("gcs://b/x"), place("s3://b/x"));
  EXPECT_EQ(place("azure://c/x", R"({"account": "acme", "key": "a2V5"})"),
            place("azure://c/x?account=acme"));
  EXPECT_NE(place("azure://c/x?account=one"), place("azure://c/x?account=two"));
  EXPECT_EQ(place("file:///no/../such/"), "file:/such");
}

TEST_F(RegistryTest, ASecretThatComesWithARefusedRowChangesNothing) {
  ProviderSpec b = At("b");
  b.credentials = "{}";
  ASSERT_TRUE(Load({At("a")}).ok());
  ASSERT_TRUE(registry_.Add(b).ok());
  ProviderSpec moved = At("b", "?domain=other");
  moved.credentials = "another";
  EXPECT_TRUE(absl::IsAlreadyExists(Load({moved})));
  EXPECT_EQ(*base::ReadFile(test_.folder / "providers" / "b.json"), "{}");
}

TEST_F(RegistryTest, NoPolicyIsDrainedBelowItsAck) {
  ASSERT_TRUE(Load({At("a"), At("b"), At("c")}).ok());
  const auto choose = [&](uint32_t copies, uint32_t ack) {
    return test_.metadata->providers().SetPolicy(test_.organisation,
                                                 metadata::Policy{copies, ack, true});
  };
  ASSERT_TRUE(choose(3, 3).ok());
  const absl::Status refused = registry_.Remove("b", /*lost=*/false);
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_NE(refused.message().find("organisation one wants ack=3"), std::string::npos) << refused;
  EXPECT_TRUE(test_.providers.Find("b")->active());
  ASSERT_TRUE(choose(3, 2).ok());
  EXPECT_TRUE(registry_.Remove("b", /*lost=*/false).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(registry_.Remove("c", /*lost=*/false)));
  // What is lost is lost, whatever a policy says.
  EXPECT_TRUE(registry_.Remove("c", /*lost=*/true).ok());
}

}  // namespace
}  // namespace cedana::replica
