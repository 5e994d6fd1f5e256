// Blocks and objects open only as exactly what they were sealed as.
#include <gtest/gtest.h>

#include <vector>

#include "core/format/bytes.h"
#include "core/format/commit_record.h"
#include "core/format/manifest.h"
#include "core/format/sealed_object.h"
#include "core/format/sealer.h"
#include "core/format/test_keys.h"

namespace cedana::format {
namespace {

using codec::Codec;

TEST(PackSealer, OpensOnlyUnderTheSameName) {
  const auto organisation = FilledId<base::OrgId>(0xaa);
  const auto pack = FilledId<base::PackId>(0xbb);
  const SealingKey key{1, CountingKey()};
  const std::vector<uint8_t> text(1000, 'x');
  std::vector<uint8_t> sealed(text.size() + kTagBytes);
  PackSealer(organisation, key, pack).Seal(3, Codec::kLz4, 4096, text, sealed.data());

  std::vector<uint8_t> plain(text.size());
  const auto opens = [&](const base::OrgId& org, const SealingKey& k, const base::PackId& id,
                         uint32_t number, Codec codec, uint32_t plain_bytes) {
    return PackSealer(org, k, id).Open(number, codec, plain_bytes, sealed, plain.data());
  };
  EXPECT_TRUE(opens(organisation, key, pack, 3, Codec::kLz4, 4096));
  EXPECT_EQ(plain, text);
  EXPECT_FALSE(opens(organisation, key, pack, 4, Codec::kLz4, 4096));
  EXPECT_FALSE(opens(organisation, key, pack, 3, Codec::kZstd, 4096));
  EXPECT_FALSE(opens(organisation, key, pack, 3, Codec::kLz4, 4095));
  EXPECT_FALSE(opens(organisation, key, FilledId<base::PackId>(0xbc), 3, Codec::kLz4, 4096));
  EXPECT_FALSE(opens(FilledId<base::OrgId>(0xab), key, pack, 3, Codec::kLz4, 4096));
  EXPECT_FALSE(opens(organisation, {2, CountingKey()}, pack, 3, Codec::kLz4, 4096));
  Key256 other = CountingKey();
  other[0] ^= 1;
  EXPECT_FALSE(opens(organisation, {1, other}, pack, 3, Codec::kLz4, 4096));
}

TEST(SealedObject, RoundTripsAndRepeats) {
  const OrganisationKeys keys = CountingKeys();
  const std::array<uint8_t, 16> id{1};
  const std::string sealed = SealObject(kManifestKind, keys, id, "plain bytes");
  EXPECT_EQ(sealed, SealObject(kManifestKind, keys, id, "plain bytes"));
  EXPECT_EQ(*OpenObject(kManifestKind, keys, id, sealed), "plain bytes");
  EXPECT_EQ(*PeekObjectId(kManifestKind, sealed), id);
  // Other content under the same id has another nonce.
  const std::string other = SealObject(kManifestKind, keys, id, "plain byteS");
  EXPECT_NE(sealed.substr(48, 12), other.substr(48, 12));
}

TEST(SealedObject, EveryFlippedBitIsFound) {
  const OrganisationKeys keys = CountingKeys();
  const std::array<uint8_t, 16> id{1};
  const std::string sealed = SealObject(kManifestKind, keys, id, "plain bytes");
  for (size_t i = 0; i < sealed.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = sealed;
      bad[i] = static_cast<char>(bad[i] ^ (1 << bit));
      EXPECT_FALSE(OpenObject(kManifestKind, keys, id, bad).ok()) << i;
    }
    EXPECT_FALSE(OpenObject(kManifestKind, keys, id, sealed.substr(0, i)).ok()) << i;
  }
  EXPECT_FALSE(OpenObject(kManifestKind, keys, id, sealed + "x").ok());
}

TEST(SealedObject, IsBoundToKindOrganisationIdAndEpoch) {
  OrganisationKeys keys = CountingKeys();
  const std::array<uint8_t, 16> id{1};
  const std::string sealed = SealObject(kManifestKind, keys, id, "plain bytes");
  EXPECT_FALSE(OpenObject(kCommitRecordKind, keys, id, sealed).ok());
  EXPECT_FALSE(OpenObject(kManifestKind, keys, {2}, sealed).ok());
  std::string renamed = sealed;
  renamed[32] = 2;
  EXPECT_EQ(OpenObject(kManifestKind, keys, {2}, renamed).status().code(),
            absl::StatusCode::kDataLoss);
  keys.organisation = FilledId<base::OrgId>(0xab);
  EXPECT_FALSE(OpenObject(kManifestKind, keys, id, sealed).ok());
  keys = CountingKeys();
  keys.sealing[0].epoch = 2;
  EXPECT_EQ(OpenObject(kManifestKind, keys, id, sealed).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(SealedObject, OldEpochsOpenAfterARotation) {
  OrganisationKeys keys = CountingKeys();
  const std::string old = SealObject(kManifestKind, keys, {1}, "old");
  Key256 key = CountingKey();
  key[0] = 99;
  keys.sealing.push_back({2, key});
  const std::string fresh = SealObject(kManifestKind, keys, {1}, "new");
  EXPECT_EQ(*OpenObject(kManifestKind, keys, {1}, old), "old");
  EXPECT_EQ(*OpenObject(kManifestKind, keys, {1}, fresh), "new");
  EXPECT_EQ(LoadU32(AsBytes(fresh).data() + 12), 2u);
}

TEST(SealedObject, ANewerVersionSaysSo) {
  std::string sealed = SealObject(kManifestKind, CountingKeys(), {1}, "plain");
  sealed[8] = 2;
  const absl::Status status = OpenObject(kManifestKind, CountingKeys(), {1}, sealed).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("newer version"), absl::string_view::npos);
}

Manifest SomeManifest() {
  Manifest manifest;
  manifest.checkpoint = FilledId<base::CheckpointId>(0xcc);
  manifest.path = "my-checkpoints/dump-1";
  manifest.tail_packs = {{FilledId<base::PackId>(0xbb), 1, 1000, 7}};
  manifest.page_map = {{0, {2, 100, 216, 400, Codec::kZstd}}};
  manifest.image_bytes = 5000;
  manifest.stored_bytes = 1000;
  manifest.new_bytes = 900;
  manifest.codec = "lz4";
  manifest.facts = {{"host", "here"}};
  manifest.created_by = "test";
  return manifest;
}

TEST(Manifest, RoundTrips) {
  const Manifest manifest = SomeManifest();
  const auto sealed = SealManifest(manifest, CountingKeys());
  ASSERT_TRUE(sealed.ok());
  const auto opened = OpenManifest(*sealed, manifest.checkpoint, CountingKeys());
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(opened->path, manifest.path);
  EXPECT_EQ(opened->tail_packs, manifest.tail_packs);
  EXPECT_EQ(opened->page_map, manifest.page_map);
  EXPECT_EQ(opened->image_bytes, 5000u);
  EXPECT_EQ(opened->stored_bytes, 1000u);
  EXPECT_EQ(opened->new_bytes, 900u);
  EXPECT_EQ(opened->codec, "lz4");
  EXPECT_EQ(opened->facts, manifest.facts);
  EXPECT_EQ(opened->created_by, "test");
  EXPECT_EQ(ManifestSha256("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Manifest, RefusesSegmentsOutsideOfTheirPack) {
  const auto status_with = [](uint32_t tail_pack, const BlockPlace& place) {
    Manifest manifest = SomeManifest();
    manifest.page_map = {{tail_pack, place}};
    const std::string sealed = *SealManifest(manifest, CountingKeys());
    return OpenManifest(sealed, manifest.checkpoint, CountingKeys()).status();
  };
  EXPECT_TRUE(status_with(0, {2, 100, 216, 400, Codec::kZstd}).ok());
  for (const BlockPlace& bad :
       {BlockPlace{2, 900, 216, 400, Codec::kZstd}, BlockPlace{2, 0, 216, 400, Codec::kZstd},
        BlockPlace{2, 100, 16, 400, Codec::kZstd}, BlockPlace{2, 100, 417, 400, Codec::kZstd},
        BlockPlace{2, 100, 216, 262145, Codec::kZstd},
        BlockPlace{2, 100, 216, 400, static_cast<Codec>(4)},
        BlockPlace{8192, 100, 216, 400, Codec::kZstd}}) {
    EXPECT_EQ(status_with(0, bad).code(), absl::StatusCode::kDataLoss) << bad.offset;
  }
  EXPECT_EQ(status_with(1, {2, 100, 216, 400, Codec::kZstd}).code(), absl::StatusCode::kDataLoss);
}

TEST(Manifest, OverTheLimitIsRefused) {
  Manifest manifest = SomeManifest();
  manifest.facts = {{"command_line", std::string(1 << 20, 'x')}};
  EXPECT_EQ(SealManifest(manifest, CountingKeys()).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(CommitRecord, RoundTrips) {
  CommitRecord record;
  record.checkpoint = FilledId<base::CheckpointId>(0xcc);
  record.sequence = 17;
  record.path = "my-checkpoints/dump-1";
  record.manifest_sha256 = ManifestSha256("manifest");
  record.created = absl::FromUnixMicros(1745322101000001);
  const std::string sealed = SealCommitRecord(record, CountingKeys());
  const auto opened = OpenCommitRecord(sealed, record.checkpoint, CountingKeys());
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(opened->sequence, 17u);
  EXPECT_EQ(opened->path, record.path);
  EXPECT_EQ(opened->manifest_sha256, record.manifest_sha256);
  EXPECT_EQ(opened->created, record.created);
  EXPECT_FALSE(OpenCommitRecord(sealed, FilledId<base::CheckpointId>(0xcd), CountingKeys()).ok());
}

}  // namespace
}  // namespace cedana::format
