#include "cedana/direct/direct_catalog.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "cedana/direct/decisions.h"
#include "cedana/direct/object_io.h"
#include "cedana/direct/parallel.h"
#include "core/base/status.h"
#include "core/codec/crc32c.h"
#include "core/format/bytes.h"
#include "core/transfer/checkpoint_path.h"

namespace cedana::direct {
namespace {

using transfer::SaveOutcome;

constexpr int kSuffixesMax = 1000;                       // of a generated name
constexpr absl::Duration kSettleMax = absl::Seconds(2);  // a process may be frozen meanwhile
constexpr size_t kIndexHeadMax =
    16;  // entries that are looked at for the newest; some may be foreign

absl::Status Ended(const Decision& decision) {
  return absl::FailedPreconditionError(
      decision.state == DecisionState::kFenced
          ? "the save gave no sign of life for too long and was ended"
          : "the save was aborted");
}

absl::Status NoSuchSave() { return absl::FailedPreconditionError("no such save was begun here"); }

// As it is given to us, a path is in its normal form: "a/b", no suffix.
absl::Status CheckName(const std::string& path) {
  CEDANA_ASSIGN_OR_RETURN(const std::string normal, transfer::NormalisePath(path));
  if (normal == path) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("path: ", path, " must be given without leading '/' and suffix: ", normal));
}

}  // namespace

absl::StatusOr<Repository> DirectCatalog::OpenedRepository(const base::Context& context,
                                                           bool create) {
  CEDANA_ASSIGN_OR_RETURN(const Site site, OpenSite(context, create));
  return *site.repository;
}

absl::StatusOr<Site> DirectCatalog::OpenSite(const base::Context& context, bool create) {
  Site site{&store_, nullptr, options_.times, options_.services, options_.at_once};
  {
    absl::MutexLock lock(&mutex_);
    site.repository = repository_.get();
  }
  if (site.repository != nullptr) return site;
  CEDANA_ASSIGN_OR_RETURN(
      Repository opened,
      OpenRepository(context, store_, options_.key, create ? options_.services.random : nullptr));
  absl::MutexLock lock(&mutex_);
  if (repository_ == nullptr) repository_ = std::make_unique<Repository>(std::move(opened));
  site.repository = repository_.get();
  return site;
}

std::optional<DirectCatalog::OpenSave> DirectCatalog::FindSave(const base::SaveId& save) {
  absl::MutexLock lock(&mutex_);
  const auto found = saves_.find(save);
  return found == saves_.end() ? std::nullopt : std::optional<OpenSave>(found->second);
}

transfer::BegunSave DirectCatalog::Begun(const Repository& repository,
                                         const std::string& name) const {
  return {name, repository.keys, options_.times.lease, options_.times.heartbeat};
}

absl::StatusOr<transfer::BegunSave> DirectCatalog::Begin(const base::Context& context,
                                                         const transfer::BeginRequest& request) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  CEDANA_RETURN_IF_ERROR(CheckName(request.path));
  CEDANA_RETURN_IF_ERROR(CheckCreatesAtomically(store_));
  CEDANA_ASSIGN_OR_RETURN(const Site site, OpenSite(context, /*create=*/true));
  if (const std::optional<OpenSave> save = FindSave(request.save); save.has_value()) {
    return Begun(*site.repository, save->name);
  }
  // The intent comes first: whatever this save writes can be traced to one that has begun.
  CEDANA_RETURN_IF_ERROR(
      PutOnce(context, store_, SaveKey(kIntents, request.save),
              SealIntent(request.save, request.checkpoint, site.repository->keys)));
  CEDANA_ASSIGN_OR_RETURN(const auto intent, store_.Head(context, SaveKey(kIntents, request.save)));
  if (!intent.has_value()) return absl::UnavailableError("the intent just written is not there");
  absl::StatusOr<OpenSave> save = ClaimFreeName(context, site, request, intent->modified);
  if (absl::IsAlreadyExists(save.status())) {
    // Ended, so that what it wrote means nothing from now on. Nothing is removed: a removal that is
    // late, or repeated, must never meet what somebody else has written since.
    EndUncommitted(context, site, request.save, DecisionState::kAborted).status().IgnoreError();
  }
  // A claim may stand, or be on its way, whichever request failed.
  if (base::MayPass(save.status())) return absl::UnknownError(save.status().message());
  CEDANA_RETURN_IF_ERROR(save.status());
  absl::MutexLock lock(&mutex_);
  return Begun(*site.repository,
               saves_.try_emplace(request.save, *std::move(save)).first->second.name);
}

absl::StatusOr<DirectCatalog::OpenSave> DirectCatalog::ClaimFreeName(
    const base::Context& context, const Site& site, const transfer::BeginRequest& request,
    absl::Time intent) {
  OpenSave save;
  save.request = request;
  save.name = request.path;
  for (int suffix = 2;; ++suffix) {
    const absl::StatusOr<uint32_t> turn = ClaimName(context, site, request.save, save.name, intent);
    if (turn.ok()) {
      save.turn = *turn;
      // An abort may have come before its begin.
      CEDANA_ASSIGN_OR_RETURN(const std::optional<Decision> decision,
                              ReadDecision(context, site, request.save));
      if (decision.has_value()) return Ended(*decision);
      return save;
    }
    const bool next = absl::IsAlreadyExists(turn.status()) && request.generated;
    if (!next || suffix > kSuffixesMax) return turn.status();
    save.name = absl::StrCat(request.path, "-", suffix);
  }
}

absl::Status DirectCatalog::Heartbeat(const base::Context& context, const base::SaveId& save) {
  const std::optional<OpenSave> open = FindSave(save);
  if (!open.has_value()) return NoSuchSave();
  CEDANA_ASSIGN_OR_RETURN(const Site site, OpenSite(context, /*create=*/false));
  CEDANA_ASSIGN_OR_RETURN(const std::optional<Decision> decision,
                          ReadDecision(context, site, save));
  if (decision.has_value()) {
    if (decision->state == DecisionState::kCommitted) {
      return absl::FailedPreconditionError("the save was committed");
    }
    return Ended(*decision);
  }
  const std::string beat = SealIntent(save, open->request.checkpoint, site.repository->keys);
  return store_.Put(context, SaveKey(kBeats, save), format::AsBytes(beat), {.create_only = false});
}

// Writes this save's entry of the index, behind all that are there now.
absl::StatusOr<IndexEntry> DirectCatalog::EnterIndex(const base::Context& context, const Site& site,
                                                     const OpenSave& save,
                                                     const transfer::JobFacts& facts) {
  IndexEntry entry;
  if (save.entry.has_value()) {
    entry = *save.entry;
  } else {
    entry.order = 1;
    entry.save = save.request.save;
    entry.job_name_tag = site.repository->JobNameTag(facts.job_name);
    entry.job_id_tag = site.repository->JobIdTag(facts.job_id);
    std::string after;
    for (bool found = false; !found;) {
      CEDANA_ASSIGN_OR_RETURN(const auto head, store_.List(context, kIndex, after, kIndexHeadMax));
      if (head.empty()) break;
      for (const objstore::ObjectInfo& object : head) {
        const std::optional<IndexEntry> newest = EntryOfKey(object.key);
        if (!newest.has_value()) continue;
        entry.order = newest->order + 1;
        found = true;
        break;
      }
      after = head.back().key;
    }
    absl::MutexLock lock(&mutex_);
    OpenSave& kept = saves_.at(save.request.save);
    // A repeat must say the same, or it would be another commit.
    if (!kept.entry.has_value()) kept.entry = entry;
    entry = *kept.entry;
  }
  CEDANA_RETURN_IF_ERROR(PutOnce(context, store_, entry.key(), ""));
  return entry;
}

absl::StatusOr<transfer::CheckpointInfo> DirectCatalog::Commit(
    const base::Context& context, const transfer::CommitRequest& request) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  const std::optional<OpenSave> save = FindSave(request.save);
  if (!save.has_value()) return NoSuchSave();
  if (save->committed.has_value()) return *save->committed;
  if (request.path != save->name || request.checkpoint != save->request.checkpoint) {
    return absl::InvalidArgumentError("the commit is not of this save");
  }
  for (const transfer::StoredPack& pack : request.packs) {
    // Nothing would keep another save's packs until this one is committed (direct.md, "What is not
    // promised").
    if (!pack.own) return absl::InvalidArgumentError("the commit refers to a pack of another save");
  }
  CEDANA_ASSIGN_OR_RETURN(const Site site, OpenSite(context, /*create=*/false));

  // Before the decision nothing is committed, whatever the error.
  absl::StatusOr<IndexEntry> entry = EnterIndex(context, site, *save, request.facts);
  if (absl::IsUnknown(entry.status())) {
    return absl::UnavailableError(entry.status().message());
  }
  CEDANA_RETURN_IF_ERROR(entry.status());

  Decision decision;
  decision.state = DecisionState::kCommitted;
  decision.save = request.save;
  decision.checkpoint = request.checkpoint;
  decision.name = save->name;
  decision.turn = save->turn;
  decision.order = entry->order;
  decision.image_bytes = request.image_bytes;
  decision.stored_bytes = request.stored_bytes;
  decision.new_bytes = request.new_bytes;
  decision.codec = request.codec;
  decision.facts = request.facts;
  decision.manifest = request.manifest;
  CEDANA_RETURN_IF_ERROR(Decide(context, site, decision, save->may_be_decided));

  // Committed (I1).
  transfer::CheckpointInfo info = InfoOf(decision);
  info.created = SettleCommit(context, site, request.save, save->may_be_decided);
  absl::MutexLock lock(&mutex_);
  OpenSave& kept = saves_.at(request.save);
  if (!kept.committed.has_value()) kept.committed = info;
  return *kept.committed;
}

// The owner knows now, so nobody asks again for this decision: the intent goes, and with it the
// need for a tombstone (direct.md, "Collection"). Failing at it costs nothing but that. Unless
// the commit was sent before and is deleted by now: the mark may be old already, and would be
// collected while a commit is still on its way. Returns when the decision was written, for people.
absl::Time DirectCatalog::SettleCommit(const base::Context& context, const Site& site,
                                       const base::SaveId& save, bool sent_before) {
  const base::Context brief = context.WithTimeout(kSettleMax);
  absl::Time created = options_.services.clock->Now();
  ForEachAtOnce(site.at_once, 2, [&](size_t i) {
    if (i == 0) {
      if (sent_before) {
        CEDANA_ASSIGN_OR_RETURN(const bool deleted, IsDeleted(brief, site, save));
        if (deleted) return absl::OkStatus();
      }
      return store_.Delete(brief, SaveKey(kIntents, save));
    }
    const auto written = store_.Head(brief, SaveKey(kDecisions, save));
    if (written.ok() && written->has_value()) created = (*written)->modified;
    return absl::OkStatus();
  }).IgnoreError();
  return created;
}

// The one object that makes a checkpoint visible. A single attempt.
absl::Status DirectCatalog::Decide(const base::Context& context, const Site& site,
                                   const Decision& decision, bool may_be_decided) {
  CEDANA_ASSIGN_OR_RETURN(const std::string bytes, SealDecision(decision, site.repository->keys));
  if (may_be_decided) {
    // What was decided may have been deleted and collected since: it must not come back.
    const absl::StatusOr<bool> deleted = IsDeleted(context, site, decision.save);
    if (!deleted.ok()) return absl::UnknownError(deleted.status().message());
    if (*deleted) return absl::OkStatus();  // so it had been committed
  }
  absl::Status put =
      store_.inner().Put(context, SaveKey(kDecisions, decision.save), format::AsBytes(bytes),
                         {.crc32c = codec::Crc32c(format::AsBytes(bytes))});
  if (!put.ok()) {  // one that exists may be ours, and may be gone when it is read
    absl::MutexLock lock(&mutex_);
    saves_.at(decision.save).may_be_decided = true;
  }
  // A store that says "try again later" may have done it all the same (S3's InternalError).
  if (absl::IsUnavailable(put)) return absl::UnknownError(put.message());
  if (!absl::IsAlreadyExists(put)) return put;
  absl::StatusOr<std::optional<Decision>> standing = ReadDecision(context, site, decision.save);
  if (!standing.ok()) return absl::UnknownError(standing.status().message());
  if (!standing->has_value()) return absl::UnknownError("the decision cannot be read back");
  if ((*standing)->state != DecisionState::kCommitted) return Ended(**standing);
  // A save has one owner, so a commit that stands is ours, of an attempt whose answer was lost.
  if ((*standing)->checkpoint == decision.checkpoint) return absl::OkStatus();
  return absl::AlreadyExistsError("another checkpoint was committed under this save");
}

absl::Status DirectCatalog::Abort(const base::Context& context, const base::SaveId& save) {
  CEDANA_ASSIGN_OR_RETURN(const Site site, OpenSite(context, /*create=*/false));
  CEDANA_ASSIGN_OR_RETURN(const Decision decision,
                          EndUncommitted(context, site, save, DecisionState::kAborted));
  bool committed = decision.state == DecisionState::kCommitted;
  if (!committed) {
    // Of a commit that its owner does not know of the mark is left when it was deleted and
    // collected; what was just written beside it means nothing. Looked for last, for that may have
    // come about while this machine stood still.
    CEDANA_ASSIGN_OR_RETURN(committed, IsDeleted(context, site, save));
  }
  return committed ? absl::AlreadyExistsError("the save was committed") : absl::OkStatus();
}

absl::StatusOr<SaveOutcome> DirectCatalog::Outcome(const base::Context& context,
                                                   const base::SaveId& save) {
  const absl::StatusOr<Site> site = OpenSite(context, /*create=*/false);
  if (absl::IsNotFound(site.status())) return SaveOutcome::kUnknown;
  CEDANA_RETURN_IF_ERROR(site.status());
  // The mark first, for a collection removes it last. It says that the save was committed once.
  CEDANA_ASSIGN_OR_RETURN(const bool deleted, IsDeleted(context, *site, save));
  if (deleted) return SaveOutcome::kCommitted;
  CEDANA_ASSIGN_OR_RETURN(const std::optional<Decision> decision,
                          ReadDecision(context, *site, save));
  if (!decision.has_value()) {
    return FindSave(save).has_value() ? SaveOutcome::kOpen : SaveOutcome::kUnknown;
  }
  return decision->state == DecisionState::kCommitted ? SaveOutcome::kCommitted
                                                      : SaveOutcome::kAborted;
}

absl::StatusOr<transfer::OpenedCheckpoint> DirectCatalog::Open(const base::Context& context,
                                                               const std::string& path,
                                                               const base::LeaseId& lease) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  CEDANA_ASSIGN_OR_RETURN(const std::string name, transfer::NormalisePath(path));
  CEDANA_ASSIGN_OR_RETURN(const Site site, OpenSite(context, /*create=*/false));
  CEDANA_ASSIGN_OR_RETURN(Decision decision, FindByName(context, site, name));
  transfer::OpenedCheckpoint opened;
  opened.info = InfoOf(decision);
  CEDANA_ASSIGN_OR_RETURN(const auto written,
                          store_.Head(context, SaveKey(kDecisions, decision.save)));
  if (!written.has_value()) return absl::NotFoundError(absl::StrCat("no checkpoint ", name));
  opened.info.created = written->modified;
  opened.keys = site.repository->keys;
  opened.manifest = std::move(decision.manifest);
  opened.lease = options_.times.spare;
  opened.heartbeat = options_.times.renew_hold;
  absl::MutexLock lock(&mutex_);
  holds_[lease] = {decision.save, options_.services.clock->Monotonic()};
  return opened;
}

absl::Status DirectCatalog::RenewHold(const base::Context& context, const base::LeaseId& lease) {
  const absl::Duration asked = options_.services.clock->Monotonic();
  Hold hold;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = holds_.find(lease);
    if (found == holds_.end()) return absl::FailedPreconditionError("nothing is held");
    hold = found->second;
  }
  // For a day after a deletion nothing goes. After a longer silence that is not known any more.
  if (asked - hold.renewed >= options_.times.spare) {
    return absl::FailedPreconditionError("the checkpoint was not looked at for too long");
  }
  CEDANA_ASSIGN_OR_RETURN(const auto there, store_.Head(context, SaveKey(kDecisions, hold.save)));
  if (!there.has_value()) {
    return absl::FailedPreconditionError("the checkpoint was deleted and collected");
  }
  absl::MutexLock lock(&mutex_);
  const auto found = holds_.find(lease);
  if (found != holds_.end()) found->second.renewed = asked;
  return absl::OkStatus();
}

absl::Status DirectCatalog::Close(const base::Context& context, const base::LeaseId& lease) {
  absl::MutexLock lock(&mutex_);
  holds_.erase(lease);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<transfer::CheckpointInfo>> DirectCatalog::List(
    const base::Context& context, const transfer::ListQuery& query) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  const absl::StatusOr<Site> site = OpenSite(context, /*create=*/false);
  if (absl::IsNotFound(site.status())) return std::vector<transfer::CheckpointInfo>();
  CEDANA_RETURN_IF_ERROR(site.status());
  return ListCheckpoints(context, *site, query);
}

absl::Status DirectCatalog::Delete(const base::Context& context, const std::string& path) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  CEDANA_ASSIGN_OR_RETURN(const std::string name, transfer::NormalisePath(path));
  CEDANA_ASSIGN_OR_RETURN(const Site site, OpenSite(context, /*create=*/false));
  CEDANA_ASSIGN_OR_RETURN(const Decision decision, FindByName(context, site, name));
  return PutOnce(context, store_, SaveKey(kDeletions, decision.save),
                 SealDeletion(decision.save, site.repository->keys));
}

}  // namespace cedana::direct
