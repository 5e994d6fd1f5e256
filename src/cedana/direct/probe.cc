#include "cedana/direct/probe.h"

#include <string>
#include <vector>

#include "cedana/direct/object_names.h"
#include "core/base/ids.h"
#include "core/base/status.h"
#include "core/codec/crc32c.h"

namespace cedana::direct {
namespace {

constexpr size_t kProbeBytes = 4096;

absl::Status Read(const base::Context& context, objstore::ObjectStore& store,
                  const objstore::ObjectKey& key, const std::vector<uint8_t>& bytes) {
  std::vector<uint8_t> back;
  CEDANA_RETURN_IF_ERROR(
      store.Get(context, key, 0, std::nullopt, [&](std::span<const uint8_t> piece) {
        back.insert(back.end(), piece.begin(), piece.end());
        return back.size() > kProbeBytes ? absl::DataLossError("more came than was written")
                                         : absl::OkStatus();
      }));
  return back == bytes ? absl::OkStatus() : absl::DataLossError("other bytes than were written");
}

absl::Status List(const base::Context& context, objstore::ObjectStore& store,
                  const objstore::ObjectKey& key) {
  CEDANA_ASSIGN_OR_RETURN(const auto listed, store.List(context, key.text(), "", 1));
  return !listed.empty() && listed[0].key == key.text()
             ? absl::OkStatus()
             : absl::FailedPreconditionError("what was just written is not in the listing");
}

absl::Status Overwrite(const base::Context& context, objstore::ObjectStore& store,
                       const objstore::ObjectKey& key, const std::vector<uint8_t>& bytes) {
  const absl::Status again = store.Put(context, key, bytes, {.crc32c = codec::Crc32c(bytes)});
  if (absl::IsAlreadyExists(again)) return absl::OkStatus();
  if (!again.ok()) return again;
  return absl::FailedPreconditionError(
      "the store overwrites an object that was to be created only where there is none: several "
      "daemons cannot share it");
}

absl::Status Gone(const base::Context& context, objstore::ObjectStore& store,
                  const objstore::ObjectKey& key) {
  CEDANA_RETURN_IF_ERROR(store.Delete(context, key));
  CEDANA_ASSIGN_OR_RETURN(const auto there, store.Head(context, key));
  return there.has_value() ? absl::FailedPreconditionError("what was deleted is still there")
                           : absl::OkStatus();
}

}  // namespace

absl::StatusOr<absl::Duration> ProbePlace(const base::Context& context,
                                          objstore::ObjectStore& store,
                                          const base::Services& services) {
  const absl::Duration start = services.clock->Monotonic();
  const objstore::ObjectKey key = SaveKey(kLooks, base::DrawId<base::SaveId>(*services.random));
  std::vector<uint8_t> bytes(kProbeBytes);
  services.random->Fill(bytes.data(), bytes.size());
  CEDANA_RETURN_IF_ERROR(
      base::Annotate(store.Put(context, key, bytes, {.crc32c = codec::Crc32c(bytes)}), "write"));
  const absl::Status read = base::Annotate(Read(context, store, key, bytes), "read");
  const absl::Status list = base::Annotate(List(context, store, key), "list");
  const absl::Status overwrite = base::Annotate(Overwrite(context, store, key, bytes), "overwrite");
  // Whatever failed: what was written goes.
  const absl::Status gone = base::Annotate(Gone(context, store, key), "delete");
  for (const absl::Status& status : {read, list, overwrite, gone}) CEDANA_RETURN_IF_ERROR(status);
  return services.clock->Monotonic() - start;
}

}  // namespace cedana::direct
