#include "cedana/direct/repository.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "cedana/direct/object_names.h"
#include "core/base/fd.h"
#include "core/base/json.h"
#include "core/base/status.h"
#include "core/format/aead.h"
#include "core/format/bytes.h"

namespace cedana::direct {
namespace {

using base::Json;

constexpr char kFormat[] = "cedana repository";
constexpr int64_t kVersion = 1;
constexpr uint32_t kFirstEpoch = 1;
constexpr size_t kRepositoryBytesMax = 64 << 10;
constexpr size_t kKeyFileBytesMax = 4096;
constexpr size_t kNameTagBytes = 16;
constexpr size_t kJobTagBytes = 8;

std::string Tag(const format::Key256& key, absl::string_view kind, absl::string_view text,
                size_t bytes) {
  const std::string input = absl::StrCat(kind, absl::string_view("\0", 1), text);
  return base::HexEncode(format::HmacSha256(key, format::AsBytes(input)).data(), bytes);
}

std::string KeyCheck(const format::Key256& root, const base::OrgId& id) {
  const std::string input = absl::StrCat(
      "cedana direct check v1",
      absl::string_view(reinterpret_cast<const char*>(id.data()), base::OrgId::kBytes));
  return base::HexEncode(format::HmacSha256(root, format::AsBytes(input)).data(), 16);
}

Repository MakeRepository(const base::OrgId& id, const format::Key256& root, bool kept_here) {
  const std::span<const uint8_t> salt(id.data(), base::OrgId::kBytes);
  Repository repository;
  repository.key_kept_here = kept_here;
  repository.keys.organisation = id;
  repository.keys.page_id_key = format::DeriveKey(root, salt, "cedana direct page ids v1");
  repository.keys.sealing.push_back(
      {kFirstEpoch, format::DeriveKey(root, salt, "cedana direct sealing v1")});
  repository.tag_key = format::DeriveKey(root, salt, "cedana direct tags v1");
  return repository;
}

absl::Status Foreign(absl::string_view why) {
  return absl::FailedPreconditionError(
      absl::StrCat("the object cedana/repository there is not one of ours (", why,
                   "): choose another folder, or move it away"));
}

absl::StatusOr<Repository> Read(const std::string& bytes,
                                const std::optional<format::Key256>& key) {
  const absl::StatusOr<Json> json = base::ParseJson(bytes);
  if (!json.ok() || !json->is_object()) return Foreign("no JSON");
  if (base::StringOr(*json, "format", "") != kFormat) return Foreign("of another format");
  const int64_t version = base::IntOr(*json, "version", 0);
  if (version != kVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("the repository has version ", version, ", this program reads ", kVersion));
  }
  const absl::StatusOr<base::OrgId> id = base::OrgId::FromHex(base::StringOr(*json, "id", ""));
  if (!id.ok()) return Foreign("no id");
  const Json kept = base::Member(*json, "key");
  const std::string where = base::StringOr(kept, "kept", "");
  if (where == "here") {
    if (key.has_value()) {
      return absl::FailedPreconditionError(
          "the repository keeps its key in the bucket, but storage.key_file is set: unset that, "
          "or choose another folder");
    }
    const auto root = base::Base64Decode(base::StringOr(kept, "root", ""));
    format::Key256 bytes_of_key{};
    if (!root.ok() || root->size() != bytes_of_key.size()) return Foreign("no key");
    std::copy(root->begin(), root->end(), bytes_of_key.begin());
    return MakeRepository(*id, bytes_of_key, /*kept_here=*/true);
  }
  if (where != "file") return Foreign("no key");
  if (!key.has_value()) {
    return absl::FailedPreconditionError(
        "the repository is sealed with a key file: name it in storage.key_file");
  }
  if (base::StringOr(kept, "check", "") != KeyCheck(*key, *id)) {
    return absl::FailedPreconditionError(
        "the key in storage.key_file is not the one that the repository is sealed with");
  }
  return MakeRepository(*id, *key, /*kept_here=*/false);
}

std::string Draw(const std::optional<format::Key256>& key, base::Random& random) {
  const auto id = base::DrawId<base::OrgId>(random);
  Json kept;
  if (key.has_value()) {
    kept = {{"kept", "file"}, {"check", KeyCheck(*key, id)}};
  } else {
    std::string root(sizeof(format::Key256), '\0');
    random.Fill(reinterpret_cast<uint8_t*>(root.data()), root.size());
    kept = {{"kept", "here"}, {"root", base::Base64Encode(root)}};
  }
  return base::DumpJson(
      {{"format", kFormat}, {"version", kVersion}, {"id", id.ToHex()}, {"key", std::move(kept)}});
}

}  // namespace

std::string Repository::NameTag(absl::string_view name) const {
  return Tag(tag_key, "name", name, kNameTagBytes);
}

std::string Repository::JobNameTag(absl::string_view job_name) const {
  return job_name.empty() ? kNoJob : Tag(tag_key, "job name", job_name, kJobTagBytes);
}

std::string Repository::JobIdTag(absl::string_view job_id) const {
  return job_id.empty() ? kNoJob : Tag(tag_key, "job id", job_id, kJobTagBytes);
}

absl::StatusOr<std::optional<format::Key256>> ReadKeyFile(const std::string& path) {
  if (path.empty()) return std::optional<format::Key256>();
  const absl::StatusOr<std::string> text = base::ReadFile(path, kKeyFileBytesMax);
  if (!text.ok()) return base::Annotate(text.status(), "storage.key_file");
  const absl::StatusOr<std::string> bytes =
      base::HexDecode(absl::StripAsciiWhitespace(absl::string_view(*text)));
  format::Key256 key{};
  if (!bytes.ok() || bytes->size() != key.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("storage.key_file ", path, " must hold 64 hex digits"));
  }
  std::copy(bytes->begin(), bytes->end(), key.begin());
  return std::optional<format::Key256>(key);
}

absl::StatusOr<Repository> OpenRepository(const base::Context& context, RetryingStore& store,
                                          const std::optional<format::Key256>& key,
                                          base::Random* random) {
  absl::StatusOr<std::string> bytes = store.ReadAll(context, RepositoryKey(), kRepositoryBytesMax);
  if (absl::IsNotFound(bytes.status()) && random != nullptr) {
    const std::string drawn = Draw(key, *random);
    const absl::Status put = store.Put(context, RepositoryKey(), format::AsBytes(drawn), {});
    if (!put.ok() && !absl::IsAlreadyExists(put)) return put;
    // Ours, or that of whoever was faster.
    bytes = store.ReadAll(context, RepositoryKey(), kRepositoryBytesMax);
  }
  if (absl::IsResourceExhausted(bytes.status())) return Foreign("too large");
  CEDANA_RETURN_IF_ERROR(bytes.status());
  return Read(*bytes, key);
}

}  // namespace cedana::direct
