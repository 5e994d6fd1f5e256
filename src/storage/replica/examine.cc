#include "storage/replica/examine.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/base/ids.h"
#include "core/base/status.h"
#include "core/codec/crc32c.h"
#include "core/http/client.h"
#include "storage/replica/grant_trial.h"

namespace cedana::replica {
namespace {

constexpr size_t kProbeBytes = 4096;
constexpr absl::Duration kGrant = absl::Minutes(5);
// Signed requests are refused by most clouds from five to fifteen minutes on.
constexpr absl::Duration kSkewBites = absl::Minutes(1);

class Examination {
 public:
  Examination(const base::Context& context, const Vault& vault, const Provider& provider)
      : context_(context),
        vault_(vault),
        provider_(provider),
        bytes_(kProbeBytes, '\0'),
        capabilities_(provider.capabilities) {
    uint8_t id[8];
    vault_.random->Fill(id, sizeof(id));
    name_ = absl::StrCat("x/probe-", base::HexEncode(id, sizeof(id)));
    vault_.random->Fill(reinterpret_cast<uint8_t*>(bytes_.data()), bytes_.size());
    crc32c_ = codec::Crc32c(span());
  }

  Examined Run() {
    const auto key = objstore::ObjectKey::Parse(name_);
    const auto granted = objstore::ObjectKey::Parse(name_ + "-g");
    if (Own(*key) && provider_.capabilities.signs_requests) ByGrant(*granted);
    Delete(*key);
    if (provider_.capabilities.signs_requests) Delete(*granted);
    WhatBites();
    return {std::move(items_), capabilities_};
  }

 private:
  std::span<const uint8_t> span() const {
    return {reinterpret_cast<const uint8_t*>(bytes_.data()), bytes_.size()};
  }

  bool Add(std::string what, const absl::Status& status, std::string detail = "") {
    items_.push_back({std::move(what), status.ok(),
                      status.ok() ? std::move(detail) : std::string(status.message())});
    return status.ok();
  }
  void Warn(std::string what, std::string detail) {
    items_.push_back({std::move(what), true, std::move(detail), true});
  }

  // With the service's own credentials. False: not even written.
  bool Own(const objstore::ObjectKey& key) {
    objstore::ObjectStore& store = *provider_.store;
    const absl::Duration started = vault_.clock->Monotonic();
    const absl::Status written = store.Put(context_, key, span(), {.crc32c = crc32c_});
    const absl::Duration took = vault_.clock->Monotonic() - started;
    if (!Add("write", written, absl::StrCat(absl::ToInt64Milliseconds(took), " ms"))) return false;
    const absl::Status again = store.Put(context_, key, span(), {.crc32c = crc32c_});
    Add("write once only", absl::IsAlreadyExists(again) ? absl::OkStatus()
                           : again.ok() ? absl::InternalError("an object was written over")
                                        : again);
    if (!provider_.capabilities.creates_atomically) {
      Warn("write once only", "two writers at the same moment can both succeed there");
    }
    std::string read;
    absl::Status status = store.Get(context_, key, 100, 1000, [&](std::span<const uint8_t> piece) {
      read.append(reinterpret_cast<const char*>(piece.data()), piece.size());
      return absl::OkStatus();
    });
    if (status.ok() && read != bytes_.substr(100, 1000)) {
      status = absl::DataLossError("other bytes than were written");
    }
    Add("read a range", status);
    const auto listed = store.List(context_, key.text(), "", 2);
    Add("list", !listed.ok()          ? listed.status()
                : listed->size() == 1 ? absl::OkStatus()
                                      : absl::InternalError("what was written is not listed"));
    return true;
  }

  // As clients do it.
  void ByGrant(const objstore::ObjectKey& key) {
    const absl::Time expires = vault_.clock->Now() + kGrant;
    auto client = http::Client::Create({.user_agent = "cedana-storage"});
    if (!client.ok()) return;
    const auto send = [&](const absl::StatusOr<objstore::SignedRequest>& grant,
                          bool body) -> absl::StatusOr<http::ClientResponse> {
      CEDANA_RETURN_IF_ERROR(grant.status());
      http::ClientRequest request{
          .method = grant->method, .url = grant->url, .headers = grant->headers};
      // The client says this itself.
      std::erase_if(request.headers, [](const auto& header) {
        return absl::EqualsIgnoreCase(header.first, "content-length");
      });
      if (body) {
        request.body = span();
        request.has_body = true;
      }
      return (*client)->Do(context_, request);
    };
    const auto judge = [](const absl::StatusOr<http::ClientResponse>& answer) {
      if (!answer.ok()) return answer.status();
      if (answer->status / 100 == 2) return absl::OkStatus();
      return absl::InternalError(absl::StrCat("answered ", answer->status));
    };
    const auto grant = provider_.store->SignPut(key, bytes_.size(), crc32c_, expires);
    const auto put = send(grant, true);
    if (!Add("upload by grant", judge(put))) return;
    Skew(*put);
    if (provider_.capabilities.grant_enforces_create_only) {
      const auto again = send(grant, true);
      Add("upload by grant once only",
          again.ok() && again->status / 100 == 2
              ? absl::InternalError("an object was written over by its grant")
              : again.status());
    }
    const auto got = send(provider_.store->SignGet(key, expires), false);
    absl::Status status = judge(got);
    if (status.ok() && got->body != bytes_) {
      status = absl::DataLossError("other bytes than were written");
    }
    Add("read by grant", status);
    WrongOnes();
  }

  // What the grants claim to bind, and do not, is no failure: the service does without.
  void WrongOnes() {
    const objstore::Capabilities claimed = provider_.store->capabilities();
    const auto found = TryGrants(context_, vault_, provider_);
    const auto judge = [&](const char* what, bool claims, bool holds, const char* otherwise) {
      if (!claims) return;
      if (holds) {
        Add(what, found.status(), "refused");
      } else {
        Warn(what, otherwise);
      }
    };
    judge("one wrong byte by grant", claimed.grant_enforces_checksum,
          !found.ok() || found->grant_enforces_checksum,
          provider_.dialect == objstore::Dialect::kS3
              ? "it is accepted, so the service reads every pack back before a commit; say "
                "checksum=no in the URL"
              : "it is accepted, so the service reads every pack back before a commit");
    judge("another size by grant", claimed.grant_enforces_size,
          !found.ok() || found->grant_enforces_size,
          "it is accepted, so what it says it took counts only once it is listed");
    if (found.ok()) capabilities_ = *found;
  }

  void Skew(const http::ClientResponse& response) {
    const std::string* date = response.Header("date");
    absl::Time theirs;
    std::string error;
    if (date == nullptr || !absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", *date, &theirs, &error)) {
      return;
    }
    const absl::Duration skew = theirs - vault_.clock->Now();
    if (absl::AbsDuration(skew) < kSkewBites) return;
    Warn("clock", absl::StrCat("its clock is ", absl::ToInt64Seconds(skew),
                               " s ahead of ours: grants will be refused; set ours by NTP"));
  }

  void Delete(const objstore::ObjectKey& key) {
    absl::Status status = provider_.store->Delete(context_, key);
    if (status.ok()) {
      const auto left = provider_.store->Head(context_, key);
      status = left.status();
      if (left.ok() && left->has_value()) status = absl::InternalError("it is still there");
    }
    if (deleted_ && status.ok()) return;
    deleted_ = true;
    Add("delete", status);
  }

  void WhatBites() {
    const absl::StatusOr<std::string> keeps = provider_.store->KeepsDeleted(context_);
    if (keeps.ok() && !keeps->empty()) Warn("deleted bytes", *keeps);
    if (!keeps.ok()) {
      Warn("deleted bytes",
           absl::StrCat("cannot be told whether versions are kept: ", keeps.status().message()));
    }
    if (provider_.dialect == objstore::Dialect::kGcs) {
      Warn("deleted bytes",
           "buckets keep deleted objects for seven days unless their soft delete policy is off, "
           "which this interface does not show");
    }
    if (provider_.dialect == objstore::Dialect::kAzure) {
      Warn("deleted bytes",
           "soft delete and versions of the storage account keep deleted blobs, which this "
           "interface does not show");
    }
  }

  const base::Context context_;
  const Vault& vault_;
  const Provider& provider_;
  std::string bytes_;
  std::string name_;
  uint32_t crc32c_ = 0;
  bool deleted_ = false;
  std::vector<ExamineItem> items_;
  objstore::Capabilities capabilities_;
};

}  // namespace

Examined ExamineProvider(const base::Context& context, const Vault& vault,
                         const Provider& provider) {
  return Examination(context, vault, provider).Run();
}

}  // namespace cedana::replica
