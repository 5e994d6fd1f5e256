// A dump's way from image files to a committed checkpoint. FinishStages lists the stages in order;
// each is a small class in its own file that is handed the sink of the next one.
//
//   Store (caller's threads)  pipelines (N)                       uploaders (M)
//   image files ─▸ chunks ─▸  pages ─▸ blocks ─▸ sealed packs ─▸  PackSink
//
// Every wait ends when the save's context is cancelled: by its caller, by Abort, by the first stage
// that fails, or by the lease keeper when the lease is lost.
#include "core/transfer/save.h"

#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "core/base/limits.h"
#include "core/base/status.h"
#include "core/base/thread.h"
#include "core/codec/registry.h"
#include "core/format/manifest.h"
#include "core/transfer/bounded_queue.h"
#include "core/transfer/budget.h"
#include "core/transfer/buffer_pool.h"
#include "core/transfer/committer.h"
#include "core/transfer/image_reader.h"
#include "core/transfer/lease_keeper.h"
#include "core/transfer/lost_reply.h"
#include "core/transfer/pack_filler.h"
#include "core/transfer/page_stage.h"
#include "core/transfer/tail_writer.h"

namespace cedana::transfer {
namespace {

constexpr absl::Duration kAbortTimeout = absl::Seconds(5);
constexpr size_t kChunkRunMax = 8;  // 2 MiB of plain bytes

// If this does not get through, the lease ends by itself.
void TellAbort(Catalog& catalog, const base::SaveId& save) {
  catalog.Abort(base::Context{}.WithTimeout(kAbortTimeout), save).IgnoreError();
}

// Before the commit nothing is in doubt: a reply lost on the way there is an ordinary failure, and
// kUnknown is left to mean one thing only.
absl::Status NothingCommitted(const absl::Status& status) {
  if (status.code() != absl::StatusCode::kUnknown) return status;
  return absl::UnavailableError(status.message());
}

class SaveFlow final : public Save {
 public:
  SaveFlow(const base::Context& context, SaveOptions options, Catalog& catalog, BegunSave begun,
           codec::Codec codec, const SaveBudget& budget)
      : options_(std::move(options)),
        catalog_(catalog),
        begun_(std::move(begun)),
        codec_(codec),
        budget_(budget),
        caller_(context),
        work_{context.deadline, std::make_shared<base::CancelSource>()},
        files_(budget.small_files_bytes),
        chunks_(budget.chunk_buffers),
        sealed_(budget.pack_buffers) {}

  ~SaveFlow() override;

  absl::Status Start(const OpenSink& open_sink);
  absl::Status Store(const std::string& name, ByteSource& source) override;
  absl::StatusOr<CheckpointInfo> Finish(const JobFacts& facts,
                                        absl::Duration commit_timeout) override;
  void Abort(absl::Status reason) override;
  void SetPatience(absl::Duration patience) override { sink_->SetPatience(patience); }
  const SaveProgress& progress() const override { return progress_; }
  uint64_t moved_bytes() const override {
    return progress_.image_bytes + progress_.stored_bytes + sink_->moved_bytes();
  }
  const std::string& path() const override { return begun_.path; }

 private:
  // A thread's worth of pages, blocks and packs.
  struct Pipeline {
    Pipeline(uint32_t number, const format::Key256& page_id_key, PackSupply& supply,
             codec::Codec codec, SaveProgress& progress)
        : filler(supply, codec), pages(number, page_id_key, filler, progress) {}
    PackFiller filler;
    PageStage pages;
  };

  void FollowCaller();
  void StartThreads();
  absl::Status RunPipeline(Pipeline& pipeline);
  absl::Status RunUploader();
  absl::StatusOr<CheckpointInfo> FinishStages(const JobFacts& facts, absl::Duration commit_timeout);
  absl::Status EndStores();
  absl::Status DrainPipelines();
  absl::Status DrainUploads();
  absl::StatusOr<CommitRequest> MakeCommit(const Tail& tail, const JobFacts& facts);
  // The first error ends the work of all threads.
  void Fail(const absl::Status& status) {
    if (!status.ok()) work_.cancel->Cancel(NothingCommitted(status));
  }
  absl::Status failure() const { return work_.Check(); }

  // Constant after Start.
  const SaveOptions options_;
  Catalog& catalog_;
  const BegunSave begun_;
  const codec::Codec codec_;
  const SaveBudget budget_;
  const base::Context caller_;
  const base::Context work_;
  int caller_callback_ = 0;
  int work_callback_ = 0;
  std::unique_ptr<PackSink> sink_;

  SaveProgress progress_;
  ImageFiles files_;
  PackLedger ledger_;
  std::unique_ptr<BufferPool> chunk_pool_;
  std::unique_ptr<BufferPool> pack_pool_;
  BoundedQueue<Chunk> chunks_;
  BoundedQueue<SealedPack> sealed_;
  std::optional<PackSupply> supply_;
  std::vector<std::unique_ptr<Pipeline>> pipelines_;
  std::optional<LeaseKeeper> keeper_;

  absl::Mutex mutex_;
  int stores_ ABSL_GUARDED_BY(mutex_) = 0;
  bool finishing_ ABSL_GUARDED_BY(mutex_) = false;
  // Nothing is left to tell the catalog: committed, told before, or the outcome is not known.
  bool settled_ ABSL_GUARDED_BY(mutex_) = false;

  // Last, so that they end before what they work on.
  base::Thread keeper_thread_;
  std::vector<base::Thread> pipeline_threads_;
  std::vector<base::Thread> upload_threads_;
};

SaveFlow::~SaveFlow() {
  Abort(absl::CancelledError("the save was dropped"));
  keeper_->Stop();
  pipeline_threads_.clear();
  upload_threads_.clear();
  keeper_thread_.Join();
  if (caller_.cancel != nullptr) caller_.cancel->RemoveCallback(caller_callback_);
  work_.cancel->RemoveCallback(work_callback_);
}

absl::Status SaveFlow::Start(const OpenSink& open_sink) {
  keeper_.emplace(
      begun_.lease, begun_.heartbeat,
      options_.clock != nullptr ? *options_.clock : base::SystemClock(),
      [this](const base::Context& context) { return catalog_.Heartbeat(context, options_.save); },
      work_);
  if (begun_.keys.sealing.empty()) return absl::InternalError("the catalog gave no sealing key");
  CEDANA_ASSIGN_OR_RETURN(chunk_pool_,
                          BufferPool::Create(budget_.chunk_buffers, base::kBlockBytesMax));
  CEDANA_ASSIGN_OR_RETURN(pack_pool_, BufferPool::Create(budget_.pack_buffers, budget_.pack_bytes));
  base::Random& random = options_.random != nullptr ? *options_.random : base::SystemRandom();
  supply_.emplace(PackSupply{begun_.keys, random, *pack_pool_, ledger_, progress_,
                             [this](SealedPack pack) { return sealed_.Push(std::move(pack)); }});
  sink_ = open_sink(options_.save);
  FollowCaller();
  StartThreads();
  return absl::OkStatus();
}

// Cancelling the caller's context, or our own, wakes everybody.
void SaveFlow::FollowCaller() {
  if (caller_.cancel != nullptr) {
    caller_callback_ = caller_.cancel->OnCancel(
        [ours = work_.cancel, theirs = caller_.cancel.get()] { ours->Cancel(theirs->status()); });
  }
  work_callback_ = work_.cancel->OnCancel([this] {
    const absl::Status reason = work_.cancel->status();
    chunk_pool_->Interrupt(reason);
    pack_pool_->Interrupt(reason);
    chunks_.Interrupt(reason);
    sealed_.Interrupt(reason);
  });
}

void SaveFlow::StartThreads() {
  for (int i = 0; i < budget_.pipelines; ++i) {
    pipelines_.push_back(std::make_unique<Pipeline>(
        static_cast<uint32_t>(i), begun_.keys.page_id_key, *supply_, codec_, progress_));
  }
  for (int i = 0; i < budget_.pipelines; ++i) {
    pipeline_threads_.emplace_back(absl::StrCat("save-pages-", i),
                                   [this, i] { Fail(RunPipeline(*pipelines_[i])); });
  }
  for (int i = 0; i < budget_.uploads; ++i) {
    upload_threads_.emplace_back(absl::StrCat("save-upload-", i), [this] { Fail(RunUploader()); });
  }
  keeper_thread_ = base::Thread("save-lease", [this] { keeper_->Run(); });
}

absl::Status SaveFlow::Store(const std::string& name, ByteSource& source) {
  {
    absl::MutexLock lock(&mutex_);
    if (finishing_) return absl::FailedPreconditionError("the save is being finished");
    ++stores_;
  }
  absl::Status status = ReadImage(name, source, files_, *chunk_pool_, progress_,
                                  [this](Chunk chunk) { return chunks_.Push(std::move(chunk)); });
  if (absl::Status ended = failure(); !ended.ok()) {
    status = ended;  // the first failure anywhere is the reason, not what it cut off here
  } else if (!status.ok()) {
    status = NothingCommitted(base::Annotate(status, absl::StrCat("image file ", name)));
    Fail(status);
  }
  absl::MutexLock lock(&mutex_);
  --stores_;
  return status;
}

absl::Status SaveFlow::RunPipeline(Pipeline& pipeline) {
  while (true) {
    // Chunks that follow each other in a file end beside each other in a pack, however many
    // pipelines there are: a restore then reads them at once.
    CEDANA_ASSIGN_OR_RETURN(std::vector<Chunk> run,
                            chunks_.PopRun(kChunkRunMax, pipelines_.size()));
    if (run.empty()) break;
    for (Chunk& chunk : run) {
      CEDANA_RETURN_IF_ERROR(pipeline.pages.Take(chunk));
      chunk.buffer.Reset();
    }
  }
  CEDANA_RETURN_IF_ERROR(pipeline.pages.Flush());
  return pipeline.filler.Flush();
}

absl::Status SaveFlow::RunUploader() {
  while (true) {
    CEDANA_ASSIGN_OR_RETURN(const std::optional<SealedPack> sealed, sealed_.Pop());
    if (!sealed.has_value()) return absl::OkStatus();
    const format::FinishedPack& pack = sealed->pack;
    absl::StatusOr<std::vector<std::string>> providers =
        sink_->Put(work_, pack.id, pack.bytes, pack.crc32c);
    if (!providers.ok()) {
      return base::Annotate(providers.status(), absl::StrCat("pack ", pack.id.ToHex()));
    }
    ledger_.Acknowledge(sealed->number, *std::move(providers));
    progress_.stored_bytes += pack.bytes.size();
  }
}

absl::StatusOr<CheckpointInfo> SaveFlow::Finish(const JobFacts& facts,
                                                absl::Duration commit_timeout) {
  {
    absl::MutexLock lock(&mutex_);
    if (finishing_) return absl::FailedPreconditionError("the save was finished before");
    finishing_ = true;
  }
  absl::StatusOr<CheckpointInfo> info = FinishStages(facts, commit_timeout);
  keeper_->Stop();
  if (info.ok() || info.status().code() == absl::StatusCode::kUnknown) {
    absl::MutexLock lock(&mutex_);
    settled_ = true;
  } else {
    Abort(info.status());
  }
  return info;
}

absl::StatusOr<CheckpointInfo> SaveFlow::FinishStages(const JobFacts& facts,
                                                      absl::Duration commit_timeout) {
  // Every image file was read to its end; from here nothing comes in.
  CEDANA_RETURN_IF_ERROR(EndStores());

  // Chunks become pages, blocks and packs; from here every page has its place.
  CEDANA_RETURN_IF_ERROR(DrainPipelines());

  // Small image files and the page map go into the last packs.
  std::vector<const PageStage*> pages;
  for (const auto& pipeline : pipelines_) pages.push_back(&pipeline->pages);
  CEDANA_ASSIGN_OR_RETURN(const Tail tail, WriteTail(*supply_, codec_, files_, pages));

  // From here every pack is durable (I2).
  CEDANA_RETURN_IF_ERROR(DrainUploads());

  // The manifest goes along with the commit, which writes it before it makes anything visible.
  CEDANA_ASSIGN_OR_RETURN(const CommitRequest request, MakeCommit(tail, facts));
  return CommitSave(work_, catalog_, request, commit_timeout);
}

absl::Status SaveFlow::EndStores() {
  CEDANA_RETURN_IF_ERROR(failure());
  absl::MutexLock lock(&mutex_);
  if (stores_ > 0) return absl::FailedPreconditionError("an image file is still being stored");
  return absl::OkStatus();
}

absl::Status SaveFlow::DrainPipelines() {
  chunks_.Close();
  pipeline_threads_.clear();
  return failure();
}

absl::Status SaveFlow::DrainUploads() {
  sealed_.Close();
  upload_threads_.clear();
  return failure();
}

absl::StatusOr<CommitRequest> SaveFlow::MakeCommit(const Tail& tail, const JobFacts& facts) {
  CommitRequest request;
  request.save = options_.save;
  request.checkpoint = options_.checkpoint;
  request.path = begun_.path;
  request.packs = ledger_.packs();
  request.image_bytes = progress_.image_bytes;
  request.stored_bytes = ledger_.TotalBytes();
  request.new_bytes = request.stored_bytes;
  request.codec = options_.codec == "tar" ? "none" : options_.codec;
  request.facts = facts;

  format::Manifest manifest;
  manifest.checkpoint = options_.checkpoint;
  manifest.path = begun_.path;
  manifest.tail_packs = tail.packs;
  manifest.page_map = tail.page_map;
  manifest.image_bytes = request.image_bytes;
  manifest.stored_bytes = request.stored_bytes;
  manifest.new_bytes = request.new_bytes;
  manifest.codec = request.codec;
  manifest.facts = facts.ToJson();
  manifest.created_by = "cedana " CEDANA_VERSION;
  CEDANA_ASSIGN_OR_RETURN(request.manifest, format::SealManifest(manifest, begun_.keys));
  return request;
}

void SaveFlow::Abort(absl::Status reason) {
  {
    absl::MutexLock lock(&mutex_);
    if (settled_) return;
    settled_ = true;
  }
  work_.cancel->Cancel(reason.ok() ? absl::CancelledError("aborted") : std::move(reason));
  TellAbort(catalog_, options_.save);
}

int DefaultPipelines() { return std::max(1, static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN))); }

}  // namespace

absl::StatusOr<std::unique_ptr<Save>> Save::Begin(const base::Context& context, SaveOptions options,
                                                  Catalog* catalog, const OpenSink& open_sink) {
  CEDANA_ASSIGN_OR_RETURN(const codec::Codec codec, codec::CodecFromName(options.codec));
  const int pipelines = options.pipelines > 0 ? options.pipelines : DefaultPipelines();
  CEDANA_ASSIGN_OR_RETURN(const SaveBudget budget,
                          PlanSave(options.memory_limit_bytes, pipelines, options.one_file));

  BeginRequest request{options.save, options.checkpoint, options.path, options.generated_name};
  absl::StatusOr<BegunSave> begun = catalog->Begin(context, request);
  if (!begun.ok()) {
    // If only the reply was lost, the path would stay taken until the lease ends.
    if (MayHaveHappened(begun.status())) TellAbort(*catalog, options.save);
    return NothingCommitted(begun.status());
  }
  auto flow = std::make_unique<SaveFlow>(context, std::move(options), *catalog, *std::move(begun),
                                         codec, budget);
  CEDANA_RETURN_IF_ERROR(flow->Start(open_sink));  // dropping the flow aborts the save
  return flow;
}

}  // namespace cedana::transfer
