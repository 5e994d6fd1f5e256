#include "cedana/daemon/places.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/strings/match.h"
#include "core/base/status.h"
#include "core/base/thread.h"

namespace cedana::daemon {
namespace {

constexpr char kService[] = "cedana";
constexpr size_t kAskedAtOnce = 8;

bool IsSame(const plugin::StorageUrl& a, const plugin::StorageUrl& b) {
  return a.scheme == b.scheme && a.path == b.path;
}

void AddPlace(std::vector<plugin::StorageUrl>& places, const plugin::StorageUrl& place) {
  const bool seen = std::any_of(places.begin(), places.end(),
                                [&](const plugin::StorageUrl& p) { return IsSame(p, place); });
  if (!seen) places.push_back(place);
}

void AddPlaceOf(std::vector<plugin::StorageUrl>& places, const std::string& checkpoint) {
  if (const auto url = plugin::ParseStorageUrl(checkpoint); url.ok())
    AddPlace(places, PlaceOf(*url));
}

}  // namespace

OpenPlace OpenerOf(const Services& services, std::string operation) {
  return [&services, operation = std::move(operation)](const plugin::StorageUrl& folder) {
    return services.OpenStorage(folder, operation);
  };
}

plugin::StorageUrl PlaceOfFolder(const plugin::StorageUrl& folder) {
  // A token reaches all of its organisation, whatever the folder.
  return folder.scheme == kService ? plugin::StorageUrl{kService, ""} : folder;
}

plugin::StorageUrl PlaceOf(const plugin::StorageUrl& url) { return PlaceOfFolder(url.Parent()); }

absl::StatusOr<plugin::StorageUrl> DefaultFolder(const std::string& command_dir,
                                                 const std::string& daemon_dir) {
  for (const std::string& dir : {command_dir, daemon_dir}) {
    if (absl::StrContains(dir, "://")) return plugin::ParseStorageUrl(dir);
  }
  return plugin::StorageUrl{kService, ""};
}

transfer::ListQuery JobSearch::Query() const {
  transfer::ListQuery query;
  if (id.empty()) {
    query.job_name = name;
  } else {
    query.job_id = id;
  }
  return query;
}

std::vector<plugin::StorageUrl> JobSearch::Places() const {
  std::vector<plugin::StorageUrl> places;
  for (const CheckpointRecord& record : known) AddPlaceOf(places, record.url);
  AddPlace(places, PlaceOfFolder(default_folder));
  return places;
}

bool JobSearch::Knows(const plugin::StorageUrl& place) const {
  return std::any_of(known.begin(), known.end(), [&](const CheckpointRecord& record) {
    const auto url = plugin::ParseStorageUrl(record.url);
    return url.ok() && IsSame(PlaceOf(*url), place);
  });
}

absl::StatusOr<JobSearch> SearchFor(const Services& services, const std::string& job_name,
                                    const std::string& command_dir) {
  JobSearch search;
  search.name = job_name;
  CEDANA_ASSIGN_OR_RETURN(search.default_folder,
                          DefaultFolder(command_dir, services.settings->checkpoint_dir));
  const auto job = services.jobs->Find(job_name);
  if (!job.ok()) return search;
  const JobRecord record = (*job)->record();
  search.id = record.uuid;
  CEDANA_ASSIGN_OR_RETURN(search.known, services.table->Checkpoints(record.uuid));
  if (!record.restored_from.empty()) {
    CheckpointRecord origin;
    origin.url = record.restored_from;
    origin.time_ms = record.restored_from_ms;
    // Behind a record of the same time: that may be the same checkpoint.
    const auto older = [&](const CheckpointRecord& known) {
      return known.time_ms < origin.time_ms;
    };
    search.known.insert(std::find_if(search.known.begin(), search.known.end(), older), origin);
  }
  return search;
}

absl::StatusOr<std::vector<plugin::StorageUrl>> AllPlaces(const Services& services,
                                                          const std::string& command_dir) {
  std::vector<plugin::StorageUrl> places;
  CEDANA_ASSIGN_OR_RETURN(const auto records, services.table->Checkpoints(""));
  for (const CheckpointRecord& record : records) AddPlaceOf(places, record.url);
  for (const auto& job : services.jobs->All()) AddPlaceOf(places, job->record().restored_from);
  CEDANA_ASSIGN_OR_RETURN(const plugin::StorageUrl folder,
                          DefaultFolder(command_dir, services.settings->checkpoint_dir));
  AddPlace(places, PlaceOfFolder(folder));
  return places;
}

std::vector<PlaceAnswer> AskPlaces(const base::Context& context, const OpenPlace& open,
                                   const std::vector<plugin::StorageUrl>& places,
                                   absl::Duration patience, const Question& question) {
  std::vector<PlaceAnswer> answers(places.size());
  std::atomic<size_t> next{0};
  const auto ask = [&] {
    for (size_t i = next++; i < places.size(); i = next++) {
      PlaceAnswer& answer = answers[i];
      answer.place = places[i];
      auto storage = open(places[i]);
      if (!storage.ok()) {
        answer.found = storage.status();
        continue;
      }
      answer.storage = *std::move(storage);
      answer.found =
          question(i == 0 ? context : context.WithTimeout(patience), answer.storage->catalog());
    }
  };
  std::vector<base::Thread> helpers;
  for (size_t i = 1; i < std::min(places.size(), kAskedAtOnce); ++i) {
    helpers.emplace_back("place", ask);
  }
  ask();
  helpers.clear();
  return answers;
}

std::vector<PlaceAnswer> AskPlaces(const base::Context& context, const OpenPlace& open,
                                   const std::vector<plugin::StorageUrl>& places,
                                   absl::Duration patience, const transfer::ListQuery& query) {
  return AskPlaces(context, open, places, patience,
                   [&query](const base::Context& bounded, transfer::Catalog& catalog) {
                     return catalog.List(bounded, query);
                   });
}

}  // namespace cedana::daemon
