// Saves and loads 1 GiB of half-compressible memory through the engine, with a catalog and a store
// in memory: what the stages cost without network, disk and CRIU. Wall and CPU seconds per codec;
// run it on an otherwise idle machine.
//
//   transfer_bench [MiB]
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/limits.h"
#include "core/codec/crc32c.h"
#include "core/codec/registry.h"
#include "core/format/aead.h"
#include "core/format/page_id.h"
#include "core/transfer/load.h"
#include "core/transfer/save.h"
#include "core/transfer/testing/memory_catalog.h"
#include "core/transfer/testing/seeded_random.h"

namespace cedana::transfer {
namespace {

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Timer {
  absl::Time wall = absl::Now();
  double cpu = CpuSeconds();

  double Wall() const { return absl::ToDoubleSeconds(absl::Now() - wall); }
  double Cpu() const { return CpuSeconds() - cpu; }
};

// Each page is half noise and half a repeated word.
std::vector<uint8_t> HalfCompressible(size_t bytes) {
  std::vector<uint8_t> memory(bytes);
  SeededRandom random(1);
  for (size_t page = 0; page < bytes; page += base::kPageBytes) {
    random.Fill(&memory[page], base::kPageBytes / 2);
    for (size_t i = base::kPageBytes / 2; i < base::kPageBytes; i += 8) {
      std::memcpy(&memory[page + i], &page, 8);
    }
  }
  return memory;
}

// Read as from a pipe: one copy.
class MemorySource : public ByteSource {
 public:
  explicit MemorySource(const std::vector<uint8_t>& memory) : memory_(memory) {}
  absl::StatusOr<size_t> Read(std::span<uint8_t> out) override {
    const size_t size = std::min(out.size(), memory_.size() - offset_);
    std::memcpy(out.data(), memory_.data() + offset_, size);
    offset_ += size;
    return size;
  }

 private:
  const std::vector<uint8_t>& memory_;
  size_t offset_ = 0;
};

// Written as to a pipe: one copy, into a buffer as large as one.
class PipeSink : public ByteSink {
 public:
  absl::Status Write(std::span<const uint8_t> bytes) override {
    for (; !bytes.empty(); bytes = bytes.subspan(std::min(bytes.size(), pipe_.size()))) {
      std::memcpy(pipe_.data(), bytes.data(), std::min(bytes.size(), pipe_.size()));
    }
    return absl::OkStatus();
  }

 private:
  std::vector<uint8_t> pipe_ = std::vector<uint8_t>(1 << 20);
};

// Packs end to end in memory that was touched before, so that the store costs one copy and no page
// faults.
class ArenaStore {
 public:
  explicit ArenaStore(size_t bytes) : arena_(bytes, 1) {}
  void Clear() {
    places_.clear();
    used_ = 0;
  }
  std::unique_ptr<PackSink> OpenSink() { return std::make_unique<Sink>(*this); }
  std::unique_ptr<PackSource> OpenSource() { return std::make_unique<Source>(*this); }

 private:
  struct Sink : PackSink {
    explicit Sink(ArenaStore& arena) : store(arena) {}
    absl::StatusOr<std::vector<std::string>> Put(const base::Context&, const base::PackId& pack,
                                                 std::span<const uint8_t> bytes,
                                                 uint32_t) override {
      size_t place;
      {
        absl::MutexLock lock(&store.mutex_);
        place = store.used_;
        store.used_ += bytes.size();
        store.places_[pack] = place;
      }
      std::memcpy(store.arena_.data() + place, bytes.data(), bytes.size());
      return std::vector<std::string>{"arena"};
    }
    ArenaStore& store;
  };
  struct Source : PackSource {
    explicit Source(ArenaStore& arena) : store(arena) {}
    absl::StatusOr<std::string> Read(const base::Context&, const base::PackId& pack,
                                     uint64_t offset, std::span<uint8_t> out,
                                     std::span<const std::string>) override {
      size_t place;
      {
        absl::MutexLock lock(&store.mutex_);
        place = store.places_.at(pack);
      }
      std::memcpy(out.data(), store.arena_.data() + place + offset, out.size());
      return "arena";
    }
    void ReportDamage(const base::PackId&, const std::string&, const absl::Status&) override {}
    ArenaStore& store;
  };

  absl::Mutex mutex_;
  std::vector<uint8_t> arena_;
  size_t used_ = 0;
  std::map<base::PackId, size_t> places_;
};

void Check(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(1);
}

void RunCodec(const std::vector<uint8_t>& memory, const std::string& codec, ArenaStore& store) {
  MemoryCatalog catalog;
  store.Clear();
  const double gib = static_cast<double>(memory.size()) / (1 << 30);

  SaveOptions options;
  options.save = base::DrawId<base::SaveId>(base::SystemRandom());
  options.checkpoint = base::DrawId<base::CheckpointId>(base::SystemRandom());
  options.path = "bench";
  options.codec = codec;
  const Timer saving;
  auto save = Save::Begin({}, options, &catalog,
                          [&store](const base::SaveId&) { return store.OpenSink(); });
  Check(save.status());
  MemorySource source(memory);
  Check((*save)->Store("pages-1.img", source));
  const double read_wall = saving.Wall();
  const auto info = (*save)->Finish({}, absl::Seconds(10));
  Check(info.status());
  std::printf(
      "%-5s  save %6.3f s (read in %.3f)  cpu/GiB %.3f  stored %5.1f %%", codec.c_str(),
      saving.Wall(), read_wall, saving.Cpu() / gib,
      100.0 * static_cast<double>(info->stored_bytes) / static_cast<double>(info->image_bytes));
  save->reset();

  LoadOptions load_options;
  load_options.path = "bench";
  load_options.lease = base::DrawId<base::LeaseId>(base::SystemRandom());
  const Timer loading;
  auto load = Load::Open({}, load_options, &catalog,
                         [&store](const base::LeaseId&) { return store.OpenSource(); });
  Check(load.status());
  PipeSink sink;
  Check((*load)->Serve("pages-1.img", sink));
  std::printf("   load %6.3f s  cpu/GiB %.3f\n", loading.Wall(), loading.Cpu() / gib);
}

// 4 GiB in the default memory limit into a store that keeps nothing: the peak of resident memory,
// in MiB.
void RunLargeProcess() {
  struct Endless : ByteSource {
    absl::StatusOr<size_t> Read(std::span<uint8_t> out) override {
      const size_t size = std::min<uint64_t>(out.size(), left);
      for (size_t i = 0; i + 8 <= size; i += 512) std::memcpy(&out[i], &left, 8);
      left -= size;
      return size;
    }
    uint64_t left = uint64_t{4} << 30;
  };
  struct Nowhere : PackSink {
    absl::StatusOr<std::vector<std::string>> Put(const base::Context&, const base::PackId&,
                                                 std::span<const uint8_t>, uint32_t) override {
      return std::vector<std::string>{"nowhere"};
    }
  };
  MemoryCatalog catalog;
  SaveOptions options;
  options.save = base::DrawId<base::SaveId>(base::SystemRandom());
  options.checkpoint = base::DrawId<base::CheckpointId>(base::SystemRandom());
  options.path = "large";
  auto save = Save::Begin({}, options, &catalog,
                          [](const base::SaveId&) { return std::make_unique<Nowhere>(); });
  Check(save.status());
  Endless source;
  const Timer timer;
  Check((*save)->Store("pages-1.img", source));
  Check((*save)->Finish({}, absl::Seconds(10)).status());
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("4 GiB into nowhere: %.3f s, peak resident %ld MiB\n", timer.Wall(),
              usage.ru_maxrss / 1024);
}

// One stage alone, over blocks that stay in the cache: GB/s of plain bytes.
template <typename Stage>
void RunStage(const char* name, const std::vector<uint8_t>& memory, Stage stage) {
  const size_t total = std::min<size_t>(memory.size(), 256 << 20);
  const Timer timer;
  for (size_t offset = 0; offset < total; offset += base::kBlockBytesMax) {
    stage(std::span(memory).subspan(offset, base::kBlockBytesMax));
  }
  std::printf("%-18s %6.2f GB/s   %.3f s/GiB\n", name,
              static_cast<double>(total) / timer.Cpu() / 1e9,
              timer.Cpu() * (1 << 30) / static_cast<double>(total));
}

void RunStages(const std::vector<uint8_t>& memory) {
  std::vector<uint8_t> out(base::kBlockBytesMax + 1024);
  format::PageIdHasher hasher{format::Key256{}};
  std::vector<base::PageId> ids(base::kBlockPagesMax);
  RunStage("page id", memory, [&](auto block) { hasher.IdsOf(block, ids); });
  const std::unique_ptr<format::Aead> aead = format::MakeAead(format::Key256{});
  RunStage("seal", memory, [&](auto block) { aead->Seal({}, {}, block, out.data()); });
  RunStage("crc32c", memory, [](auto block) { return codec::Crc32c(block); });
  for (codec::Codec codec : {codec::Codec::kLz4, codec::Codec::kZstd, codec::Codec::kDeflate}) {
    const auto compressor = codec::MakeCompressor(codec);
    RunStage(std::string(codec::CodecName(codec)).c_str(), memory,
             [&](auto block) { compressor->Compress(block, out); });
  }
}

}  // namespace
}  // namespace cedana::transfer

int main(int argc, char** argv) {
  const size_t mib = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1024;
  cedana::transfer::RunLargeProcess();
  const std::vector<uint8_t> memory = cedana::transfer::HalfCompressible(mib << 20);
  cedana::transfer::RunStages(memory);
  cedana::transfer::ArenaStore store((mib << 20) / 16 * 17);
  for (const char* codec : {"none", "none", "lz4", "zstd", "gzip"}) {
    cedana::transfer::RunCodec(memory, codec, store);
  }
  return 0;
}
