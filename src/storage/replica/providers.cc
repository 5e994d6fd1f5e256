#include "storage/replica/providers.h"

#include <algorithm>
#include <cctype>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"

namespace cedana::replica {
namespace {

constexpr size_t kListPage = 1000;
constexpr size_t kNameBytesMax = 63;

std::span<const uint8_t> Bytes(absl::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// OK as well when the same bytes are there already.
absl::Status PutOnce(const base::Context& context, const Provider& provider,
                     const objstore::ObjectKey& key, absl::string_view bytes,
                     std::optional<uint32_t> crc32c = std::nullopt) {
  absl::Status status = provider.store->Put(context, key, Bytes(bytes), {.crc32c = crc32c});
  if (absl::IsAlreadyExists(status)) {
    absl::StatusOr<std::string> there =
        ReadObject(context, *provider.store, key.text(), bytes.size());
    if (there.ok() && *there == bytes) return absl::OkStatus();
  }
  return base::Annotate(status, absl::StrCat("provider ", provider.name));
}

}  // namespace

absl::StatusOr<ProviderSpec> ParseProvider(const std::string& text) {
  const size_t equals = text.find('=');
  const absl::Status bad =
      absl::InvalidArgumentError(absl::StrCat("provider ", text, ": NAME=file:///PATH is wanted"));
  if (equals == std::string::npos) return bad;
  ProviderSpec spec{text.substr(0, equals)};
  absl::string_view path = absl::string_view(text).substr(equals + 1);
  const bool good_name = !spec.name.empty() && spec.name.size() <= kNameBytesMax &&
                         std::all_of(spec.name.begin(), spec.name.end(), [](unsigned char c) {
                           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
                         });
  if (!good_name || !absl::ConsumePrefix(&path, "file://") || !absl::StartsWith(path, "/")) {
    return bad;
  }
  spec.path = std::string(path);
  return spec;
}

absl::StatusOr<std::unique_ptr<ProviderSet>> ProviderSet::Open(
    const std::vector<ProviderSpec>& specs) {
  std::unique_ptr<ProviderSet> set(new ProviderSet());
  for (const ProviderSpec& spec : specs) {
    if (set->Find(spec.name) != nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("provider ", spec.name, ": given twice"));
    }
    absl::StatusOr<std::unique_ptr<objstore::DirectoryStore>> store =
        objstore::DirectoryStore::Open(spec.path);
    if (!store.ok()) return base::Annotate(store.status(), absl::StrCat("provider ", spec.name));
    set->providers_.push_back({spec.name, store->get(), store->get()});
    set->stores_.push_back(*std::move(store));
  }
  if (set->providers_.empty()) return absl::InvalidArgumentError("providers: none");
  return set;
}

std::unique_ptr<ProviderSet> ProviderSet::Over(std::vector<Provider> providers) {
  std::unique_ptr<ProviderSet> set(new ProviderSet());
  set->providers_ = std::move(providers);
  return set;
}

const Provider* ProviderSet::Find(const std::string& name) const {
  for (const Provider& provider : providers_) {
    if (provider.name == name) return &provider;
  }
  return nullptr;
}

absl::Status ProviderSet::Ping(const base::Context& context) const {
  absl::Status last = absl::UnavailableError("providers: none");
  CEDANA_ASSIGN_OR_RETURN(const auto key, objstore::ObjectKey::Parse("k/probe"));
  for (const Provider& provider : providers_) {
    last = provider.store->Head(context, key).status();
    if (last.ok()) return last;
  }
  return last;
}

absl::StatusOr<std::vector<std::string>> ProviderSet::PutCopies(
    const base::Context& context, const std::string& key, absl::string_view bytes,
    std::optional<uint32_t> crc32c) const {
  CEDANA_ASSIGN_OR_RETURN(const auto parsed, objstore::ObjectKey::Parse(key));
  std::vector<std::string> holders;
  absl::Status last;
  for (const Provider& provider : providers_) {
    if (holders.size() == copies()) break;
    const absl::Status status = PutOnce(context, provider, parsed, bytes, crc32c);
    if (status.ok()) {
      holders.push_back(provider.name);
    } else {
      last = status;
    }
  }
  if (holders.size() < copies()) return last;
  return holders;
}

absl::Status ProviderSet::PutEverywhere(const base::Context& context, const std::string& key,
                                        absl::string_view bytes) const {
  CEDANA_ASSIGN_OR_RETURN(const auto parsed, objstore::ObjectKey::Parse(key));
  absl::Status first;
  for (const Provider& provider : providers_) {
    first.Update(PutOnce(context, provider, parsed, bytes));
  }
  return first;
}

absl::Status ProviderSet::DeleteEverywhere(const base::Context& context,
                                           const std::string& key) const {
  CEDANA_ASSIGN_OR_RETURN(const auto parsed, objstore::ObjectKey::Parse(key));
  absl::Status first;
  for (const Provider& provider : providers_) {
    first.Update(base::Annotate(provider.store->Delete(context, parsed),
                                absl::StrCat("provider ", provider.name)));
  }
  return first;
}

absl::StatusOr<std::string> ReadObject(const base::Context& context, objstore::ObjectStore& store,
                                       const std::string& key, size_t max_bytes) {
  CEDANA_ASSIGN_OR_RETURN(const auto parsed, objstore::ObjectKey::Parse(key));
  std::string bytes;
  CEDANA_RETURN_IF_ERROR(store.Get(
      context, parsed, 0, std::nullopt, [&](std::span<const uint8_t> piece) -> absl::Status {
        if (bytes.size() + piece.size() > max_bytes) {
          return absl::ResourceExhaustedError(absl::StrCat(key, ": larger than ", max_bytes));
        }
        bytes.append(reinterpret_cast<const char*>(piece.data()), piece.size());
        return absl::OkStatus();
      }));
  return bytes;
}

absl::Status ListAll(const base::Context& context, objstore::ObjectStore& store,
                     const std::string& prefix,
                     const std::function<absl::Status(const objstore::ObjectInfo&)>& visit) {
  std::string after;
  while (true) {
    CEDANA_ASSIGN_OR_RETURN(const std::vector<objstore::ObjectInfo> page,
                            store.List(context, prefix, after, kListPage));
    for (const objstore::ObjectInfo& object : page) CEDANA_RETURN_IF_ERROR(visit(object));
    if (page.size() < kListPage) return absl::OkStatus();
    after = page.back().key;
  }
}

}  // namespace cedana::replica
