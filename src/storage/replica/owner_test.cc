// Whose a bucket is: two catalogs, and two names of one catalog, never work on the same objects.
#include "storage/replica/owner.h"

#include <gtest/gtest.h>

#include "storage/replica/testing/test_vault.h"

namespace cedana::replica {
namespace {

using objstore::Operation;

class OwnerTest : public ::testing::Test {
 protected:
  static objstore::ObjectKey Key(const std::string& text) {
    return *objstore::ObjectKey::Parse(text);
  }
  static absl::Status Write(objstore::ObjectStore& store, const std::string& key,
                            const std::string& text) {
    return store.Put({}, Key(key), {reinterpret_cast<const uint8_t*>(text.data()), text.size()},
                     {.create_only = false});
  }
  std::shared_ptr<objstore::ObjectStore> Store(size_t provider) {
    return {std::shared_ptr<void>(), test_.stores[provider].get()};
  }
  absl::Status ClaimAs(const std::string& name, size_t provider = 0) {
    return Claim({}, test_.vault, *test_.stores[provider], name);
  }

  TestVault test_{2};
};

TEST_F(OwnerTest, OnePlaceHasOneName) {
  ASSERT_TRUE(ClaimAs("p0").ok());
  EXPECT_EQ(test_.Keys(0, ""), std::vector<std::string>{kOwnerKey});
  EXPECT_TRUE(ClaimAs("p0").ok());
  const absl::Status second = ClaimAs("p1");
  EXPECT_TRUE(absl::IsAlreadyExists(second)) << second;
  EXPECT_NE(second.message().find("provider p0"), std::string::npos) << second;
  // A name that is none any more, forgotten or lost, holds nothing.
  ASSERT_TRUE(test_.metadata->providers().SetState("p0", metadata::ProviderState::kLost).ok());
  EXPECT_TRUE(ClaimAs("p1").ok());
  EXPECT_TRUE(absl::IsAlreadyExists(ClaimAs("p0")));
}

TEST_F(OwnerTest, AnotherCatalogIsRefusedAndTouchesNothing) {
  ASSERT_TRUE(ClaimAs("p0").ok());
  ASSERT_TRUE(Write(*test_.stores[0], "s/a", "precious").ok());
  TestVault other(1);  // it has a provider of the same name
  const absl::Status refused = Claim({}, other.vault, *test_.stores[0], "p0");
  EXPECT_TRUE(absl::IsAlreadyExists(refused)) << refused;
  EXPECT_NE(refused.message().find("another service"), std::string::npos) << refused;
  OwnedStore store(&other.vault, "p0", Store(0));
  EXPECT_TRUE(absl::IsUnavailable(store.Delete({}, Key("s/a"))));
  EXPECT_TRUE(absl::IsUnavailable(store.List({}, "s/", "", 10).status()));
  EXPECT_TRUE(absl::IsUnavailable(Write(store, "s/b", "x")));
  EXPECT_TRUE(absl::IsUnavailable(store.SignGet(Key("s/a"), absl::Now()).status()));
  EXPECT_EQ(test_.Keys(0, "s/"), std::vector<std::string>{"s/a"});
  EXPECT_TRUE(Disclaim({}, other.vault, *test_.stores[0], "p0").ok());
  EXPECT_TRUE(ClaimAs("p0").ok());  // it is still there
  // Once it is given up, others may have it.
  ASSERT_TRUE(Disclaim({}, test_.vault, *test_.stores[0], "p0").ok());
  other.clock.Advance(absl::Minutes(1));
  EXPECT_TRUE(store.List({}, "s/", "", 10).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(ClaimAs("p0")));
}

TEST_F(OwnerTest, ACatalogThatWasRestoredIsTheSame) {
  ASSERT_TRUE(ClaimAs("p0").ok());
  test_.metadata.reset();
  const std::string backup = test_.folder / "restored.db";
  std::filesystem::copy(test_.folder / "catalog.db", backup);
  test_.metadata = *metadata::Metadata::Open(backup, {.clock = &test_.clock});
  test_.vault.metadata = test_.metadata.get();
  EXPECT_TRUE(ClaimAs("p0").ok());
}

TEST_F(OwnerTest, IsAskedForAtTheFirstUseAndWrittenAgainWhenItIsGone) {
  OwnedStore store(&test_.vault, "p0", Store(0));
  test_.Darken(0);
  EXPECT_TRUE(absl::IsUnavailable(store.Head({}, Key("s/a")).status()));
  test_.stores[0]->Clear();
  EXPECT_TRUE(Write(store, "s/a", "x").ok());
  EXPECT_EQ(test_.Keys(0, "v/").size(), 1u);
  // Asked once.
  const int before = test_.stores[0]->operations();
  EXPECT_TRUE(store.Head({}, Key("s/a")).ok());
  EXPECT_EQ(test_.stores[0]->operations(), before + 1);
  // The bucket was emptied.
  ASSERT_TRUE(test_.memories[0]->Delete({}, Key(kOwnerKey)).ok());
  test_.clock.Advance(absl::Minutes(11));
  EXPECT_TRUE(store.Head({}, Key("s/a")).ok());
  EXPECT_EQ(test_.Keys(0, "v/").size(), 1u);
  // It became somebody else's.
  ASSERT_TRUE(test_.memories[0]->Delete({}, Key(kOwnerKey)).ok());
  ASSERT_TRUE(ClaimAs("p1").ok());
  test_.clock.Advance(absl::Minutes(11));
  EXPECT_TRUE(absl::IsUnavailable(store.Delete({}, Key("s/a"))));
  EXPECT_EQ(test_.Keys(0, "s/").size(), 1u);
}

TEST_F(OwnerTest, OneThatCannotBeReadKeepsNobodyFromWhatWasOurs) {
  OwnedStore store(&test_.vault, "p0", Store(0));
  ASSERT_TRUE(store.Head({}, Key("s/a")).ok());
  for (const std::string& text :
       {std::string("garbage"), std::string(10000, 'x'), std::string(R"({"vault": "a"})"),
        std::string(R"({"format": "cedana storage provider", "version": 2, "vault": "", )"
                    R"("provider": "p0"})")}) {
    ASSERT_TRUE(Write(*test_.memories[0], kOwnerKey, text).ok());
    test_.clock.Advance(absl::Minutes(11));
    EXPECT_TRUE(store.Head({}, Key("s/a")).ok()) << text;
    OwnedStore fresh(&test_.vault, "p0", Store(0));
    // Never an error that would be taken for one of the object's.
    EXPECT_TRUE(absl::IsUnavailable(fresh.Head({}, Key("s/a")).status())) << text;
    EXPECT_FALSE(ClaimAs("p0").ok());
  }
}

TEST_F(OwnerTest, AFullPlaceThatHasNoneCanBeRead) {
  test_.stores[0]->Add(
      {.operation = Operation::kPut, .times = -1, .fail = absl::ResourceExhaustedError("full")});
  OwnedStore store(&test_.vault, "p0", Store(0));
  EXPECT_TRUE(store.Head({}, Key("s/a")).ok());
}

}  // namespace
}  // namespace cedana::replica
