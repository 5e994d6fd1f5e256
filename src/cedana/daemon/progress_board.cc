#include "cedana/daemon/progress_board.h"

#include <utility>

namespace cedana::daemon {

void Progress::Stage(std::string stage) {
  absl::MutexLock lock(&mutex_);
  view_.stage = std::move(stage);
}

void Progress::Note(std::string note) {
  absl::MutexLock lock(&mutex_);
  view_.notes.push_back(std::move(note));
}

void Progress::SetMeter(std::function<void(ProgressView*)> meter) {
  absl::MutexLock lock(&mutex_);
  if (meter_) meter_(&view_);
  meter_ = std::move(meter);
}

void Progress::Done() {
  absl::MutexLock lock(&mutex_);
  if (meter_) meter_(&view_);
  meter_ = nullptr;
  view_.done = true;
}

void Progress::AwaitDone(absl::Duration timeout) const {
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(&view_.done), timeout);
}

ProgressView Progress::View() const {
  absl::MutexLock lock(&mutex_);
  ProgressView view = view_;
  if (meter_) meter_(&view);
  return view;
}

std::shared_ptr<Progress> ProgressBoard::Open(const std::string& id) {
  auto progress = std::make_shared<Progress>();
  if (!id.empty()) {
    absl::MutexLock lock(&mutex_);
    entries_[id] = progress;
  }
  return progress;
}

void ProgressBoard::Close(const std::string& id) {
  std::shared_ptr<Progress> progress;
  absl::MutexLock lock(&mutex_);
  const auto it = entries_.find(id);
  if (it == entries_.end()) return;
  it->second->Done();
  entries_.erase(it);
}

std::shared_ptr<Progress> ProgressBoard::Find(const std::string& id, absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  const auto there = [this, &id] { return entries_.contains(id); };
  mutex_.AwaitWithTimeout(absl::Condition(&there), timeout);
  const auto it = entries_.find(id);
  return it == entries_.end() ? nullptr : it->second;
}

}  // namespace cedana::daemon
