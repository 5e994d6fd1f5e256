// A restore's way from a committed checkpoint to image files. Open authenticates the way in, Serve
// sends one image file; both list their stages in order.
//
//   catalog ─▸ manifest ─▸ last packs ─▸ page map, small files
//   page map ─▸ read plan ─▸ reads ahead (fetchers): authenticate, expand ─▸ ByteSink
//
// Memory: each stream reads ahead in stretches from a shared pool, its fair share at most. A stream
// that finds the pool empty goes on with single blocks from a pool of their own, so that hundreds
// of streams, most of which wait for CRIU to read, never keep one that CRIU reads from going on.
#include "core/transfer/load.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/base/status.h"
#include "core/base/thread.h"
#include "core/format/manifest.h"
#include "core/transfer/bounded_queue.h"
#include "core/transfer/budget.h"
#include "core/transfer/buffer_pool.h"
#include "core/transfer/lease_keeper.h"
#include "core/transfer/lost_reply.h"
#include "core/transfer/range_fetcher.h"
#include "core/transfer/read_ahead.h"
#include "core/transfer/read_plan.h"
#include "core/transfer/tail_reader.h"

namespace cedana::transfer {
namespace {

constexpr absl::Duration kCloseTimeout = absl::Seconds(5);
constexpr size_t kJobsMax = 1024;
constexpr size_t kAheadBytes = 32 << 20;  // a window of 8 MiB measured 20 % slower

uint8_t zeroes[base::kBlockBytesMax];  // never written

absl::Status WriteZeroes(uint64_t bytes, ByteSink& sink) {
  while (bytes > 0) {
    const size_t step = std::min<uint64_t>(bytes, sizeof(zeroes));
    CEDANA_RETURN_IF_ERROR(sink.Write({zeroes, step}));
    bytes -= step;
  }
  return absl::OkStatus();
}

// If this does not get through, the hold ends by itself.
void TellClose(Catalog& catalog, const base::LeaseId& lease) {
  catalog.Close(base::Context{}.WithTimeout(kCloseTimeout), lease).IgnoreError();
}

class LoadFlow final : public Load {
 public:
  LoadFlow(const base::Context& context, LoadOptions options, Catalog& catalog,
           OpenedCheckpoint opened)
      : options_(std::move(options)),
        catalog_(catalog),
        info_(std::move(opened.info)),
        keys_(std::move(opened.keys)),
        caller_(context),
        work_{context.deadline, std::make_shared<base::CancelSource>()},
        keeper_(
            opened.lease, opened.heartbeat, base::SystemClock(),
            [this](const base::Context& renew) {
              return catalog_.RenewHold(renew, options_.lease);
            },
            work_),
        jobs_(kJobsMax) {}

  ~LoadFlow() override;

  absl::Status Start(absl::string_view sealed_manifest, const OpenSource& open_source);
  const CheckpointInfo& info() const override { return info_; }
  const std::vector<ImageFile>& files() const override { return files_; }
  const ImageFile* Find(const std::string& name) const override;
  absl::Status Serve(const std::string& name, ByteSink& sink, uint64_t offset,
                     uint64_t length) override;
  void Cancel(absl::Status reason) override { work_.cancel->Cancel(std::move(reason)); }
  const LoadProgress& progress() const override { return progress_; }

 private:
  using Stream = std::deque<std::shared_ptr<StretchInFlight>>;

  void FollowCaller();
  void RunFetcher(size_t range_bytes);
  absl::Status ServeFromTail(ExtentCursor cursor, ByteSink& sink);
  absl::Status ServeFromPacks(ReadPlan plan, ByteSink& sink);
  absl::Status ReadAhead(ReadPlan& plan, Stream& stream);
  absl::Status Launch(ReadPlan& plan, Buffer buffer, Stream& stream);
  absl::Status WriteStretch(const StretchInFlight& stretch, ByteSink& sink);
  size_t FairShare() const;

  // Constant after Start.
  const LoadOptions options_;
  Catalog& catalog_;
  const CheckpointInfo info_;
  const format::OrganisationKeys keys_;
  const base::Context caller_;
  const base::Context work_;
  int caller_callback_ = 0;
  int work_callback_ = 0;
  LeaseKeeper keeper_;
  std::unique_ptr<PackSource> source_;
  CheckpointTail tail_;
  std::vector<ImageFile> files_;  // files_[i] is tail_.map->files[i]

  LoadProgress progress_;
  std::atomic<size_t> streams_{0};  // being served from packs
  LoadBudget budget_;
  std::unique_ptr<BufferPool> stretch_pool_;
  std::unique_ptr<BufferPool> block_pool_;
  BoundedQueue<ReadJob> jobs_;

  // Last, so that they end before what they work on.
  base::Thread keeper_thread_;
  std::vector<base::Thread> fetch_threads_;
};

LoadFlow::~LoadFlow() {
  Cancel(absl::CancelledError("the restore has ended"));
  keeper_.Stop();
  keeper_thread_.Join();
  fetch_threads_.clear();
  source_ = nullptr;  // it may still have something to tell under the hold
  if (caller_.cancel != nullptr) caller_.cancel->RemoveCallback(caller_callback_);
  work_.cancel->RemoveCallback(work_callback_);
  TellClose(catalog_, options_.lease);
}

absl::Status LoadFlow::Start(absl::string_view sealed_manifest, const OpenSource& open_source) {
  if (caller_.cancel != nullptr) FollowCaller();
  keeper_thread_ = base::Thread("load-lease", [this] { keeper_.Run(); });
  source_ = open_source(options_.lease);

  // The manifest is authentic, or the restore ends here.
  CEDANA_ASSIGN_OR_RETURN(const format::Manifest manifest,
                          format::OpenManifest(sealed_manifest, info_.id, keys_));

  // One read brings page map and small files.
  CEDANA_ASSIGN_OR_RETURN(tail_, ReadTail(work_, manifest, keys_, *source_, progress_));
  for (const format::MappedFile& file : tail_.map->files) {
    files_.push_back({file.name, file.bytes});
  }

  std::vector<base::PackId> packs;
  for (size_t i = 0; i < tail_.map->body_packs; ++i) packs.push_back(tail_.map->packs[i].id);
  source_->Expect(packs);

  // What they leave of the memory limit is for reading ahead.
  const size_t resident = PageMapMemory(*tail_.map) + tail_.blocks->ResidentBytes();
  CEDANA_ASSIGN_OR_RETURN(budget_, PlanLoad(options_.memory_limit_bytes, options_.connections,
                                            resident, options_.one_file));
  CEDANA_ASSIGN_OR_RETURN(stretch_pool_,
                          BufferPool::Create(budget_.stretch_buffers, budget_.stretch_bytes));
  CEDANA_ASSIGN_OR_RETURN(block_pool_,
                          BufferPool::Create(budget_.block_buffers, base::kBlockBytesMax));
  work_callback_ = work_.cancel->OnCancel([this] {
    const absl::Status reason = work_.cancel->status();
    stretch_pool_->Interrupt(reason);
    block_pool_->Interrupt(reason);
    jobs_.Interrupt(reason);
  });
  for (int i = 0; i < std::max(options_.connections, 1); ++i) {
    fetch_threads_.emplace_back(absl::StrCat("load-fetch-", i),
                                [this] { RunFetcher(budget_.range_bytes); });
  }
  return absl::OkStatus();
}

void LoadFlow::FollowCaller() {
  caller_callback_ = caller_.cancel->OnCancel(
      [ours = work_.cancel, theirs = caller_.cancel.get()] { ours->Cancel(theirs->status()); });
}

void LoadFlow::RunFetcher(size_t range_bytes) {
  RangeFetcher fetcher(*tail_.map, keys_, *source_, progress_, range_bytes);
  while (true) {
    absl::StatusOr<std::optional<ReadJob>> job = jobs_.Pop();
    if (!job.ok() || !job->has_value()) return;
    (*job)->Run(work_, fetcher);
  }
}

const ImageFile* LoadFlow::Find(const std::string& name) const {
  const auto file = std::lower_bound(
      files_.begin(), files_.end(), name,
      [](const ImageFile& entry, const std::string& wanted) { return entry.name < wanted; });
  return file != files_.end() && file->name == name ? &*file : nullptr;
}

absl::Status LoadFlow::Serve(const std::string& name, ByteSink& sink, uint64_t offset,
                             uint64_t length) {
  CEDANA_RETURN_IF_ERROR(work_.Check());
  const ImageFile* found = Find(name);
  if (found == nullptr) {
    return absl::NotFoundError(absl::StrCat("checkpoint has no image file ", name));
  }
  const format::MappedFile& file = tail_.map->files[static_cast<size_t>(found - files_.data())];
  offset = std::min(offset, file.bytes);
  length = std::min(length, file.bytes - offset);

  // A file is in the tail as a whole or not at all.
  const auto first_data = std::find_if(
      file.extents.begin(), file.extents.end(),
      [](const format::Extent& extent) { return extent.position != format::Extent::kZeroes; });
  const bool in_tail = first_data != file.extents.end() &&
                       tail_.blocks->Holds(tail_.map->BlockAt(first_data->position));
  absl::Status status;
  if (in_tail) {
    status = ServeFromTail(ExtentCursor(file, offset, length), sink);
  } else {
    ++streams_;
    status = ServeFromPacks(ReadPlan(*tail_.map, file, offset, length), sink);
    --streams_;
  }
  // Where the whole restore was cancelled, that is the reason, not the read it cut off.
  if (!status.ok() && work_.cancel->cancelled()) status = work_.cancel->status();
  return base::Annotate(status, absl::StrCat("image file ", name));
}

absl::Status LoadFlow::ServeFromTail(ExtentCursor cursor, ByteSink& sink) {
  const format::PageMap& map = *tail_.map;
  for (uint64_t bytes = 0; !cursor.done(); cursor.Advance(bytes)) {
    bytes = cursor.bytes();
    const uint64_t position = cursor.position();
    if (position == format::Extent::kZeroes) {
      CEDANA_RETURN_IF_ERROR(WriteZeroes(bytes, sink));
    } else {
      const size_t block = map.BlockAt(position);
      if (!tail_.blocks->Holds(block)) return absl::DataLossError("page map: file in two places");
      CEDANA_ASSIGN_OR_RETURN(std::span<const uint8_t> plain, tail_.blocks->Plain(block));
      plain = plain.subspan(position - map.block_starts[block]);
      bytes = std::min<uint64_t>(bytes, plain.size());
      CEDANA_RETURN_IF_ERROR(sink.Write(plain.first(bytes)));
    }
    progress_.served_bytes += bytes;
  }
  return absl::OkStatus();
}

absl::Status LoadFlow::ServeFromPacks(ReadPlan plan, ByteSink& sink) {
  Stream stream;
  absl::Status status;
  while (status.ok() && !(plan.done() && stream.empty())) {
    status = ReadAhead(plan, stream);
    if (!status.ok()) break;
    // Every block of the stretch is authentic and expanded before a byte of it leaves (I4).
    const std::shared_ptr<StretchInFlight> stretch = std::move(stream.front());
    stream.pop_front();
    status = stretch->Await();
    if (status.ok()) status = WriteStretch(*stretch, sink);
  }
  for (const auto& stretch : stream) stretch->Abandon();
  return status;
}

// Begins reads while memory is there for them. With nothing under way, waits for a block's worth.
absl::Status LoadFlow::ReadAhead(ReadPlan& plan, Stream& stream) {
  while (!plan.done() && stream.size() < FairShare()) {
    std::optional<Buffer> buffer = stretch_pool_->TryAcquire();
    if (!buffer.has_value()) break;
    CEDANA_RETURN_IF_ERROR(Launch(plan, *std::move(buffer), stream));
  }
  if (!stream.empty()) return absl::OkStatus();
  CEDANA_ASSIGN_OR_RETURN(Buffer buffer, block_pool_->Acquire());
  return Launch(plan, std::move(buffer), stream);
}

absl::Status LoadFlow::Launch(ReadPlan& plan, Buffer buffer, Stream& stream) {
  const size_t buffer_bytes = buffer.bytes().size();
  const auto stretch = std::make_shared<StretchInFlight>(
      plan.Next(buffer_bytes, budget_.range_bytes), std::move(buffer));
  stream.push_back(stretch);
  for (size_t read = 0; read < stretch->plan().reads.size(); ++read) {
    // On an error the jobs that are not pushed end as cancelled: nobody waits for this stretch.
    CEDANA_RETURN_IF_ERROR(jobs_.Push(ReadJob(stretch, read)));
  }
  return absl::OkStatus();
}

size_t LoadFlow::FairShare() const {
  const size_t ahead_max = std::max(kAheadBytes / budget_.stretch_bytes,
                                    2 * static_cast<size_t>(std::max(options_.connections, 1)));
  const size_t share = budget_.stretch_buffers / std::max<size_t>(streams_, 1);
  return std::clamp<size_t>(share, 1, ahead_max);
}

absl::Status LoadFlow::WriteStretch(const StretchInFlight& stretch, ByteSink& sink) {
  for (const Piece& piece : stretch.plan().pieces) {
    CEDANA_RETURN_IF_ERROR(piece.offset == Piece::kZeroes
                               ? WriteZeroes(piece.bytes, sink)
                               : sink.Write(stretch.buffer().subspan(piece.offset, piece.bytes)));
    progress_.served_bytes += piece.bytes;
  }
  return absl::OkStatus();
}

// Collects what Serve sends.
class StringSink : public ByteSink {
 public:
  absl::Status Write(std::span<const uint8_t> bytes) override {
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return absl::OkStatus();
  }
  std::string text;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Load>> Load::Open(const base::Context& context, LoadOptions options,
                                                 Catalog* catalog, const OpenSource& open_source) {
  absl::StatusOr<OpenedCheckpoint> opened = catalog->Open(context, options.path, options.lease);
  if (!opened.ok()) {
    if (MayHaveHappened(opened.status())) TellClose(*catalog, options.lease);
    return opened.status();
  }
  const std::string manifest = std::move(opened->manifest);
  auto flow = std::make_unique<LoadFlow>(context, std::move(options), *catalog, *std::move(opened));
  CEDANA_RETURN_IF_ERROR(flow->Start(manifest, open_source));  // dropping the flow ends the hold
  return flow;
}

absl::StatusOr<std::string> ReadImageFile(Load& load, const std::string& name, size_t max_bytes) {
  const ImageFile* file = load.Find(name);
  if (file == nullptr) {
    return absl::NotFoundError(absl::StrCat("checkpoint has no image file ", name));
  }
  if (file->bytes > max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("image file ", name, " has ", file->bytes, " bytes, at most ", max_bytes));
  }
  StringSink sink;
  CEDANA_RETURN_IF_ERROR(load.Serve(name, sink));
  return std::move(sink.text);
}

}  // namespace cedana::transfer
