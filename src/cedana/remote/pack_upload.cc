#include "cedana/remote/pack_upload.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cedana/remote/grant_transfer.h"
#include "core/base/status.h"

namespace cedana::remote {
namespace {

// A service that takes the request and says nothing must not use up the upload's whole time.
constexpr absl::Duration kGrantTimeout = absl::Seconds(8);
// While too few places work it is asked again whether there are others.
constexpr absl::Duration kAskAgain = absl::Seconds(2);
// An upload is not begun under a grant that ends so soon, or (services may give short ones) has so
// little of its time left.
constexpr absl::Duration kBeforeExpiry = absl::Seconds(5);
constexpr int kPartBeforeExpiry = 4;

}  // namespace

// A provider that the service named.
struct PackUpload::Place {
  enum class State { kIdle, kUploading, kAcknowledged, kGivenUp };

  Place(Grant its_grant, absl::Time now, Retry its_retry) : retry(std::move(its_retry)) {
    Take(std::move(its_grant), now);
  }

  void Take(Grant fresh, absl::Time now) {
    grant = std::move(fresh);
    renew_at = grant.expires - std::min(kBeforeExpiry, (grant.expires - now) / kPartBeforeExpiry);
    wants_grant = false;
  }

  Grant grant;
  absl::Time renew_at;
  Retry retry;
  State state = State::kIdle;
  absl::Duration not_before;  // of the next try
  int refusals = 0;           // of grants, one after the other
  bool wants_grant = false;
  bool lagging = false;
  absl::Status failure;  // the last one

  // Of the upload under way.
  std::shared_ptr<base::CancelSource> cancel;
  std::unique_ptr<ProviderHealth::Transfer> transfer;
  std::optional<absl::Status> outcome;  // guarded by mutex_
  base::Thread thread;
};

struct PackUpload::Asking {
  std::shared_ptr<base::CancelSource> cancel = std::make_shared<base::CancelSource>();
  std::optional<absl::StatusOr<UploadGrants>> answer;  // guarded by mutex_
  base::Thread thread;
};

PackUpload::PackUpload(const UploadShared& shared, const base::Context& context,
                       const base::PackId& pack, std::span<const uint8_t> bytes, uint32_t crc32c)
    : shared_(shared),
      context_(context),
      pack_(pack),
      bytes_(bytes),
      crc32c_(crc32c),
      started_(shared.services.clock->Monotonic()) {}

PackUpload::~PackUpload() = default;

absl::StatusOr<std::vector<std::string>> PackUpload::Run() {
  int handle = 0;
  if (context_.cancel != nullptr) handle = context_.cancel->OnCancel([this] { Signal(); });
  Verdict verdict = Verdict::kGoOn;
  absl::Status ended = context_.Check();
  while (ended.ok()) {
    TakeAnswer();
    TakeEnded();
    NoteLag();
    verdict = Judge();
    if (verdict != Verdict::kGoOn) break;
    AskWhereNeeded();
    StartWhereNeeded();
    WaitForEvent();
    ended = context_.Check();
  }
  if (context_.cancel != nullptr) context_.cancel->RemoveCallback(handle);
  StopAll();
  if (verdict != Verdict::kStored) return ended.ok() ? Failure() : ended;
  std::vector<std::string> providers;
  for (const auto& place : places_) {
    if (place->state == Place::State::kAcknowledged) providers.push_back(place->grant.provider);
  }
  return providers;
}

// --- grants -------------------------------------------------------------------------------------

void PackUpload::AskWhereNeeded() {
  const absl::Duration now = Now();
  if (asking_ != nullptr || ask_is_final_ || now < ask_at_) return;
  const bool wanted = std::any_of(places_.begin(), places_.end(), [](const auto& place) {
    return place->state == Place::State::kIdle && place->wants_grant;
  });
  const bool too_few = static_cast<int>(CoveredDomains().size()) < ack_;
  if (answered() && !wanted && !(too_few && now - asked_at_ >= kAskAgain)) return;
  asked_at_ = now;
  if (!ask_retry_.has_value()) {
    ask_retry_.emplace(shared_.policy, context_, shared_.services, shared_.last_success);
  }
  base::Context context = ask_retry_->AttemptContext().WithTimeout(kGrantTimeout);
  asking_ = std::make_unique<Asking>();
  context.cancel = asking_->cancel;
  asking_->thread = base::Thread("put-grants", [this, context, asking = asking_.get()] {
    absl::StatusOr<UploadGrants> answer = shared_.ask(context, pack_, bytes_.size(), crc32c_);
    absl::MutexLock lock(&mutex_);
    asking->answer = std::move(answer);
    happened_ = true;
    event_.Signal();
  });
}

void PackUpload::TakeAnswer() {
  if (asking_ == nullptr) return;
  {
    absl::MutexLock lock(&mutex_);
    if (!asking_->answer.has_value()) return;
  }
  asking_->thread.Join();
  absl::StatusOr<UploadGrants> answer = *std::move(asking_->answer);
  asking_ = nullptr;
  if (answer.ok()) {
    TakeGrants(*std::move(answer));
  } else if (absl::IsDeadlineExceeded(answer.status())) {
    PlanAsk(absl::UnavailableError(answer.status().message()));  // the caller's is judged by Run
  } else {
    PlanAsk(answer.status());
  }
}

void PackUpload::TakeGrants(UploadGrants answer) {
  std::erase_if(answer.grants, [this](const Grant& grant) { return grant.pack != pack_; });
  const int all = static_cast<int>(answer.grants.size());
  const int ack = answer.copies > 0 ? answer.ack : all;
  std::set<std::string> domains = AcknowledgedDomains();
  for (const Grant& grant : answer.grants) domains.insert(grant.domain);
  if (answer.grants.empty()) return PlanAsk(absl::UnavailableError("no provider takes it now"));
  if (static_cast<int>(domains.size()) < ack) {
    return PlanAsk(
        absl::UnavailableError(absl::StrCat("only ", domains.size(), " of the ", ack,
                                            " failure domains that the policy needs take it now")));
  }
  ask_retry_.reset();
  ask_failure_ = absl::OkStatus();
  copies_ = answer.copies > 0 ? answer.copies : all;
  ack_ = ack;
  const absl::Time now = shared_.services.clock->Now();
  std::vector<std::unique_ptr<Place>> places;
  for (Grant& grant : answer.grants) {
    const auto known = std::find_if(places_.begin(), places_.end(), [&](const auto& place) {
      return place != nullptr && place->grant.provider == grant.provider;
    });
    if (known == places_.end()) {
      places.push_back(std::make_unique<Place>(
          std::move(grant), now,
          Retry(shared_.policy, context_, shared_.services, shared_.last_success)));
      continue;
    }
    if ((*known)->state == Place::State::kIdle) (*known)->Take(std::move(grant), now);
    places.push_back(std::move(*known));
  }
  for (auto& place : places_) {
    if (place == nullptr) continue;
    // The service names it no more, and the grant in hand is none.
    if (place->state == Place::State::kIdle && place->wants_grant) {
      place->state = Place::State::kGivenUp;
    }
    places.push_back(std::move(place));
  }
  places_ = std::move(places);
}

void PackUpload::PlanAsk(const absl::Status& failure) {
  const absl::StatusOr<absl::Duration> wait = ask_retry_->Plan(failure, /*repeat_is_safe=*/true);
  if (wait.ok()) {
    ask_failure_ = failure;
    ask_at_ = Now() + *wait;
    return;
  }
  ask_failure_ = wait.status();
  ask_is_final_ = true;
  for (auto& place : places_) {
    if (place->state == Place::State::kIdle && place->wants_grant) {
      place->state = Place::State::kGivenUp;
    }
  }
}

// --- uploads ------------------------------------------------------------------------------------

std::set<std::string> PackUpload::AcknowledgedDomains() const {
  std::set<std::string> domains;
  for (const auto& place : places_) {
    if (place->state == Place::State::kAcknowledged) domains.insert(place->grant.domain);
  }
  return domains;
}

std::set<std::string> PackUpload::CoveredDomains() const {
  std::set<std::string> domains = AcknowledgedDomains();
  for (const auto& place : places_) {
    if (place->state == Place::State::kUploading && !place->lagging) {
      domains.insert(place->grant.domain);
    }
  }
  return domains;
}

void PackUpload::NoteLag() {
  for (auto& place : places_) {
    if (place->state == Place::State::kUploading) place->lagging = place->transfer->Lagging();
  }
}

void PackUpload::StartWhereNeeded() {
  while (answered()) {
    const std::set<std::string> covered = CoveredDomains();
    const int domains = static_cast<int>(covered.size());
    const auto under_way = std::count_if(places_.begin(), places_.end(), [](const auto& place) {
      return place->state == Place::State::kUploading;
    });
    if (domains >= copies_ || static_cast<size_t>(under_way) >= copies_ + kBesideMax) return;
    Place* place = NextPlace(covered, /*for_ack=*/domains < ack_);
    if (place == nullptr) return;
    Start(*place);
  }
}

PackUpload::Place* PackUpload::NextPlace(const std::set<std::string>& covered, bool for_ack) {
  const absl::Duration now = Now();
  const absl::Time wall = shared_.services.clock->Now();
  std::vector<Place*> candidates;
  std::vector<std::string> names;
  for (auto& place : places_) {
    if (place->state != Place::State::kIdle || covered.contains(place->grant.domain)) continue;
    place->wants_grant = place->wants_grant || wall >= place->renew_at;
    if (place->wants_grant || now < place->not_before) continue;
    candidates.push_back(place.get());
    names.push_back(place->grant.provider);
  }
  for (const auto& choice : shared_.health->Order(names, Direction::kUpload, bytes_.size())) {
    const bool least_bad = choice.readiness == ProviderHealth::Readiness::kOpen && for_ack;
    if (choice.readiness == ProviderHealth::Readiness::kReady || least_bad) {
      return candidates[choice.index];
    }
  }
  return nullptr;
}

void PackUpload::Start(Place& place) {
  base::Context context = place.retry.AttemptContext();
  place.cancel = context.cancel = std::make_shared<base::CancelSource>();
  place.transfer = shared_.health->Begin(place.grant.provider, Direction::kUpload, bytes_.size());
  place.state = Place::State::kUploading;
  place.lagging = false;
  place.outcome.reset();
  place.thread = base::Thread(absl::StrCat("put-", place.grant.provider), [this, context, &place] {
    ProviderHealth::Transfer& transfer = *place.transfer;
    uint64_t counted = 0;
    absl::Status status = UploadUnderGrant(context, *shared_.data_client, place.grant, bytes_,
                                           crc32c_, [&](uint64_t moved) {
                                             transfer.Progress(moved);
                                             if (moved <= counted) return;
                                             *shared_.moved_bytes += moved - counted;
                                             counted = moved;
                                           });
    transfer.End(absl::IsDeadlineExceeded(status) ? absl::CancelledError("") : status);
    absl::MutexLock lock(&mutex_);
    place.outcome = std::move(status);
    happened_ = true;
    event_.Signal();
  });
}

void PackUpload::TakeEnded() {
  for (auto& place : places_) {
    if (place->state != Place::State::kUploading) continue;
    {
      absl::MutexLock lock(&mutex_);
      if (!place->outcome.has_value()) continue;
    }
    place->thread.Join();
    TakeResult(*place, *std::exchange(place->outcome, std::nullopt));
  }
}

void PackUpload::TakeResult(Place& place, const absl::Status& status) {
  place.state = Place::State::kIdle;
  place.lagging = false;
  if (status.ok()) {
    place.state = Place::State::kAcknowledged;
    return;
  }
  place.failure = status;
  if (absl::IsPermissionDenied(status) && ++place.refusals == 1 && !ask_is_final_) {
    place.wants_grant = true;
    return;
  }
  // Grants are create-only and bound to the pack's bytes, so a repeat is safe.
  const absl::StatusOr<absl::Duration> wait = place.retry.Plan(status, /*repeat_is_safe=*/true);
  if (wait.ok()) {
    place.not_before = Now() + *wait;
  } else {
    place.failure = wait.status();
    place.state = Place::State::kGivenUp;
  }
}

// --- the verdict --------------------------------------------------------------------------------

bool PackUpload::CanReachAck() const {
  std::set<std::string> domains;
  for (const auto& place : places_) {
    if (place->state != Place::State::kGivenUp) domains.insert(place->grant.domain);
  }
  return static_cast<int>(domains.size()) >= ack_;
}

PackUpload::Verdict PackUpload::Judge() {
  if (!answered()) return ask_is_final_ ? Verdict::kFailed : Verdict::kGoOn;
  const std::set<std::string> acknowledged = AcknowledgedDomains();
  const int domains = static_cast<int>(acknowledged.size());
  if (domains >= copies_) return Verdict::kStored;
  if (domains < ack_) {
    // A lease that has ended, a token that was revoked: nothing that is stored would be of use.
    const bool refused = ask_is_final_ && !MayPass(ask_failure_);
    return refused || !CanReachAck() ? Verdict::kFailed : Verdict::kGoOn;
  }
  const absl::Duration now = Now();
  if (!durable_at_.has_value()) durable_at_ = now;
  const absl::Duration limit = std::max(shared_.extra_copies_min, *durable_at_ - started_);
  const std::set<std::string> covered = CoveredDomains();
  const bool more_to_come =
      covered.size() > acknowledged.size() || NextPlace(covered, /*for_ack=*/false) != nullptr;
  return more_to_come && now - *durable_at_ < limit ? Verdict::kGoOn : Verdict::kStored;
}

absl::Status PackUpload::Failure() const {
  if (ask_is_final_ && (!answered() || !MayPass(ask_failure_))) return ask_failure_;
  std::vector<std::string> texts;
  absl::StatusCode code = absl::StatusCode::kOk;
  for (const auto& place : places_) {
    if (place->failure.ok() || place->state == Place::State::kAcknowledged) continue;
    texts.push_back(
        absl::StrCat("provider ", place->grant.provider, ": ", place->failure.message()));
    // One that may recover outweighs all others.
    if (code == absl::StatusCode::kOk) code = place->failure.code();
    if (MayPass(place->failure)) code = absl::StatusCode::kUnavailable;
  }
  if (!ask_failure_.ok()) texts.emplace_back(ask_failure_.message());
  if (code == absl::StatusCode::kOk) code = absl::StatusCode::kUnavailable;
  const std::string text = absl::StrJoin(texts, "; ");
  if (ack_ == 1) return absl::Status(code, text);
  return absl::Status(code, absl::StrCat(AcknowledgedDomains().size(), " of ", ack_,
                                         " needed copies stored; ", text));
}

// --- waiting and the end ------------------------------------------------------------------------

void PackUpload::Signal() {
  absl::MutexLock lock(&mutex_);
  happened_ = true;
  event_.Signal();
}

void PackUpload::WaitForEvent() {
  const absl::Duration now = Now();
  absl::Duration wait = std::min(shared_.tick, context_.Remaining());
  const auto wake_at = [&](absl::Duration at) {
    if (at > now) wait = std::min(wait, at - now);
  };
  wake_at(ask_at_);
  for (const auto& place : places_) {
    if (place->state == Place::State::kIdle) wake_at(place->not_before);
  }
  absl::MutexLock lock(&mutex_);
  if (!happened_) event_.WaitWithTimeout(&mutex_, wait);
  happened_ = false;
}

void PackUpload::StopAll() {
  const absl::Status reason = absl::CancelledError("another reply was first");
  if (asking_ != nullptr) asking_->cancel->Cancel(reason);
  for (auto& place : places_) {
    if (place->state == Place::State::kUploading) place->cancel->Cancel(reason);
  }
  if (asking_ != nullptr) asking_->thread.Join();
  for (auto& place : places_) {
    if (place->state != Place::State::kUploading) continue;
    place->thread.Join();
    const absl::Status status = *std::exchange(place->outcome, std::nullopt);
    // Its reply came in the last moment: it holds a copy.
    place->state = status.ok() ? Place::State::kAcknowledged : Place::State::kGivenUp;
  }
}

}  // namespace cedana::remote
