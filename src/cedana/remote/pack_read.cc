#include "cedana/remote/pack_read.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cedana/remote/grant_transfer.h"
#include "core/base/status.h"
#include "core/base/thread.h"

namespace cedana::remote {
namespace {

using Readiness = ProviderHealth::Readiness;
constexpr size_t kUnderWayMax = 2;

}  // namespace

// A range that a provider was asked for.
struct PackRead::Request {
  explicit Request(const Grant& its_grant) : grant(its_grant) {}

  const Grant& grant;
  std::vector<uint8_t> own;  // where its bytes go; empty: to the caller's buffer
  absl::Duration hedge_at;
  std::atomic<int64_t> moved_ns{0};  // when a byte last moved (Monotonic)
  bool given_up = false;
  std::shared_ptr<base::CancelSource> cancel = std::make_shared<base::CancelSource>();
  std::unique_ptr<ProviderHealth::Transfer> transfer;
  std::optional<absl::Status> outcome;  // guarded by mutex_
  base::Thread thread;
};

PackRead::PackRead(const ReadShared& shared, const base::Context& context,
                   std::vector<Grant> grants, uint64_t offset, std::span<uint8_t> out)
    : shared_(shared),
      context_(context),
      grants_(std::move(grants)),
      offset_(offset),
      out_(out),
      tried_(grants_.size(), false) {}

PackRead::~PackRead() = default;

absl::StatusOr<std::string> PackRead::Run() {
  int handle = 0;
  if (context_.cancel != nullptr) handle = context_.cancel->OnCancel([this] { Signal(); });
  shared_.health->CountRead();
  absl::Status ended = context_.Check();
  while (ended.ok()) {
    TakeEnded();
    if (winner_ != nullptr) break;
    StartWhereNeeded();
    if (under_way_.empty()) break;  // all have been asked
    WaitForEvent();
    ended = context_.Check();
  }
  if (context_.cancel != nullptr) context_.cancel->RemoveCallback(handle);
  StopAll(absl::CancelledError("another answer was first"));
  if (winner_ == nullptr) return ended.ok() ? Failure() : ended;
  // Nobody writes to the caller's buffer any more.
  if (!winner_->own.empty()) {
    std::memcpy(out_.data(), winner_->own.data(), out_.size());
    shared_.second_reads->Give(winner_->own.size());
  }
  return winner_->grant.provider;
}

// --- requests -----------------------------------------------------------------------------------

std::optional<ProviderHealth::Choice> PackRead::Next() {
  std::vector<std::string> names;
  std::vector<size_t> indices;
  for (size_t i = 0; i < grants_.size(); ++i) {
    if (tried_[i]) continue;
    names.push_back(grants_[i].provider);
    indices.push_back(i);
  }
  if (names.empty()) return std::nullopt;
  ProviderHealth::Choice choice =
      shared_.health->Order(names, Direction::kRead, out_.size()).front();
  choice.index = indices[choice.index];
  return choice;
}

void PackRead::StartWhereNeeded() {
  if (under_way_.empty()) {
    StartNext();
    return;
  }
  for (auto& request : under_way_) {
    if (request->given_up || under_way_.size() >= kUnderWayMax) continue;
    StartBeside(*request);
    return;  // under_way_ has changed
  }
}

// With nothing under way, whoever is left is asked, the least bad too.
bool PackRead::StartNext() {
  while (const std::optional<ProviderHealth::Choice> choice = Next()) {
    if (choice->readiness != Readiness::kThrottled) {
      Start(choice->index, {});
      return true;
    }
    // Nobody is ready. Waiting is up to who tries again.
    tried_[choice->index] = true;
    const std::string& provider = grants_[choice->index].provider;
    const absl::Duration left = shared_.health->ThrottledFor(provider);
    failures_.emplace_back(
        provider, WithRetryAfter(absl::UnavailableError("asked to be left alone for a while"),
                                 std::max(left, absl::Milliseconds(1))));
    const std::optional<ProviderHealth::Choice> next = Next();
    if (!next.has_value() || next->readiness != Readiness::kThrottled) return false;
  }
  return false;
}

void PackRead::StartBeside(Request& first) {
  const absl::Duration now = Now();
  const bool lagging = first.transfer->Lagging();
  const bool unpaid = lagging || first.transfer->Slow();
  if (!unpaid && now < first.hedge_at) return;
  const std::optional<ProviderHealth::Choice> choice = Next();
  if (!choice.has_value() || choice->readiness == Readiness::kThrottled) return;
  if (!lagging && choice->readiness != Readiness::kReady) return;

  const bool out_is_free = !first.own.empty();
  const size_t bytes = out_is_free ? 0 : out_.size();
  if (!shared_.second_reads->Take(bytes)) {
    const absl::Duration moved = absl::Nanoseconds(first.moved_ns.load(std::memory_order_relaxed));
    // It holds nothing that would be lost. The next is asked once its thread has ended.
    if (lagging && now - moved >= shared_.stopped_after) {
      GiveUp(first, absl::UnavailableError(
                        absl::StrCat("no byte moved for ", absl::FormatDuration(now - moved))));
    }
    return;
  }
  if (!unpaid && !shared_.health->TakeHedge()) {
    shared_.second_reads->Give(bytes);
    first.hedge_at = now + shared_.tick;
    return;
  }
  Start(choice->index, std::vector<uint8_t>(bytes));
}

void PackRead::Start(size_t grant, std::vector<uint8_t> own) {
  tried_[grant] = true;
  const absl::Duration now = Now();
  auto request = std::make_unique<Request>(grants_[grant]);
  request->own = std::move(own);
  request->hedge_at = now + shared_.health->HedgeAfter(request->grant.provider, out_.size());
  request->moved_ns = absl::ToInt64Nanoseconds(now);
  request->transfer = shared_.health->Begin(request->grant.provider, Direction::kRead, out_.size());
  base::Context context = context_;
  context.cancel = request->cancel;
  const std::span<uint8_t> target = request->own.empty() ? out_ : std::span(request->own);
  request->thread = base::Thread(
      absl::StrCat("get-", request->grant.provider), [this, context, target, raw = request.get()] {
        ProviderHealth::Transfer& transfer = *raw->transfer;
        absl::Status status = ReadUnderGrant(
            context, *shared_.data_client, raw->grant, offset_, target,
            [&](uint64_t moved) {
              transfer.Progress(moved);
              raw->moved_ns.store(absl::ToInt64Nanoseconds(Now()), std::memory_order_relaxed);
            },
            [&transfer] { transfer.Answered(); });
        transfer.End(absl::IsDeadlineExceeded(status) ? absl::CancelledError("") : status);
        absl::MutexLock lock(&mutex_);
        raw->outcome = std::move(status);
        happened_ = true;
        event_.Signal();
      });
  under_way_.push_back(std::move(request));
}

void PackRead::GiveUp(Request& request, const absl::Status& why) {
  request.given_up = true;
  request.transfer->End(why);
  request.cancel->Cancel(absl::CancelledError(why.message()));
  failures_.emplace_back(request.grant.provider, why);
}

void PackRead::TakeEnded() {
  for (size_t i = 0; i < under_way_.size();) {
    std::optional<absl::Status> outcome;
    {
      absl::MutexLock lock(&mutex_);
      outcome = std::exchange(under_way_[i]->outcome, std::nullopt);
    }
    if (!outcome.has_value()) {
      ++i;
      continue;
    }
    std::unique_ptr<Request> request = std::move(under_way_[i]);
    under_way_.erase(under_way_.begin() + static_cast<std::ptrdiff_t>(i));
    request->thread.Join();
    if (outcome->ok() && winner_ == nullptr) {
      winner_ = std::move(request);
      continue;
    }
    shared_.second_reads->Give(request->own.size());
    if (!outcome->ok() && !request->given_up) {
      failures_.emplace_back(request->grant.provider, *outcome);
    }
  }
}

// --- waiting and the end ------------------------------------------------------------------------

void PackRead::Signal() {
  absl::MutexLock lock(&mutex_);
  happened_ = true;
  event_.Signal();
}

void PackRead::WaitForEvent() {
  const absl::Duration now = Now();
  absl::Duration wait = std::min(shared_.tick, context_.Remaining());
  if (under_way_.size() < kUnderWayMax) {
    for (const auto& request : under_way_) {
      if (request->hedge_at > now) wait = std::min(wait, request->hedge_at - now);
    }
  }
  absl::MutexLock lock(&mutex_);
  if (!happened_) event_.WaitWithTimeout(&mutex_, wait);
  happened_ = false;
}

void PackRead::StopAll(const absl::Status& reason) {
  for (auto& request : under_way_) request->cancel->Cancel(reason);
  for (auto& request : under_way_) {
    request->thread.Join();
    shared_.second_reads->Give(request->own.size());
  }
  under_way_.clear();
}

absl::Status PackRead::Failure() const {
  if (grants_.empty()) return absl::NotFoundError("no provider has it");
  std::vector<std::string> texts;
  absl::StatusCode code = absl::StatusCode::kNotFound;
  absl::Duration retry_after = absl::InfiniteDuration();
  for (const auto& [provider, failure] : failures_) {
    texts.push_back(absl::StrCat("provider ", provider, ": ", failure.message()));
    if (MayPass(failure)) {
      code = absl::StatusCode::kUnavailable;
      retry_after = std::min(retry_after, RetryAfter(failure));
    } else if (code == absl::StatusCode::kNotFound) {
      code = failure.code();
    }
  }
  absl::Status status(code, absl::StrJoin(texts, "; "));
  // The first of them that may be asked again decides how long to wait.
  if (retry_after == absl::InfiniteDuration()) return status;
  return WithRetryAfter(std::move(status), retry_after);
}

}  // namespace cedana::remote
