// A bucket in memory with a clock of its own, and daemons that share it: each with its own catalog,
// and faults of its own.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "cedana/direct/collector.h"
#include "cedana/direct/direct_catalog.h"
#include "cedana/direct/object_io.h"
#include "cedana/direct/pack_ports.h"
#include "cedana/direct/retrying_store.h"
#include "core/base/random.h"
#include "core/objstore/fault_store.h"
#include "core/objstore/memory_store.h"
#include "core/transfer/load.h"
#include "core/transfer/save.h"
#include "core/transfer/testing/image_fakes.h"

namespace cedana::direct {

// Stands still unless told. Thread-safe.
class TestClock : public base::Clock {
 public:
  absl::Time Now() override { return absl::FromUnixSeconds(1745322101) + Monotonic(); }
  absl::Duration Monotonic() override {
    absl::MutexLock lock(&mutex_);
    return passed_;
  }
  void Sleep(absl::Duration duration) override { Advance(duration); }
  void Advance(absl::Duration duration) {
    absl::MutexLock lock(&mutex_);
    passed_ += duration;
  }

 private:
  absl::Mutex mutex_;
  absl::Duration passed_ ABSL_GUARDED_BY(mutex_);
};

// Calls `before` before the n-th operation (from 1), once. Thread-safe.
class HookStore final : public objstore::ObjectStore {
 public:
  explicit HookStore(objstore::ObjectStore* inner) : inner_(*inner) {}
  void Before(int n, std::function<void()> before) {
    absl::MutexLock lock(&mutex_);
    operations_ = 0;
    n_ = n;
    before_ = std::move(before);
  }
  bool fired() const {
    absl::MutexLock lock(&mutex_);
    return before_ == nullptr;
  }

  absl::Status Put(const base::Context& context, const objstore::ObjectKey& key,
                   std::span<const uint8_t> bytes, const objstore::PutOptions& options) override {
    Count();
    return inner_.Put(context, key, bytes, options);
  }
  absl::Status Get(const base::Context& context, const objstore::ObjectKey& key, uint64_t offset,
                   std::optional<uint64_t> length,
                   const std::function<absl::Status(std::span<const uint8_t>)>& sink) override {
    Count();
    return inner_.Get(context, key, offset, length, sink);
  }
  absl::StatusOr<std::optional<objstore::ObjectInfo>> Head(
      const base::Context& context, const objstore::ObjectKey& key) override {
    Count();
    return inner_.Head(context, key);
  }
  absl::StatusOr<std::vector<objstore::ObjectInfo>> List(const base::Context& context,
                                                         const std::string& prefix,
                                                         const std::string& after,
                                                         size_t limit) override {
    Count();
    return inner_.List(context, prefix, after, limit);
  }
  absl::Status Delete(const base::Context& context, const objstore::ObjectKey& key) override {
    Count();
    return inner_.Delete(context, key);
  }
  objstore::Capabilities capabilities() const override { return inner_.capabilities(); }

 private:
  void Count() {
    std::function<void()> before;
    {
      absl::MutexLock lock(&mutex_);
      if (before_ == nullptr || ++operations_ != n_) return;
      before = std::exchange(before_, nullptr);
    }
    before();
  }

  objstore::ObjectStore& inner_;
  mutable absl::Mutex mutex_;
  int operations_ ABSL_GUARDED_BY(mutex_) = 0;
  int n_ ABSL_GUARDED_BY(mutex_) = 0;
  std::function<void()> before_ ABSL_GUARDED_BY(mutex_);
};

// Tests do not wait for what is down.
inline base::RetryPolicy OneTry() {
  return {.give_up_after = absl::ZeroDuration(), .bounds_attempts = false};
}
inline base::RetryPolicy FewTries() {
  return {.give_up_after = absl::Seconds(2), .backoff_first = absl::Milliseconds(1)};
}

struct Bucket {
  TestClock clock;
  objstore::MemoryStore memory{&clock};

  std::vector<std::string> Keys(const std::string& prefix = "") {
    std::vector<std::string> keys;
    const auto list = memory.List({}, prefix, "", 100000);
    for (const objstore::ObjectInfo& object : *list) keys.push_back(object.key);
    return keys;
  }
  bool Has(const objstore::ObjectKey& key) { return memory.Head({}, key)->has_value(); }
};

// What one process has of a bucket.
struct Daemon {
  explicit Daemon(Bucket* bucket, base::RetryPolicy policy = FewTries(),
                  std::optional<format::Key256> key = std::nullopt)
      : clock(bucket->clock),
        hooks(&bucket->memory),
        faults(&hooks),
        store(&faults, "memory://bucket", policy, {}),
        catalog(&store, {key, Times(), {&bucket->clock, &base::SystemRandom()}}),
        sink(&store, "memory") {}

  absl::StatusOr<transfer::CheckpointInfo> Save(const std::string& name, const std::string& bytes,
                                                const std::string& job = "") {
    transfer::SaveOptions options;
    options.save = base::DrawId<base::SaveId>(base::SystemRandom());
    options.checkpoint = base::DrawId<base::CheckpointId>(base::SystemRandom());
    options.path = name;
    options.pipelines = 1;
    options.clock = &clock;
    last_save = options.save;
    auto save = transfer::Save::Begin({}, options, &catalog, [this](const base::SaveId&) {
      return std::make_unique<DirectSink>(&store, "memory");
    });
    if (!save.ok()) return save.status();
    transfer::StringSource source(bytes);
    if (absl::Status status = (*save)->Store("pages-1.img", source); !status.ok()) return status;
    transfer::JobFacts facts;
    facts.job_name = job;
    facts.job_id = job.empty() ? "" : absl::StrCat("id-", job);
    return (*save)->Finish(facts, absl::Seconds(4));
  }
  absl::StatusOr<std::string> Load(const std::string& name) {
    transfer::LoadOptions options;
    options.path = name;
    options.lease = base::DrawId<base::LeaseId>(base::SystemRandom());
    auto load = transfer::Load::Open({}, options, &catalog, [this](const base::LeaseId&) {
      return std::make_unique<DirectSource>(&store, "memory");
    });
    if (!load.ok()) return load.status();
    return transfer::ReadImageFile(**load, "pages-1.img", 1u << 26);
  }
  absl::StatusOr<Collected> Collect(bool dry_run = false) {
    const absl::StatusOr<Repository> repository = catalog.OpenedRepository({});
    if (!repository.ok()) return repository.status();
    Site site{&store, &*repository, Times(), {&clock, &base::SystemRandom()}};
    return CollectRepository({}, site, dry_run);
  }
  std::vector<std::string> Names() {
    std::vector<std::string> names;
    const auto list = catalog.List({}, {});
    EXPECT_TRUE(list.ok()) << list.status();
    if (!list.ok()) return names;
    for (const transfer::CheckpointInfo& info : *list) names.push_back(info.path);
    return names;
  }

  TestClock& clock;
  HookStore hooks;
  objstore::FaultStore faults;
  RetryingStore store;
  DirectCatalog catalog;
  DirectSink sink;
  base::SaveId last_save;
};

// More than the day after which a sign of life is old.
inline constexpr absl::Duration kDay = absl::Minutes(24 * 60 + 1);

inline transfer::BeginRequest NewSave(const std::string& name, bool generated = false) {
  return {base::DrawId<base::SaveId>(base::SystemRandom()),
          base::DrawId<base::CheckpointId>(base::SystemRandom()), name, generated};
}

inline transfer::CommitRequest CommitOf(const transfer::BeginRequest& begin,
                                        const std::string& path) {
  transfer::CommitRequest commit;
  commit.save = begin.save;
  commit.checkpoint = begin.checkpoint;
  commit.path = path;
  commit.manifest = "sealed elsewhere";
  return commit;
}

}  // namespace cedana::direct
