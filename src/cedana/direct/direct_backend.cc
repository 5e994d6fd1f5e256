#include "cedana/direct/direct_backend.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "cedana/direct/collector.h"
#include "cedana/direct/folder_store.h"
#include "cedana/direct/pack_ports.h"
#include "cedana/direct/probe.h"
#include "core/base/status.h"

namespace cedana::direct {

absl::StatusOr<std::unique_ptr<DirectBackend>> DirectBackend::Create(
    absl::string_view scheme, const plugin::StorageConfig& config, DirectOptions options) {
  CEDANA_ASSIGN_OR_RETURN(std::optional<format::Key256> key, ReadKeyFile(config.key_file));
  CEDANA_ASSIGN_OR_RETURN(Place place,
                          OpenPlace(scheme, config, options.data_stall, *options.services.clock));
  return std::unique_ptr<DirectBackend>(
      new DirectBackend(scheme, config, std::move(place), key, options));
}

DirectBackend::DirectBackend(absl::string_view scheme, plugin::StorageConfig config, Place place,
                             std::optional<format::Key256> key, DirectOptions options)
    : scheme_(scheme),
      config_(std::move(config)),
      options_(options),
      place_(std::move(place)),
      calls_(place_.calls.get(), place_.url, options.calls, options.services),
      data_(place_.data.get(), place_.url, options.data, options.services),
      catalog_(&calls_, {key, options.times, options.services}),
      folder_catalog_(&catalog_, config_.folder) {}

std::unique_ptr<transfer::PackSink> DirectBackend::OpenSink(const base::SaveId& save) {
  return std::make_unique<DirectSink>(&data_, place_.url);
}

std::unique_ptr<transfer::PackSource> DirectBackend::OpenSource(const base::LeaseId& lease) {
  return std::make_unique<DirectSource>(&data_, place_.url);
}

plugin::HealthItem DirectBackend::CheckKey(const base::Context& context) {
  plugin::HealthItem item{"key", config_.key_file.empty() ? "in the bucket" : "from file", {}, {}};
  const absl::StatusOr<Repository> repository = catalog_.OpenedRepository(context);
  if (!repository.ok() && !absl::IsNotFound(repository.status())) {
    item.data = "not usable";
    item.errors.emplace_back(repository.status().message());
  } else if (config_.key_file.empty()) {
    item.warnings.emplace_back(
        "integrity only, not secret: whoever reads the bucket reads the checkpoints; "
        "storage.key_file keeps the key out of it");
  }
  return item;
}

std::vector<plugin::HealthItem> DirectBackend::Check(const base::Context& context, bool full) {
  std::vector<plugin::HealthItem> items = DescribeSettings(scheme_, config_);
  if (config_.folder.empty()) {
    items.push_back({"folder",
                     "not set",
                     {},
                     {absl::StrCat("checkpoint.dir names no folder of ", scheme_,
                                   "://, so nothing more can be checked")}});
    return items;
  }
  items.push_back({"folder", place_.url, {}, {}});
  if (full) {
    // One attempt: who checks wants to see the state as it is.
    plugin::HealthItem probe{"storage probe", "failed", {}, {}};
    const absl::StatusOr<absl::Duration> took =
        ProbePlace(context.WithTimeout(options_.probe_timeout), calls_.inner(), options_.services);
    if (took.ok()) probe.data = absl::StrCat(absl::ToInt64Milliseconds(*took), " ms");
    if (!took.ok()) probe.errors.emplace_back(took.status().message());
    items.push_back(std::move(probe));
    if (!took.ok()) return items;
  }
  items.push_back(CheckKey(context));
  return items;
}

absl::StatusOr<plugin::CollectReport> DirectBackend::Collect(const base::Context& context,
                                                             bool dry_run) {
  const absl::StatusOr<Repository> repository = catalog_.OpenedRepository(context);
  if (absl::IsNotFound(repository.status())) {
    return absl::NotFoundError(absl::StrCat("there are no checkpoints in ", place_.url));
  }
  CEDANA_RETURN_IF_ERROR(repository.status());
  const Site site{&calls_, &*repository, options_.times, options_.services};
  CEDANA_ASSIGN_OR_RETURN(const Collected collected, CollectRepository(context, site, dry_run));
  plugin::CollectReport report;
  report.kept_checkpoints = collected.kept_checkpoints;
  report.deleted_checkpoints = collected.deleted_checkpoints;
  report.ended_saves = collected.ended_saves + collected.fenced_saves;
  report.small_objects = collected.small_objects;
  report.packs = collected.packs;
  report.pack_bytes = collected.pack_bytes;
  return report;
}

}  // namespace cedana::direct
