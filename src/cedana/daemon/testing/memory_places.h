// Storages in memory, one for each place, that can be made to age, fail and stand still.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "cedana/daemon/places.h"
#include "core/base/clock.h"
#include "core/base/random.h"
#include "core/transfer/testing/memory_catalog.h"

namespace cedana::daemon {

// A base::Clock that stands where it was set.
class SetClock : public base::Clock {
 public:
  absl::Time Now() override { return now; }
  absl::Duration Monotonic() override { return now - absl::UnixEpoch(); }
  void Sleep(absl::Duration duration) override { now += duration; }
  absl::Time now = absl::FromUnixSeconds(1'700'000'000);
};

class PlaceCatalog : public transfer::MemoryCatalog {
 public:
  explicit PlaceCatalog(base::Clock* clock) : MemoryCatalog(Options{.clock = clock}) {}

  absl::StatusOr<std::vector<transfer::CheckpointInfo>> List(
      const base::Context& context, const transfer::ListQuery& query) override {
    ++lists;
    if (!failure.ok()) return failure;
    while (silent) {
      const absl::Status status = context.Sleep(absl::Milliseconds(5));
      if (!status.ok()) return status;
    }
    auto list = MemoryCatalog::List(context, query);
    if (!list.ok()) return list;
    for (transfer::CheckpointInfo& info : *list) {
      const auto word = words.find(info.path);
      if (word != words.end()) info.durability = word->second;
    }
    return list;
  }

  std::atomic<int> lists{0};
  absl::Status failure;                      // of every List
  bool silent = false;                       // a List waits until its context ends
  std::map<std::string, std::string> words;  // path -> durability, where it is not "durable"
};

class MemoryPlaces {
 public:
  // By the place's URL, "s3://bucket/folder" or "cedana://"; each is there when it is named.
  PlaceCatalog& at(const std::string& place) {
    auto& catalog = catalogs_[place];
    if (catalog == nullptr) catalog = std::make_unique<PlaceCatalog>(&clock);
    return *catalog;
  }

  OpenPlace Opener() {
    return [this](const plugin::StorageUrl& folder)
               -> absl::StatusOr<std::unique_ptr<plugin::StorageBackend>> {
      // A token reaches all of cedana://, whatever the folder.
      const std::string place = folder.scheme == "cedana" ? "cedana://" : folder.ToString();
      const auto found = catalogs_.find(place);
      if (found == catalogs_.end()) {
        return absl::UnavailableError(absl::StrCat("no plugin for ", place));
      }
      return std::make_unique<Backend>(found->second.get());
    };
  }

  // Commits a checkpoint of a job a minute after the last one, and returns what this daemon would
  // write down of it.
  CheckpointRecord Dump(const std::string& place, const std::string& path,
                        const transfer::JobFacts& job) {
    clock.now += absl::Minutes(1);
    transfer::Catalog& catalog = at(place);
    transfer::BeginRequest begin;
    begin.save = base::DrawId<base::SaveId>(base::SystemRandom());
    begin.checkpoint = base::DrawId<base::CheckpointId>(base::SystemRandom());
    begin.path = path;
    EXPECT_TRUE(catalog.Begin({}, begin).ok()) << path;
    transfer::CommitRequest commit;
    commit.save = begin.save;
    commit.checkpoint = begin.checkpoint;
    commit.path = path;
    commit.image_bytes = 1000;
    commit.new_bytes = 10;
    commit.codec = "lz4";
    commit.facts = job;
    const auto info = catalog.Commit({}, commit);
    EXPECT_TRUE(info.ok()) << info.status();
    const std::string scheme = place.substr(0, place.find("://"));
    return {info->id.ToHex(),
            job.job_id,
            WithSuffix(plugin::StorageUrl{scheme, path}.ToString(), "lz4"),
            absl::ToUnixMillis(info->created),
            1000,
            10,
            info->durability};
  }

  SetClock clock;

 private:
  class Backend : public plugin::StorageBackend {
   public:
    explicit Backend(transfer::Catalog* catalog) : catalog_(*catalog) {}
    transfer::Catalog& catalog() override { return catalog_; }
    std::unique_ptr<transfer::PackSink> OpenSink(const base::SaveId&) override { return nullptr; }
    std::unique_ptr<transfer::PackSource> OpenSource(const base::LeaseId&) override {
      return nullptr;
    }
    std::vector<plugin::HealthItem> Check(const base::Context&, bool) override { return {}; }

   private:
    transfer::Catalog& catalog_;
  };

  std::map<std::string, std::unique_ptr<PlaceCatalog>> catalogs_;
};

}  // namespace cedana::daemon
