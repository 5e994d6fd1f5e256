#include "storage/replica/grant_trial.h"

#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/ids.h"
#include "core/base/status.h"
#include "core/codec/crc32c.h"
#include "core/http/client.h"

namespace cedana::replica {
namespace {

constexpr size_t kTrialBytes = 4096;
constexpr absl::Duration kTrialGrant = absl::Minutes(5);
constexpr absl::Duration kTrialStall = absl::Seconds(10);

class Trial {
 public:
  Trial(const base::Context& context, const Vault& vault, const Provider& provider,
        http::Client* client)
      : context_(context), vault_(vault), provider_(provider), client_(*client) {
    uint8_t id[8];
    vault_.random->Fill(id, sizeof(id));
    name_ = absl::StrCat("x/probe-", base::HexEncode(id, sizeof(id)));
  }

  absl::StatusOr<objstore::Capabilities> Run() {
    std::string right(kTrialBytes, '\0');
    vault_.random->Fill(reinterpret_cast<uint8_t*>(right.data()), right.size());
    std::string bent = right;
    bent[kTrialBytes / 2] ^= 1;
    // Without this one, a refusal of the others says nothing.
    CEDANA_ASSIGN_OR_RETURN(const bool works, Takes("r", right, {right.size(), CrcOf(right)}));
    if (!works) return absl::FailedPreconditionError("an upload by grant is refused");
    objstore::Capabilities found = provider_.store->capabilities();
    if (found.grant_enforces_checksum) {
      CEDANA_ASSIGN_OR_RETURN(const bool takes, Takes("c", bent, {bent.size(), CrcOf(right)}));
      found.grant_enforces_checksum = !takes;
      // Nor does it check what it then tells of the object.
      found.keeps_checksum = found.keeps_checksum && !takes;
    }
    if (found.grant_enforces_size) {
      CEDANA_ASSIGN_OR_RETURN(const bool takes,
                              Takes("s", right, {right.size() + 1, CrcOf(right)}));
      found.grant_enforces_size = !takes;
    }
    return found;
  }

 private:
  struct Granted {
    uint64_t bytes = 0;
    uint32_t crc32c = 0;
  };

  static std::span<const uint8_t> Bytes(const std::string& text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
  }
  static uint32_t CrcOf(const std::string& text) { return codec::Crc32c(Bytes(text)); }

  // Whether these bytes are taken under a grant for `granted`.
  absl::StatusOr<bool> Takes(absl::string_view suffix, const std::string& bytes,
                             const Granted& granted) {
    CEDANA_ASSIGN_OR_RETURN(const auto key,
                            objstore::ObjectKey::Parse(absl::StrCat(name_, "-", suffix)));
    CEDANA_ASSIGN_OR_RETURN(const objstore::SignedRequest grant,
                            provider_.store->SignPut(key, granted.bytes, granted.crc32c,
                                                     vault_.clock->Now() + kTrialGrant));
    http::ClientRequest request{.method = grant.method, .url = grant.url, .headers = grant.headers};
    // The client says this itself, of what it sends.
    std::erase_if(request.headers, [](const auto& header) {
      return absl::EqualsIgnoreCase(header.first, "content-length");
    });
    request.body = Bytes(bytes);
    request.has_body = true;
    const absl::StatusOr<http::ClientResponse> answer = client_.Do(context_, request);
    // Also what was refused may lie there. (That we may not delete is for `provider test` to find.)
    provider_.store->Delete(context_, key).IgnoreError();
    CEDANA_RETURN_IF_ERROR(answer.status());
    if (answer->status / 100 == 2) return true;
    const absl::Status refusal =
        objstore::ErrorOfAnswer(provider_.dialect, "upload by grant", *answer);
    if (base::IsTransient(refusal) || absl::IsUnknown(refusal) || answer->status / 100 == 5) {
      return refusal;
    }
    return false;
  }

  const base::Context context_;
  const Vault& vault_;
  const Provider& provider_;
  http::Client& client_;
  std::string name_;
};

}  // namespace

absl::StatusOr<objstore::Capabilities> TryGrants(const base::Context& context, const Vault& vault,
                                                 const Provider& provider) {
  // A directory's grants are the service's own.
  if (!provider.capabilities.signs_requests) return provider.capabilities;
  CEDANA_ASSIGN_OR_RETURN(const auto client, http::Client::Create({.user_agent = "cedana-storage",
                                                                   .stall_timeout = kTrialStall}));
  absl::StatusOr<objstore::Capabilities> found =
      Trial(context, vault, provider, client.get()).Run();
  if (!found.ok()) return base::Annotate(found.status(), absl::StrCat("provider ", provider.name));
  return found;
}

}  // namespace cedana::replica
