// Restores: ranges, many streams at once, damage, and what happens when something fails.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "core/base/thread.h"
#include "core/transfer/testing/checkpoint_fixture.h"

namespace cedana::transfer {
namespace {

constexpr size_t kMinLimit = 128 << 20;

using LoadTest = CheckpointTest;

TEST_F(LoadTest, ARangeReadsOnlyWhatItNeeds) {
  const Images images = {{"pages-1.img", SomeMemory(40 << 20, 1, 0)}};
  ASSERT_TRUE(SaveImages(OptionsFor("ranges"), images).ok());
  const std::string& memory = images.at("pages-1.img");
  auto load = OpenLoad("ranges");
  ASSERT_TRUE(load.ok());
  const uint64_t opened = store_.bytes_read();
  for (const auto& [offset, length] :
       std::vector<std::pair<uint64_t, uint64_t>>{{0, 1},
                                                  {5000000, 4096},
                                                  {memory.size() - 1, 1},
                                                  {262143, 2},
                                                  {10 << 20, 0},
                                                  {memory.size(), 10},
                                                  {memory.size() + 5, 10},
                                                  {memory.size() - 3, 100}}) {
    StringSink sink;
    const uint64_t before = store_.bytes_read();
    ASSERT_TRUE((*load)->Serve("pages-1.img", sink, offset, length).ok());
    const std::string expected = offset < memory.size() ? memory.substr(offset, length) : "";
    EXPECT_EQ(sink.text(), expected) << offset << " " << length;
    EXPECT_LE(store_.bytes_read() - before, 2u * (256 << 10) + (64 << 10));
  }
  EXPECT_LT(opened, 100u << 10);
  std::mt19937 random(2);
  for (int round = 0; round < 50; ++round) {
    const uint64_t offset = random() % memory.size();
    const uint64_t length = random() % (3 << 20);
    StringSink sink;
    ASSERT_TRUE((*load)->Serve("pages-1.img", sink, offset, length).ok());
    ASSERT_TRUE(sink.text() == memory.substr(offset, length));
  }
}

TEST_F(LoadTest, FindsFilesByName) {
  const Images images = {{"a.img", "1"}, {"b.img", "22"}};
  ASSERT_TRUE(SaveImages(OptionsFor("files"), images).ok());
  auto load = OpenLoad("files");
  ASSERT_TRUE(load.ok());
  EXPECT_EQ((*load)->Find("b.img")->bytes, 2u);
  EXPECT_EQ((*load)->Find("c.img"), nullptr);
  EXPECT_EQ(*ReadImageFile(**load, "b.img", 100), "22");
  EXPECT_EQ(ReadImageFile(**load, "b.img", 1).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReadImageFile(**load, "c.img", 1).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(OpenLoad("nothing").status().code(), absl::StatusCode::kNotFound);
}

// Takes its bytes only once it is told to, as a pipe that CRIU does not read yet.
class GatedSink : public ByteSink {
 public:
  absl::Status Write(std::span<const uint8_t> bytes) override {
    first_write.Notify();
    gate->WaitForNotification();
    same = same && std::memcmp(bytes.data(), expected->data() + offset, bytes.size()) == 0;
    offset += bytes.size();
    return absl::OkStatus();
  }

  struct Once {
    void Notify() {
      if (!notification.HasBeenNotified()) notification.Notify();
    }
    absl::Notification notification;
  } first_write;
  absl::Notification* gate = nullptr;
  const std::string* expected = nullptr;
  size_t offset = 0;
  bool same = true;
};

TEST_F(LoadTest, AStreamGoesOnWhileHundredsWaitForTheirReaders) {
  Images images;
  for (int i = 0; i < 64; ++i) {
    images[absl::StrCat("pages-", 100 + i, ".img")] = SomeMemory(1300 << 10, i, 5);
  }
  images["pages-999.img"] = SomeMemory(20 << 20, 99, 5);
  ASSERT_TRUE(SaveImages(OptionsFor("streams"), images).ok());
  auto load = OpenLoad("streams", kMinLimit);
  ASSERT_TRUE(load.ok());

  absl::Notification gate;
  std::vector<GatedSink> sinks(64);
  std::vector<base::Thread> threads;
  for (int i = 0; i < 64; ++i) {
    const std::string name = absl::StrCat("pages-", 100 + i, ".img");
    sinks[i].gate = &gate;
    sinks[i].expected = &images.at(name);
    threads.emplace_back("serve", [&load, name, sink = &sinks[i]] {
      EXPECT_TRUE((*load)->Serve(name, *sink).ok());
    });
  }
  for (GatedSink& sink : sinks) sink.first_write.notification.WaitForNotification();
  // All 64 hold memory and wait for their readers; the one that is read gets through.
  StringSink sink;
  ASSERT_TRUE((*load)->Serve("pages-999.img", sink).ok());
  EXPECT_TRUE(sink.text() == images.at("pages-999.img"));
  gate.Notify();
  threads.clear();
  for (const GatedSink& gated : sinks) {
    EXPECT_TRUE(gated.same);
    EXPECT_EQ(gated.offset, gated.expected->size());
  }
}

TEST_F(LoadTest, EveryFlippedBitIsFoundBeforeAByteLeaves) {
  const Images images = {{"core-1.img", SomeMemory(3000, 1, 0)},
                         {"pages-1.img", SomeMemory(5 << 20, 2)}};
  ASSERT_TRUE(SaveImages(OptionsFor("damaged"), images).ok());
  std::mt19937 random(3);
  int failed = 0;
  for (int round = 0; round < 200; ++round) {
    const std::vector<base::PackId> packs = store_.packs();
    const base::PackId pack = packs[random() % packs.size()];
    const size_t byte = random() % store_.Bytes(pack).size();
    const int bit = static_cast<int>(random() % 8);
    store_.FlipBit(pack, byte, bit);
    absl::Status status;
    auto load = OpenLoad("damaged");
    if (!load.ok()) {
      status = load.status();
    } else {
      for (const auto& [name, bytes] : images) {
        StringSink sink;
        const absl::Status served = (*load)->Serve(name, sink);
        // What has left is right, however far it got.
        ASSERT_TRUE(bytes.compare(0, sink.text().size(), sink.text()) == 0);
        if (!served.ok()) status = served;
      }
    }
    // Header, trailer and footer are not read by a restore.
    if (!status.ok()) {
      ++failed;
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
      EXPECT_NE(status.message().find(pack.ToHex()), absl::string_view::npos) << status;
      EXPECT_NE(status.message().find(MemoryStore::kProvider), absl::string_view::npos) << status;
    }
    store_.FlipBit(pack, byte, bit);
  }
  EXPECT_GT(failed, 150);
  ExpectImages("damaged", images);
}

// Two providers with the same packs; those named in `liars` flip a bit in what they give.
class TwoProviders : public PackSource {
 public:
  struct Log {
    absl::Mutex mutex;
    std::vector<std::string> reports ABSL_GUARDED_BY(mutex);  // "provider pack"
  };
  TwoProviders(MemoryStore& store, std::set<std::string> liars, Log& log)
      : source_(store.OpenSource()), liars_(std::move(liars)), log_(log) {}

  absl::StatusOr<std::string> Read(const base::Context& context, const base::PackId& pack,
                                   uint64_t offset, std::span<uint8_t> out,
                                   std::span<const std::string> avoid) override {
    for (const std::string provider : {"near", "far"}) {
      if (std::find(avoid.begin(), avoid.end(), provider) != avoid.end()) continue;
      const absl::Status read = source_->Read(context, pack, offset, out, {}).status();
      if (!read.ok()) return read;
      if (liars_.contains(provider)) {
        for (size_t at = out.size() / 2; at < out.size(); at += 4096) out[at] ^= 1;
      }
      return provider;
    }
    return absl::NotFoundError("no other provider");
  }
  void ReportDamage(const base::PackId& pack, const std::string& provider,
                    const absl::Status& what) override {
    EXPECT_TRUE(absl::IsDataLoss(what)) << what;
    absl::MutexLock lock(&log_.mutex);
    log_.reports.push_back(absl::StrCat(provider, " ", pack.ToHex()));
  }

 private:
  const std::unique_ptr<PackSource> source_;
  const std::set<std::string> liars_;
  Log& log_;
};

class LyingTest : public LoadTest {
 protected:
  // Serves every image; what has left is right, however far it got.
  absl::Status LoadFrom(const std::set<std::string>& liars) {
    LoadOptions options;
    options.path = "lied";
    options.lease = base::DrawId<base::LeaseId>(random_);
    auto load = Load::Open({}, options, &catalog_, [&](const base::LeaseId&) {
      return std::make_unique<TwoProviders>(store_, liars, log_);
    });
    if (!load.ok()) return load.status();
    absl::Status status;
    for (const auto& [name, bytes] : images_) {
      StringSink sink;
      const absl::Status served = (*load)->Serve(name, sink);
      EXPECT_EQ(bytes.compare(0, sink.text().size(), sink.text()), 0);
      EXPECT_TRUE(!served.ok() || sink.text().size() == bytes.size());
      status.Update(served);
    }
    return status;
  }
  std::vector<std::string> Reports() {
    absl::MutexLock lock(&log_.mutex);
    return log_.reports;
  }

  // Small files in the last pack, and pages in packs of their own.
  Images images_ = {{"core-1.img", SomeMemory(60000, 1, 0)},
                    {"mm-1.img", SomeMemory(300000, 3, 0)},
                    {"pages-1.img", SomeMemory(40 << 20, 2)}};
  TwoProviders::Log log_;
};

TEST_F(LyingTest, ARangeThatIsWrongIsReadFromAnotherProviderAndReported) {
  ASSERT_TRUE(SaveImages(OptionsFor("lied"), images_).ok());
  const absl::Status status = LoadFrom({"near"});
  EXPECT_TRUE(status.ok()) << status;
  const std::vector<std::string> reports = Reports();
  for (const base::PackId& pack : store_.packs()) {
    EXPECT_NE(std::count(reports.begin(), reports.end(), absl::StrCat("near ", pack.ToHex())), 0);
  }
}

TEST_F(LyingTest, AllCopiesWrongNamesPackAndProviders) {
  ASSERT_TRUE(SaveImages(OptionsFor("lied"), images_).ok());
  const absl::Status status = LoadFrom({"near", "far"});
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  const std::string text(status.message());
  EXPECT_NE(text.find("provider near"), std::string::npos) << text;
  EXPECT_NE(text.find("provider far"), std::string::npos) << text;
  const std::vector<base::PackId> packs = store_.packs();
  EXPECT_TRUE(std::any_of(packs.begin(), packs.end(), [&](const base::PackId& pack) {
    return text.find(pack.ToHex()) != std::string::npos;
  })) << text;
  for (const char* provider : {"near ", "far "}) {
    const std::vector<std::string> reports = Reports();
    EXPECT_TRUE(std::any_of(reports.begin(), reports.end(), [&](const std::string& report) {
      return absl::StartsWith(report, provider);
    }));
  }
}

TEST_F(LoadTest, ABlockFromAnotherPlaceIsRefused) {
  SaveOptions options = OptionsFor("moved");
  options.codec = "none";
  const Images images = {{"pages-1.img", SomeMemory(8 << 20, 2, 0)}};
  ASSERT_TRUE(SaveImages(options, images).ok());
  // Swap two sealed blocks of equal size within a pack: both are whole, neither is in its place.
  for (const base::PackId& pack : store_.packs()) {
    const std::vector<uint8_t> bytes = store_.Bytes(pack);
    constexpr size_t kSealed = (256 << 10) + 16;
    if (bytes.size() < 32 + 2 * kSealed) continue;
    for (size_t i = 0; i < kSealed; ++i) {
      const uint8_t difference = bytes[32 + i] ^ bytes[32 + kSealed + i];
      for (int bit = 0; bit < 8; ++bit) {
        if ((difference >> bit & 1) == 0) continue;
        store_.FlipBit(pack, 32 + i, bit);
        store_.FlipBit(pack, 32 + kSealed + i, bit);
      }
    }
  }
  auto load = OpenLoad("moved");
  ASSERT_TRUE(load.ok());
  StringSink sink;
  EXPECT_EQ((*load)->Serve("pages-1.img", sink).code(), absl::StatusCode::kDataLoss);
}

TEST_F(LoadTest, ADamagedManifestIsRefused) {
  ASSERT_TRUE(SaveImages(OptionsFor("manifest"), {{"a.img", "1"}}).ok());
  std::string manifest = memory_catalog_.ManifestOf("manifest");
  manifest[100] ^= 1;
  memory_catalog_.ReplaceManifest("manifest", manifest);
  EXPECT_EQ(OpenLoad("manifest").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(memory_catalog_.open_holds(), 0u);
}

TEST_F(LoadTest, FailTheNthCallForEveryN) {
  Images images = {{"core-1.img", SomeMemory(3000, 1)}, {"pages-1.img", SomeMemory(20 << 20, 2)}};
  ASSERT_TRUE(SaveImages(OptionsFor("faults"), images).ok());
  for (int n = 1;; ++n) {
    SCOPED_TRACE(n);
    FaultPlan plan;
    FaultyCatalog catalog(&memory_catalog_, &plan);
    plan.FailCall(n, absl::UnavailableError("dark"));
    LoadOptions options;
    options.path = "faults";
    options.lease = base::DrawId<base::LeaseId>(random_);
    auto load = Load::Open({}, options, &catalog, [&](const base::LeaseId&) {
      return std::make_unique<FaultySource>(store_.OpenSource(), &plan);
    });
    absl::Status status = load.status();
    if (load.ok()) {
      for (const auto& [name, bytes] : images) {
        StringSink sink;
        status.Update((*load)->Serve(name, sink));
        EXPECT_EQ(bytes.compare(0, sink.text().size(), sink.text()), 0);
      }
      load->reset();
    }
    const bool only_close_failed = status.ok() && plan.fired();
    if (only_close_failed || !plan.fired()) {
      EXPECT_GT(n, 3);
      break;
    }
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    EXPECT_EQ(memory_catalog_.open_holds(), 0u);
  }
}

TEST_F(LoadTest, CancelEndsEveryStreamWithItsReason) {
  Images images;
  for (int i = 0; i < 8; ++i) {
    images[absl::StrCat("pages-", i, ".img")] = SomeMemory(6 << 20, i, 0);
  }
  ASSERT_TRUE(SaveImages(OptionsFor("cancel"), images).ok());
  auto load = OpenLoad("cancel");
  ASSERT_TRUE(load.ok());
  faults_.Block("Read");
  std::vector<base::Thread> threads;
  for (const auto& entry : images) {
    threads.emplace_back("serve", [&load, name = entry.first] {
      StringSink sink;
      const absl::Status status = (*load)->Serve(name, sink);
      EXPECT_NE(status.message().find("criu has died"), absl::string_view::npos) << status;
    });
  }
  faults_.AwaitCalls("Read", 2);
  (*load)->Cancel(absl::CancelledError("criu has died"));
  threads.clear();
  StringSink sink;
  EXPECT_FALSE((*load)->Serve("pages-0.img", sink).ok());
}

TEST_F(LoadTest, AFailingSinkEndsItsStreamOnly) {
  class FullSink : public ByteSink {
   public:
    absl::Status Write(std::span<const uint8_t>) override {
      return absl::ResourceExhaustedError("full");
    }
  };
  const Images images = {{"pages-1.img", SomeMemory(20 << 20, 1, 0)}};
  ASSERT_TRUE(SaveImages(OptionsFor("sink"), images).ok());
  auto load = OpenLoad("sink", kMinLimit);
  ASSERT_TRUE(load.ok());
  for (int round = 0; round < 5; ++round) {
    FullSink full;
    EXPECT_EQ((*load)->Serve("pages-1.img", full).code(), absl::StatusCode::kResourceExhausted);
  }
  StringSink sink;
  ASSERT_TRUE((*load)->Serve("pages-1.img", sink).ok());
  EXPECT_TRUE(sink.text() == images.at("pages-1.img"));
}

TEST_F(LoadTest, ALostHoldEndsTheRestore) {
  MemoryCatalog::Options options;
  options.heartbeat = absl::Milliseconds(20);
  MemoryCatalog short_lease(options);
  FaultyCatalog catalog(&short_lease, &faults_);
  auto save = Save::Begin({}, OptionsFor("hold"), &short_lease,
                          [this](const base::SaveId&) { return store_.OpenSink(); });
  ASSERT_TRUE(save.ok());
  ASSERT_TRUE(StoreAll(**save, {{"pages-1.img", SomeMemory(3 << 20, 1)}}).ok());
  ASSERT_TRUE((*save)->Finish({}, absl::Seconds(5)).ok());
  LoadOptions load_options;
  load_options.path = "hold";
  load_options.lease = base::DrawId<base::LeaseId>(random_);
  auto load = Load::Open({}, load_options, &catalog, [this](const base::LeaseId&) {
    return std::make_unique<FaultySource>(store_.OpenSource(), &faults_);
  });
  ASSERT_TRUE(load.ok());
  faults_.AwaitCalls("RenewHold", 3);
  faults_.Block("Read");
  short_lease.ExpireLeases();
  StringSink sink;
  const absl::Status status = (*load)->Serve("pages-1.img", sink);
  EXPECT_NE(status.message().find("lease lost"), absl::string_view::npos) << status;
  load->reset();
  EXPECT_EQ(short_lease.open_holds(), 0u);
}

}  // namespace
}  // namespace cedana::transfer
