#include "core/format/page_id.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

#include "core/format/test_keys.h"

namespace cedana::format {
namespace {

std::vector<uint8_t> Filled(size_t size, uint8_t byte) { return std::vector<uint8_t>(size, byte); }

TEST(PageId, NeverChanges) {
  // docs/format/page-id.md has the same values.
  PageIdHasher hasher(CountingKey());
  EXPECT_EQ(hasher.IdOf(Filled(4096, 'a')).ToHex(), "22e1ed1d44c7baf71ef6251fe0e37eaf");
  EXPECT_EQ(hasher.IdOf(Filled(100, 'a')).ToHex(), "5471d45351e39ca72009e655a42b0ca7");
}

TEST(PageId, DependsOnKeyContentAndLength) {
  PageIdHasher hasher(CountingKey());
  Key256 other_key = CountingKey();
  other_key[31] ^= 1;
  std::set<base::PageId> ids;
  ids.insert(hasher.IdOf(Filled(4096, 'a')));
  ids.insert(PageIdHasher(other_key).IdOf(Filled(4096, 'a')));
  std::vector<uint8_t> page = Filled(4096, 'a');
  page[4095] ^= 0x80;
  ids.insert(hasher.IdOf(page));
  std::vector<uint8_t> padded = Filled(100, 'a');
  ids.insert(hasher.IdOf(padded));
  padded.push_back(0);
  ids.insert(hasher.IdOf(padded));
  padded.resize(4096);
  ids.insert(hasher.IdOf(padded));
  EXPECT_EQ(ids.size(), 6u);
}

TEST(PageId, OfManyPagesIsThatOfEach) {
  std::mt19937 random(1);
  std::vector<uint8_t> bytes(150 * 4096 + 77);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  PageIdHasher hasher(CountingKey());
  std::vector<base::PageId> ids(151);
  hasher.IdsOf(bytes, ids);
  for (size_t i = 0; i < ids.size(); ++i) {
    const size_t size = std::min<size_t>(4096, bytes.size() - i * 4096);
    EXPECT_EQ(ids[i], hasher.IdOf(std::span(bytes).subspan(i * 4096, size))) << i;
  }
}

TEST(IsZero, SeesEveryByte) {
  for (size_t size : {0u, 1u, 7u, 8u, 9u, 100u, 4096u}) {
    std::vector<uint8_t> bytes(size);
    EXPECT_TRUE(IsZero(bytes));
    for (size_t i = 0; i < size; ++i) {
      bytes[i] = 1;
      EXPECT_FALSE(IsZero(bytes)) << i << " of " << size;
      bytes[i] = 0;
    }
  }
}

}  // namespace
}  // namespace cedana::format
