#include "storage/replica/owner.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "storage/replica/object_keys.h"
#include "storage/replica/objects.h"

namespace cedana::replica {
namespace {

constexpr char kFormat[] = "cedana storage provider";
constexpr int64_t kVersion = 1;
constexpr size_t kMarkBytesMax = 4096;
// How often a mark that was ours is looked at again, and one that was not, or could not be read.
constexpr absl::Duration kAgain = absl::Minutes(10);
constexpr absl::Duration kSoon = absl::Seconds(20);

struct Mark {
  std::string vault;
  std::string provider;
};

std::string ToText(const Mark& mark) {
  return base::DumpJson({{"format", kFormat},
                         {"version", kVersion},
                         {"vault", mark.vault},
                         {"provider", mark.provider}});
}

absl::StatusOr<Mark> Parse(const std::string& text) {
  CEDANA_ASSIGN_OR_RETURN(const base::Json json, base::ParseJson(text));
  Mark mark;
  CEDANA_ASSIGN_OR_RETURN(mark.vault, base::GetString(json, "vault"));
  CEDANA_ASSIGN_OR_RETURN(mark.provider, base::GetString(json, "provider"));
  if (base::StringOr(json, "format", "") != kFormat ||
      base::IntOr(json, "version", 0) != kVersion) {
    return absl::InvalidArgumentError("of another format or version");
  }
  return mark;
}

// A provider that still is one under that name: not forgotten, not lost.
absl::StatusOr<bool> InUse(const Vault& vault, const std::string& name) {
  CEDANA_ASSIGN_OR_RETURN(const auto rows, vault.metadata->providers().All());
  return std::any_of(rows.begin(), rows.end(), [&](const metadata::ProviderRow& row) {
    return row.name == name && row.state != metadata::ProviderState::kLost;
  });
}

// Empty: it is ours. Else whose it is, in words.
absl::StatusOr<std::string> WhoElse(const base::Context& context, const Vault& vault,
                                    objstore::ObjectStore& store, const std::string& name) {
  CEDANA_ASSIGN_OR_RETURN(const base::VaultId id, vault.metadata->VaultId(*vault.random));
  const Mark ours{id.ToHex(), name};
  CEDANA_ASSIGN_OR_RETURN(const auto key, objstore::ObjectKey::Parse(kOwnerKey));
  // Somebody else may write it between the look and the write, and a stale one is replaced.
  for (int i = 0; i < 3; ++i) {
    const absl::StatusOr<std::string> text = ReadObject(context, store, kOwnerKey, kMarkBytesMax);
    if (absl::IsNotFound(text.status())) {
      const std::string bytes = ToText(ours);
      const absl::Status put = store.Put(
          context, key, {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, {});
      // Nobody's, and full: what it holds must be readable all the same.
      if (put.ok() || absl::IsResourceExhausted(put)) return "";
      if (!absl::IsAlreadyExists(put)) return put;
      continue;
    }
    const bool too_large = absl::IsResourceExhausted(text.status());
    if (!too_large) CEDANA_RETURN_IF_ERROR(text.status());
    const absl::StatusOr<Mark> mark = too_large ? text.status() : Parse(*text);
    if (!mark.ok()) {
      return absl::DataLossError(
          absl::StrCat(kOwnerKey, ": cannot be read: ", mark.status().message()));
    }
    if (mark->vault != ours.vault) {
      return absl::StrCat("another service's (", mark->provider, " of catalog ", mark->vault, ")");
    }
    if (mark->provider == ours.provider) return "";
    CEDANA_ASSIGN_OR_RETURN(const bool in_use, InUse(vault, mark->provider));
    if (in_use) return absl::StrCat("that of provider ", mark->provider);
    CEDANA_RETURN_IF_ERROR(store.Delete(context, key));
  }
  return absl::UnavailableError(absl::StrCat(kOwnerKey, ": changes while it is looked at"));
}

std::string NotOurs(const std::string& name, const std::string& whose) {
  return absl::StrCat("provider ", name, ": the place is ", whose, ", by its object ", kOwnerKey,
                      "; two over the same objects would delete each other's");
}

}  // namespace

absl::Status Claim(const base::Context& context, const Vault& vault, objstore::ObjectStore& store,
                   const std::string& name) {
  CEDANA_ASSIGN_OR_RETURN(const std::string whose, WhoElse(context, vault, store, name));
  if (whose.empty()) return absl::OkStatus();
  return absl::AlreadyExistsError(NotOurs(name, whose));
}

absl::Status Disclaim(const base::Context& context, const Vault& vault,
                      objstore::ObjectStore& store, const std::string& name) {
  CEDANA_ASSIGN_OR_RETURN(const base::VaultId id, vault.metadata->VaultId(*vault.random));
  CEDANA_ASSIGN_OR_RETURN(const auto key, objstore::ObjectKey::Parse(kOwnerKey));
  const absl::StatusOr<std::string> text = ReadObject(context, store, kOwnerKey, kMarkBytesMax);
  if (absl::IsNotFound(text.status())) return absl::OkStatus();
  CEDANA_RETURN_IF_ERROR(text.status());
  const absl::StatusOr<Mark> mark = Parse(*text);
  if (!mark.ok() || mark->vault != id.ToHex() || mark->provider != name) return absl::OkStatus();
  return store.Delete(context, key);
}

absl::Status OwnedStore::Known() const {
  absl::MutexLock lock(&mutex_);
  return known_;
}

absl::Status OwnedStore::Check(const base::Context& context) {
  const absl::Duration now = vault_.clock->Monotonic();
  {
    absl::MutexLock lock(&mutex_);
    if (now < look_at_) return known_;
    // One looks again, the others go on with what is known; the first look is everybody's.
    if (known_.ok()) look_at_ = now + kSoon;
  }
  const absl::StatusOr<std::string> whose = WhoElse(context, vault_, *inner_, name_);
  absl::MutexLock lock(&mutex_);
  if (!whose.ok()) {
    // What was ours is taken for ours. Else the next call tries again; its error must say nothing
    // about the object that is asked for.
    if (known_.ok()) return known_;
    const bool tells_nothing = absl::IsNotFound(whose.status()) ||
                               absl::IsDataLoss(whose.status()) ||
                               absl::IsAlreadyExists(whose.status());
    return tells_nothing ? absl::UnavailableError(whose.status().message()) : whose.status();
  }
  if (whose->empty()) {
    known_ = absl::OkStatus();
    look_at_ = now + kAgain;
    return known_;
  }
  const absl::Status why = absl::UnavailableError(NotOurs(name_, *whose));
  if (known_ != why) {
    base::LogError("a provider is not used", {{"provider", name_}, {"error", why.message()}});
  }
  known_ = why;
  look_at_ = now + kSoon;
  return known_;
}

absl::Status OwnedStore::Put(const base::Context& context, const objstore::ObjectKey& key,
                             std::span<const uint8_t> bytes, const objstore::PutOptions& options) {
  CEDANA_RETURN_IF_ERROR(Check(context));
  return inner_->Put(context, key, bytes, options);
}

absl::Status OwnedStore::Get(const base::Context& context, const objstore::ObjectKey& key,
                             uint64_t offset, std::optional<uint64_t> length,
                             const std::function<absl::Status(std::span<const uint8_t>)>& sink) {
  CEDANA_RETURN_IF_ERROR(Check(context));
  return inner_->Get(context, key, offset, length, sink);
}

absl::StatusOr<std::optional<objstore::ObjectInfo>> OwnedStore::Head(
    const base::Context& context, const objstore::ObjectKey& key) {
  CEDANA_RETURN_IF_ERROR(Check(context));
  return inner_->Head(context, key);
}

absl::StatusOr<std::vector<objstore::ObjectInfo>> OwnedStore::List(const base::Context& context,
                                                                   const std::string& prefix,
                                                                   const std::string& after,
                                                                   size_t limit) {
  CEDANA_RETURN_IF_ERROR(Check(context));
  return inner_->List(context, prefix, after, limit);
}

absl::Status OwnedStore::Delete(const base::Context& context, const objstore::ObjectKey& key) {
  CEDANA_RETURN_IF_ERROR(Check(context));
  return inner_->Delete(context, key);
}

absl::StatusOr<std::string> OwnedStore::KeepsDeleted(const base::Context& context) {
  CEDANA_RETURN_IF_ERROR(Check(context));
  return inner_->KeepsDeleted(context);
}

absl::StatusOr<objstore::SignedRequest> OwnedStore::SignPut(const objstore::ObjectKey& key,
                                                            uint64_t bytes, uint32_t crc32c,
                                                            absl::Time expires) const {
  CEDANA_RETURN_IF_ERROR(Known());
  return inner_->SignPut(key, bytes, crc32c, expires);
}

absl::StatusOr<objstore::SignedRequest> OwnedStore::SignGet(const objstore::ObjectKey& key,
                                                            absl::Time expires) const {
  CEDANA_RETURN_IF_ERROR(Known());
  return inner_->SignGet(key, expires);
}

}  // namespace cedana::replica
