#include "cedana/direct/retrying_store.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/format/bytes.h"

namespace cedana::direct {
namespace {

constexpr int kBrokenAnswersMax = 3;

bool Always() { return true; }

}  // namespace

RetryingStore::RetryingStore(objstore::ObjectStore* inner, std::string place,
                             base::RetryPolicy policy, base::Services services)
    : inner_(*inner),
      place_(std::move(place)),
      policy_(policy),
      services_(services),
      last_success_ns_(absl::ToInt64Nanoseconds(services.clock->Monotonic())) {}

absl::Status RetryingStore::Repeat(const base::Context& context,
                                   const std::function<absl::Status(const base::Context&)>& attempt,
                                   const std::function<bool()>& repeat_is_safe) {
  base::Retry retry(policy_, context, services_, [this] {
    return absl::Nanoseconds(last_success_ns_.load(std::memory_order_relaxed));
  });
  int broken_answers = 0;
  while (true) {
    absl::Status status = attempt(retry.AttemptContext());
    if (status.ok()) {
      last_success_ns_.store(absl::ToInt64Nanoseconds(services_.clock->Monotonic()),
                             std::memory_order_relaxed);
      return status;
    }
    if (absl::IsDataLoss(status) && ++broken_answers < kBrokenAnswersMax) {
      status = absl::UnavailableError(status.message());
    }
    const absl::Status final = retry.Wait(status, repeat_is_safe());
    if (!final.ok()) return base::Annotate(final, place_);
  }
}

absl::Status RetryingStore::Put(const base::Context& context, const objstore::ObjectKey& key,
                                std::span<const uint8_t> bytes,
                                const objstore::PutOptions& options) {
  return Repeat(
      context,
      [&](const base::Context& attempt) { return inner_.Put(attempt, key, bytes, options); },
      Always);
}

absl::Status RetryingStore::Get(const base::Context& context, const objstore::ObjectKey& key,
                                uint64_t offset, std::optional<uint64_t> length,
                                const std::function<absl::Status(std::span<const uint8_t>)>& sink) {
  bool delivered = false;
  return Repeat(
      context,
      [&](const base::Context& attempt) {
        return inner_.Get(attempt, key, offset, length, [&](std::span<const uint8_t> piece) {
          delivered = true;
          return sink(piece);
        });
      },
      [&] { return !delivered; });
}

absl::StatusOr<std::optional<objstore::ObjectInfo>> RetryingStore::Head(
    const base::Context& context, const objstore::ObjectKey& key) {
  std::optional<objstore::ObjectInfo> info;
  CEDANA_RETURN_IF_ERROR(Repeat(
      context,
      [&](const base::Context& attempt) {
        CEDANA_ASSIGN_OR_RETURN(info, inner_.Head(attempt, key));
        return absl::OkStatus();
      },
      Always));
  return info;
}

absl::StatusOr<std::vector<objstore::ObjectInfo>> RetryingStore::List(const base::Context& context,
                                                                      const std::string& prefix,
                                                                      const std::string& after,
                                                                      size_t limit) {
  std::vector<objstore::ObjectInfo> page;
  CEDANA_RETURN_IF_ERROR(Repeat(
      context,
      [&](const base::Context& attempt) {
        CEDANA_ASSIGN_OR_RETURN(page, inner_.List(attempt, prefix, after, limit));
        return absl::OkStatus();
      },
      Always));
  return page;
}

absl::Status RetryingStore::Delete(const base::Context& context, const objstore::ObjectKey& key) {
  return Repeat(
      context, [&](const base::Context& attempt) { return inner_.Delete(attempt, key); }, Always);
}

absl::Status RetryingStore::Read(const base::Context& context, const objstore::ObjectKey& key,
                                 uint64_t offset, std::span<uint8_t> out) {
  return Repeat(
      context,
      [&](const base::Context& attempt) {
        size_t filled = 0;
        CEDANA_RETURN_IF_ERROR(
            inner_.Get(attempt, key, offset, out.size(), [&](std::span<const uint8_t> piece) {
              if (piece.size() > out.size() - filled) {
                return absl::DataLossError("more bytes came than were asked for");
              }
              std::memcpy(out.data() + filled, piece.data(), piece.size());
              filled += piece.size();
              return absl::OkStatus();
            }));
        if (filled == out.size()) return absl::OkStatus();
        return absl::DataLossError(absl::StrCat("only ", filled, " of ", out.size(),
                                                " bytes at offset ", offset, " came"));
      },
      Always);
}

absl::StatusOr<std::string> RetryingStore::ReadAll(const base::Context& context,
                                                   const objstore::ObjectKey& key,
                                                   size_t bytes_max) {
  std::string bytes;
  CEDANA_RETURN_IF_ERROR(Repeat(
      context,
      [&](const base::Context& attempt) {
        bytes.clear();
        return inner_.Get(attempt, key, 0, std::nullopt, [&](std::span<const uint8_t> piece) {
          if (piece.size() > bytes_max - bytes.size()) {
            return absl::ResourceExhaustedError(
                absl::StrCat("object ", key.text(), " has over ", bytes_max, " bytes"));
          }
          bytes.append(format::AsText(piece).data(), piece.size());
          return absl::OkStatus();
        });
      },
      Always));
  return bytes;
}

}  // namespace cedana::direct
