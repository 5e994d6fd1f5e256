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
