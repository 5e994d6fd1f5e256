#include "cedana/remote/probe.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/base/status.h"
#include "core/transfer/load.h"
#include "core/transfer/save.h"

namespace cedana::remote {
namespace {

constexpr char kImageName[] = "probe.img";
constexpr absl::Duration kCommitTimeout = absl::Seconds(10);

class StringSource : public transfer::ByteSource {
 public:
  explicit StringSource(absl::string_view bytes) : left_(bytes) {}
  absl::StatusOr<size_t> Read(std::span<uint8_t> out) override {
    const size_t size = std::min(out.size(), left_.size());
    std::memcpy(out.data(), left_.data(), size);
    left_.remove_prefix(size);
    return size;
  }

 private:
  absl::string_view left_;
};

absl::Status Write(const base::Context& context, plugin::StorageBackend& backend,
                   const Services& services, const std::string& path, const std::string& bytes) {
  transfer::SaveOptions options;
  options.save = base::DrawId<base::SaveId>(*services.random);
  options.checkpoint = base::DrawId<base::CheckpointId>(*services.random);
  options.path = path;
  options.pipelines = 1;
  options.memory_limit_bytes = base::kMemoryLimitMinMiB << 20;
  options.clock = services.clock;
  options.random = services.random;
  CEDANA_ASSIGN_OR_RETURN(
      const std::unique_ptr<transfer::Save> save,
      transfer::Save::Begin(context, options, &backend.catalog(),
                            [&](const base::SaveId& id) { return backend.OpenSink(id); }));
  StringSource source(bytes);
  CEDANA_RETURN_IF_ERROR(save->Store(kImageName, source));
  return save->Finish(transfer::JobFacts(), kCommitTimeout).status();
}

absl::StatusOr<std::string> Read(const base::Context& context, plugin::StorageBackend& backend,
                                 const Services& services, const std::string& path) {
  transfer::LoadOptions options;
  options.path = path;
  options.lease = base::DrawId<base::LeaseId>(*services.random);
  options.memory_limit_bytes = base::kMemoryLimitMinMiB << 20;
  options.connections = 1;
  options.random = services.random;
  CEDANA_ASSIGN_OR_RETURN(
      const std::unique_ptr<transfer::Load> load,
      transfer::Load::Open(context, options, &backend.catalog(),
                           [&](const base::LeaseId& id) { return backend.OpenSource(id); }));
  return transfer::ReadImageFile(*load, kImageName, base::kPageBytes);
}

}  // namespace

absl::StatusOr<absl::Duration> ProbeStorage(const base::Context& context,
                                            plugin::StorageBackend& backend,
                                            const Services& services) {
  const absl::Duration start = services.clock->Monotonic();
  const std::string mark = base::DrawId<base::SaveId>(*services.random).ToHex();
  const std::string path = absl::StrCat(".cedana-probe/", mark);
  const absl::Status written = Write(context, backend, services, path, mark);
  absl::Status read;
  if (written.ok()) {
    const absl::StatusOr<std::string> bytes = Read(context, backend, services, path);
    read = bytes.status();
    if (bytes.ok() && *bytes != mark) read = absl::DataLossError("other bytes than were written");
  }
  // After an unknown outcome too: nobody else would ever delete it.
  const absl::Status deleted = backend.catalog().Delete(context, path);
  CEDANA_RETURN_IF_ERROR(base::Annotate(written, "write"));
  CEDANA_RETURN_IF_ERROR(base::Annotate(read, "read"));
  CEDANA_RETURN_IF_ERROR(base::Annotate(deleted, "delete"));
  return services.clock->Monotonic() - start;
}

}  // namespace cedana::remote
