// What every ObjectStore must do, as one GoogleTest suite. A test program includes this once and
// names its stores:
//
//   INSTANTIATE_TEST_SUITE_P(Memory, ObjectStoreConformance,
//                            testing::Values(StoreMaker{[] { return ...; }}));
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/random.h"
#include "core/base/thread.h"
#include "core/codec/crc32c.h"
#include "core/objstore/object_store.h"
#include "gtest/gtest.h"

namespace cedana::objstore {

// Makes an empty store. What it stands on lives as long as the returned pointer.
struct StoreMaker {
  std::function<std::shared_ptr<ObjectStore>()> make;

  // What some servers do not do, each by its name, and then tested as not done. Clouds, imposters
  // and stores of ours do all of it.
  bool enforces_create_only = true;  // else the second of two creators wins as well
  bool checks_checksums = true;      // else wrong bytes are taken
  bool words_absence = true;         // else a Delete of what is absent fails
};

inline ObjectKey Key(absl::string_view text) { return ObjectKey::Parse(text).value(); }

inline std::vector<uint8_t> RandomBytes(size_t size) {
  std::vector<uint8_t> bytes(size);
  base::SystemRandom().Fill(bytes.data(), bytes.size());
  return bytes;
}

// The range as one piece, or the error.
inline absl::StatusOr<std::vector<uint8_t>> Fetch(ObjectStore& store, const ObjectKey& key,
                                                  uint64_t offset = 0,
                                                  std::optional<uint64_t> length = std::nullopt) {
  std::vector<uint8_t> bytes;
  const absl::Status status =
      store.Get({}, key, offset, length, [&](std::span<const uint8_t> piece) {
        bytes.insert(bytes.end(), piece.begin(), piece.end());
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  return bytes;
}

class ObjectStoreConformance : public testing::TestWithParam<StoreMaker> {
 protected:
  void SetUp() override { store_ = GetParam().make(); }
  ObjectStore& store() { return *store_; }
  absl::Status Put(absl::string_view key, std::span<const uint8_t> bytes, PutOptions options = {}) {
    return store_->Put({}, Key(key), bytes, options);
  }
  void ExpectAbsent(absl::string_view key) {
    EXPECT_EQ(Fetch(store(), Key(key)).status().code(), absl::StatusCode::kNotFound);
  }
  std::vector<std::string> Names(const std::string& prefix, const std::string& after = "",
                                 size_t limit = 1000) {
    std::vector<std::string> names;
    const auto list = store_->List({}, prefix, after, limit);
    EXPECT_TRUE(list.ok()) << list.status();
    if (!list.ok()) return names;
    for (const ObjectInfo& info : *list) names.push_back(info.key);
    return names;
  }

 private:
  std::shared_ptr<ObjectStore> store_;
};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ObjectStoreConformance);

TEST_P(ObjectStoreConformance, ReadsBackWhatWasPut) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{4096}, (size_t{3} << 20) + 17}) {
    const auto bytes = RandomBytes(size);
    const std::string key = absl::StrCat("s/a/p-", size);
    ASSERT_TRUE(Put(key, bytes, {.crc32c = codec::Crc32c(bytes)}).ok());
    EXPECT_EQ(*Fetch(store(), Key(key)), bytes);
    const auto info = store().Head({}, Key(key));
    ASSERT_TRUE(info.ok() && info->has_value());
    EXPECT_EQ((*info)->key, key);
    EXPECT_EQ((*info)->bytes, size);
    EXPECT_LT(absl::AbsDuration(absl::Now() - (*info)->modified), absl::Minutes(5));
    if (store().capabilities().keeps_checksum) {
      EXPECT_EQ((*info)->crc32c, codec::Crc32c(bytes));
    }
  }
}

TEST_P(ObjectStoreConformance, AbsentIsNotFoundAndAValueOfHead) {
  ExpectAbsent("s/none");
  const auto info = store().Head({}, Key("s/none"));
  ASSERT_TRUE(info.ok());
  EXPECT_FALSE(info->has_value());
}

TEST_P(ObjectStoreConformance, CreateOnlyRefusesAndKeepsTheFirst) {
  const auto first = RandomBytes(100);
  ASSERT_TRUE(Put("s/one", first).ok());
  if (GetParam().enforces_create_only) {
    EXPECT_EQ(Put("s/one", RandomBytes(100)).code(), absl::StatusCode::kAlreadyExists);
    EXPECT_EQ(*Fetch(store(), Key("s/one")), first);
  } else {
    EXPECT_TRUE(Put("s/one", RandomBytes(100)).ok());
    EXPECT_NE(*Fetch(store(), Key("s/one")), first);
  }
  const auto second = RandomBytes(50);
  ASSERT_TRUE(Put("s/one", second, {.create_only = false}).ok());
  EXPECT_EQ(*Fetch(store(), Key("s/one")), second);
}

TEST_P(ObjectStoreConformance, RefusesAWrongChecksumAndLeavesNothing) {
  const auto bytes = RandomBytes(5000);
  const absl::Status put = Put("s/bad", bytes, {.crc32c = codec::Crc32c(bytes) + 1});
  if (!GetParam().checks_checksums) {
    EXPECT_TRUE(put.ok()) << put;
    return;
  }
  EXPECT_EQ(put.code(), absl::StatusCode::kDataLoss) << put;
  ExpectAbsent("s/bad");
  EXPECT_TRUE(Names("").empty());
}

TEST_P(ObjectStoreConformance, ReadsRangesAndRefusesThemPastTheEnd) {
  const auto bytes = RandomBytes(10000);
  ASSERT_TRUE(Put("r", bytes).ok());
  const auto slice = [&](size_t from, size_t to) {
    return std::vector<uint8_t>(bytes.begin() + static_cast<ptrdiff_t>(from),
                                bytes.begin() + static_cast<ptrdiff_t>(to));
  };
  EXPECT_EQ(*Fetch(store(), Key("r"), 0, 1), slice(0, 1));
  EXPECT_EQ(*Fetch(store(), Key("r"), 9999, 1), slice(9999, 10000));
  EXPECT_EQ(*Fetch(store(), Key("r"), 5000), slice(5000, 10000));
  EXPECT_EQ(*Fetch(store(), Key("r"), 10000), slice(0, 0));
  EXPECT_EQ(*Fetch(store(), Key("r"), 10000, 0), slice(0, 0));
  for (const auto& [offset, length] :
       std::vector<std::pair<uint64_t, std::optional<uint64_t>>>{{10001, std::nullopt},
                                                                 {10001, 0},
                                                                 {9999, 2},
                                                                 {0, 10001},
                                                                 {1, UINT64_MAX},
                                                                 {UINT64_MAX, 2}}) {
    EXPECT_EQ(Fetch(store(), Key("r"), offset, length).status().code(),
              absl::StatusCode::kInvalidArgument)
        << offset;
  }
}

TEST_P(ObjectStoreConformance, StopsWhenTheSinkFailsOrTheContextEnds) {
  const auto bytes = RandomBytes(4 << 20);
  ASSERT_TRUE(Put("big", bytes).ok());
  size_t taken = 0;
  EXPECT_EQ(store()
                .Get({}, Key("big"), 0, std::nullopt,
                     [&](std::span<const uint8_t> piece) {
                       taken += piece.size();
                       return absl::ResourceExhaustedError("enough");
                     })
                .code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_LT(taken, bytes.size());
  base::Context ended{.deadline = absl::Now() - absl::Seconds(1)};
  EXPECT_EQ(store().Put(ended, Key("late"), bytes, {}).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(store().Head(ended, Key("big")).status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(store().List(ended, "", "", 10).status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(store().Delete(ended, Key("big")).code(), absl::StatusCode::kDeadlineExceeded);
  ExpectAbsent("late");
}

TEST_P(ObjectStoreConformance, ListsInOrderByPages) {
  const std::vector<std::string> keys = {"a",     "a-b",  "b/1",  "b/1-x", "b/2/y",
                                         "b/2/z", "b/20", "b0/1", "c",     "c-0/d/e"};
  for (const std::string& key : keys) ASSERT_TRUE(Put(key, RandomBytes(10)).ok()) << key;
  std::vector<std::string> sorted = keys;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(Names(""), sorted);
  for (const size_t page : {1, 2, 3, 7}) {
    std::vector<std::string> all;
    while (true) {
      const auto some = Names("", all.empty() ? "" : all.back(), page);
      EXPECT_LE(some.size(), page);
      if (some.empty()) break;
      EXPECT_EQ(some.size(), std::min<size_t>(page, sorted.size() - all.size()));
      all.insert(all.end(), some.begin(), some.end());
    }
    EXPECT_EQ(all, sorted) << page;
  }
  EXPECT_EQ(Names("b/2"), (std::vector<std::string>{"b/2/y", "b/2/z", "b/20"}));
  EXPECT_EQ(Names("b/"), (std::vector<std::string>{"b/1", "b/1-x", "b/2/y", "b/2/z", "b/20"}));
  EXPECT_EQ(Names("b/", "b/1-x"), (std::vector<std::string>{"b/2/y", "b/2/z", "b/20"}));
  EXPECT_EQ(Names("b/", "b/2/y"), (std::vector<std::string>{"b/2/z", "b/20"}));
  EXPECT_EQ(Names("b/", "a"), Names("b/"));
  EXPECT_EQ(Names("c/"), std::vector<std::string>{});
  EXPECT_EQ(Names("b/", "z"), std::vector<std::string>{});
  for (const std::string hostile :
       {"/", "../", "..", ".", "b//", "B", ".tmp/", "b/../", "b/1/", "a/"}) {
    EXPECT_EQ(Names(hostile), std::vector<std::string>{}) << hostile;
  }
}

TEST_P(ObjectStoreConformance, DeletesOnceOrTwice) {
  ASSERT_TRUE(Put("d/x/1", RandomBytes(10)).ok());
  ASSERT_TRUE(Put("d/x/2", RandomBytes(10)).ok());
  EXPECT_TRUE(store().Delete({}, Key("d/x/1")).ok());
  EXPECT_EQ(store().Delete({}, Key("d/x/1")).ok(), GetParam().words_absence);
  EXPECT_EQ(store().Delete({}, Key("never/was")).ok(), GetParam().words_absence);
  EXPECT_EQ(Names(""), std::vector<std::string>{"d/x/2"});
  EXPECT_TRUE(store().Delete({}, Key("d/x/2")).ok());
  EXPECT_TRUE(Names("").empty());
  EXPECT_TRUE(Put("d/x/1", RandomBytes(10)).ok());
}

TEST_P(ObjectStoreConformance, SignsIfItSaysSo) {
  const absl::Time soon = absl::Now() + absl::Minutes(5);
  const auto put = store().SignPut(Key("s/new"), 10, 1, soon);
  const auto get = store().SignGet(Key("s/new"), soon);
  if (!store().capabilities().signs_requests) {
    EXPECT_EQ(put.status().code(), absl::StatusCode::kUnimplemented);
    EXPECT_EQ(get.status().code(), absl::StatusCode::kUnimplemented);
    return;
  }
  ASSERT_TRUE(put.ok() && get.ok());
  EXPECT_EQ(put->method, "PUT");
  EXPECT_EQ(get->method, "GET");
  EXPECT_NE(put->url, get->url);
  const absl::Time over = absl::Now() - absl::Seconds(5);
  EXPECT_EQ(store().SignPut(Key("s/new"), 10, 1, over).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(store().SignGet(Key("s/new"), over).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_P(ObjectStoreConformance, OneOfManyCreatorsWins) {
  constexpr int kRounds = 20;
  constexpr int kCreators = 8;
  for (int round = 0; round < kRounds; ++round) {
    const std::string key = absl::StrCat("race/r-", round, "/p");
    std::atomic<int> won{0};
    std::atomic<int> lost{0};
    std::atomic<int> winner{-1};
    std::vector<base::Thread> threads;
    for (int i = 0; i < kCreators; ++i) {
      threads.emplace_back("creator", [&, i] {
        const std::vector<uint8_t> bytes(1000, static_cast<uint8_t>(i));
        const absl::Status status = Put(key, bytes);
        if (status.ok()) {
          ++won;
          winner = i;
          EXPECT_TRUE(Fetch(store(), Key(key)).ok());
        } else if (absl::IsAlreadyExists(status)) {
          ++lost;
          EXPECT_TRUE(Fetch(store(), Key(key)).ok());  // so a second creator can compare
        }
      });
    }
    for (base::Thread& thread : threads) thread.Join();
    if (!GetParam().enforces_create_only) {
      EXPECT_EQ(won, kCreators);
      continue;
    }
    EXPECT_EQ(won, 1);
    EXPECT_EQ(lost, kCreators - 1);
    EXPECT_EQ(*Fetch(store(), Key(key)),
              std::vector<uint8_t>(1000, static_cast<uint8_t>(winner.load())));
  }
}

TEST_P(ObjectStoreConformance, NoReaderSeesAPartOfAnObject) {
  constexpr int kObjects = 20;
  constexpr size_t kBytes = 700 << 10;
  std::atomic<bool> done{false};
  std::atomic<int> seen{0};
  base::Thread reader("reader", [&] {
    while (!done) {
      for (int i = 0; i < kObjects; ++i) {
        const auto bytes = Fetch(store(), Key(absl::StrCat("v/", i)));
        if (!bytes.ok()) continue;
        EXPECT_EQ(bytes->size(), kBytes);
        ++seen;
      }
      const auto list = store().List({}, "v/", "", 100);
      ASSERT_TRUE(list.ok());
      for (const ObjectInfo& info : *list) EXPECT_EQ(info.bytes, kBytes);
    }
  });
  for (int i = 0; i < kObjects; ++i) {
    ASSERT_TRUE(Put(absl::StrCat("v/", i), RandomBytes(kBytes)).ok());
    EXPECT_TRUE(Fetch(store(), Key(absl::StrCat("v/", i))).ok());
  }
  while (seen < kObjects) absl::SleepFor(absl::Milliseconds(1));
  done = true;
}

}  // namespace cedana::objstore
