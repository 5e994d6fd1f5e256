#include "core/format/aead.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "core/base/ids.h"
#include "core/format/aead_internal.h"
#include "core/format/bytes.h"
#include "core/format/test_keys.h"

namespace cedana::format {
namespace {

template <size_t kSize>
std::string Hex(const std::array<uint8_t, kSize>& bytes) {
  return base::HexEncode(bytes.data(), kSize);
}

std::vector<uint8_t> FromHex(const std::string& hex) {
  const std::string bytes = *base::HexDecode(hex);
  return {bytes.begin(), bytes.end()};
}

TEST(Hkdf, MatchesRfc5869WhereItCan) {
  // The RFC's own vectors have keys of other lengths; this one is made by Python's hmac module.
  EXPECT_EQ(Hex(DeriveKey(CountingKey(), {}, "info")),
            "cccad7895238973b7b227c5216571c432f4602b7264e8e35cde4d3249e93720e");
  const std::vector<uint8_t> salt(16, 0xbb);
  EXPECT_EQ(Hex(DeriveKey(CountingKey(), salt, "info")),
            "85ea954d85bd187d38d27b847b50e22254618b90e3f17109e55061536ce54082");
}

TEST(Aead, MatchesTheVectorOfTheGcmPaper) {
  // Test case 16 of McGrew and Viega.
  Key256 key;
  const std::vector<uint8_t> key_bytes =
      FromHex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
  std::copy(key_bytes.begin(), key_bytes.end(), key.begin());
  Nonce nonce;
  const std::vector<uint8_t> nonce_bytes = FromHex("cafebabefacedbaddecaf888");
  std::copy(nonce_bytes.begin(), nonce_bytes.end(), nonce.begin());
  const std::vector<uint8_t> plain = FromHex(
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e24"
      "49a6b525b16aedf5aa0de657ba637b39");
  const std::vector<uint8_t> associated = FromHex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
  std::vector<uint8_t> sealed(plain.size() + kTagBytes);
  MakeAead(key)->Seal(nonce, associated, plain, sealed.data());
  EXPECT_EQ(sealed, FromHex("522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb0"
                            "8e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
                            "76fc6ece0f4e1768cddf8853bb2d551b"));
}

TEST(Aead, SealsInPlaceAndOpens) {
  std::unique_ptr<Aead> aead = MakeAead(CountingKey());
  const std::vector<uint8_t> associated = {1, 2, 3};
  for (size_t size : {0u, 1u, 15u, 16u, 17u, 4096u, 262144u}) {
    std::vector<uint8_t> plain(size);
    for (size_t i = 0; i < size; ++i) plain[i] = static_cast<uint8_t>(i * 7);
    std::vector<uint8_t> sealed(size + kTagBytes);
    aead->Seal({}, associated, plain, sealed.data());
    std::vector<uint8_t> in_place(plain);
    in_place.resize(size + kTagBytes);
    aead->Seal({}, associated, std::span(in_place).first(size), in_place.data());
    EXPECT_EQ(sealed, in_place);
    std::vector<uint8_t> opened(size);
    EXPECT_TRUE(aead->Open({}, associated, sealed, opened.data()));
    EXPECT_EQ(opened, plain);
    sealed[size / 2] ^= 1;
    EXPECT_FALSE(aead->Open({}, associated, sealed, opened.data()));
  }
  EXPECT_FALSE(aead->Open({}, associated, {}, nullptr));
}

TEST(Aead, EveryFormGivesTheSameBytes) {
  std::mt19937 random(1);
  Key256 key;
  for (int round = 0; round < 200; ++round) {
    for (uint8_t& byte : key) byte = static_cast<uint8_t>(random());
    std::vector<uint8_t> plain(random() % 5000);
    std::vector<uint8_t> associated(random() % 80);
    Nonce nonce;
    for (uint8_t& byte : plain) byte = static_cast<uint8_t>(random());
    for (uint8_t& byte : associated) byte = static_cast<uint8_t>(random());
    for (uint8_t& byte : nonce) byte = static_cast<uint8_t>(random());
    std::vector<uint8_t> fast(plain.size() + kTagBytes);
    std::vector<uint8_t> reference(plain.size() + kTagBytes);
    MakeAead(key)->Seal(nonce, associated, plain, fast.data());
    MakeOpenSslAead(key)->Seal(nonce, associated, plain, reference.data());
    ASSERT_EQ(fast, reference) << plain.size() << " " << associated.size();
    std::vector<uint8_t> opened(plain.size());
    ASSERT_TRUE(MakeAead(key)->Open(nonce, associated, reference, opened.data()));
    ASSERT_EQ(opened, plain);
    ASSERT_EQ(MakeZeroNonceGmac(key)->Of(plain), MakeOpenSslGmac(key)->Of(plain)) << plain.size();
  }
}

}  // namespace
}  // namespace cedana::format
