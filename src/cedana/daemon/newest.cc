#include "cedana/daemon/newest.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/base/status.h"
#include "daemon_api.h"

namespace cedana::daemon {
namespace {

constexpr absl::Duration kFindTimeout = absl::Seconds(20);
// For the places that do not hold the newest record: a restore does not wait for a cloud that is
// dark and most likely holds nothing newer.
constexpr absl::Duration kAsideTimeout = absl::Seconds(5);

// Of the error that lists several jobs. At worst a choice takes some 5 KB in the trailers (a path
// of 1 KiB, once percent-encoded as text and once as base64), so all of them stay below half of
// what the command line accepts (256 KiB).
constexpr size_t kChoicesMax = 20;
constexpr size_t kWordBytesMax = 64;
constexpr size_t kCommandBytesMax = 100;

// At most `bytes_max` bytes, on one line, whole characters.
std::string Cut(const std::string& text, size_t bytes_max) {
  std::string cut = text.substr(0, bytes_max);
  const bool whole = cut.size() == text.size();
  // A character's bytes but the first are 10xxxxxx.
  while (!whole && !cut.empty() && (text[cut.size()] & 0xc0) == 0x80) cut.pop_back();
  std::replace_if(cut.begin(), cut.end(), absl::ascii_iscntrl, ' ');
  return whole ? cut : absl::StrCat(cut, "…");
}

absl::Status NothingThere(const JobSearch& search) {
  if (search.id.empty()) {
    return absl::NotFoundError(
        absl::StrCat("job ", search.name, " not found, neither here nor in the storage"));
  }
  return absl::FailedPreconditionError(
      absl::StrCat("job ", search.name, " has no saved checkpoint. pass in path to override"));
}

absl::StatusOr<NewestCheckpoint> NewestBelow(const base::Context& context, const OpenPlace& open,
                                             const JobSearch& search,
                                             const plugin::StorageUrl& folder, bool elsewhere) {
  NewestCheckpoint newest;
  CEDANA_ASSIGN_OR_RETURN(newest.storage, open(folder));
  transfer::ListQuery query = search.Query();
  query.newest_per_job = true;
  query.prefix = folder.path;
  const base::Context bounded = context.WithTimeout(kFindTimeout);
  CEDANA_ASSIGN_OR_RETURN(auto found, newest.storage->catalog().List(bounded, query));
  if (found.empty() && elsewhere && !query.prefix.empty()) {
    // The default folder is only where dumps go unless told otherwise; they may lie elsewhere.
    query.prefix.clear();
    CEDANA_ASSIGN_OR_RETURN(found, newest.storage->catalog().List(bounded, query));
  }
  if (found.empty()) return NothingThere(search);
  if (found.size() > 1) return SeveralJobs(search.name, folder.scheme, found);
  newest.url = {folder.scheme, found[0].path};
  return newest;
}

struct Candidate {
  plugin::StorageUrl url;
  int64_t time_ms = 0;
  size_t place = 0;  // its number among the answers
};

// The newest of what this daemon knows of in `place`.
const CheckpointRecord* NewestKnown(const JobSearch& search, const plugin::StorageUrl& place) {
  for (const CheckpointRecord& record : search.known) {
    const auto url = plugin::ParseStorageUrl(record.url);
    if (url.ok() && PlaceOf(*url).ToString() == place.ToString() && record.durability != kGone) {
      return &record;
    }
  }
  return nullptr;
}

std::optional<Candidate> CandidateOf(const JobSearch& search, const PlaceAnswer& answer,
                                     size_t place) {
  if (answer.found.ok()) {
    if (answer.found->empty()) return std::nullopt;
    const transfer::CheckpointInfo& info = answer.found->front();
    return Candidate{{answer.place.scheme, info.path}, absl::ToUnixMillis(info.created), place};
  }
  const CheckpointRecord* known = NewestKnown(search, answer.place);
  if (known == nullptr) return std::nullopt;
  return Candidate{*plugin::ParseStorageUrl(known->url), known->time_ms, place};
}

bool IsThere(const CheckpointRecord& known, const PlaceAnswer& answer) {
  if (answer.found->empty()) return false;
  const transfer::CheckpointInfo& newest = answer.found->front();
  if (!known.id.empty()) return newest.id.ToHex() == known.id;
  return plugin::StorageUrl{answer.place.scheme, newest.path}.ToString() == known.url;
}

std::vector<std::string> Notes(const JobSearch& search, const std::vector<PlaceAnswer>& answers,
                               const Candidate& taken) {
  std::vector<std::string> notes;
  for (const PlaceAnswer& answer : answers) {
    const CheckpointRecord* known = NewestKnown(search, answer.place);
    // A default folder that nothing was ever dumped to may well be unusable.
    if (!answer.found.ok() && (known != nullptr || answer.storage != nullptr)) {
      notes.push_back(absl::StrCat("warning: ", answer.place.ToString(), " does not answer, so a ",
                                   "newer checkpoint there would go unnoticed (",
                                   answer.found.status().message(), ")"));
    }
    if (answer.found.ok() && known != nullptr && known->time_ms > taken.time_ms &&
        !IsThere(*known, answer)) {
      notes.push_back(absl::StrCat("warning: the newer checkpoint ", known->url,
                                   " is not in the storage any more"));
    }
  }
  return notes;
}

absl::StatusOr<NewestCheckpoint> NewestOfKnown(const base::Context& context, const OpenPlace& open,
                                               const JobSearch& search) {
  transfer::ListQuery query = search.Query();
  query.newest_per_job = true;
  std::vector<PlaceAnswer> answers =
      AskPlaces(context.WithTimeout(kFindTimeout), open, search.Places(), kAsideTimeout, query);
  std::optional<Candidate> newest;
  for (size_t i = 0; i < answers.size(); ++i) {
    std::optional<Candidate> candidate = CandidateOf(search, answers[i], i);
    if (!candidate.has_value()) continue;
    if (!newest.has_value() || candidate->time_ms > newest->time_ms) newest = *candidate;
  }
  if (!newest.has_value()) {
    for (const PlaceAnswer& answer : answers) {
      const bool expected = &answer == &answers[0] || answer.storage != nullptr;
      if (!answer.found.ok() && expected) return answer.found.status();
    }
    return NothingThere(search);
  }
  PlaceAnswer& answer = answers[newest->place];
  if (!answer.found.ok()) {
    return absl::Status(
        answer.found.status().code(),
        absl::StrCat("the newest checkpoint of job ", search.name, ", ", newest->url.ToString(),
                     ", cannot be reached: ", answer.found.status().message(),
                     " (--path takes an older one: cedana job checkpoint list ", search.name, ")"));
  }
  std::vector<std::string> notes = Notes(search, answers, *newest);
  return NewestCheckpoint{newest->url, std::move(answer.storage), std::move(notes)};
}

}  // namespace

std::string When(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", time, absl::LocalTimeZone());
}

absl::Status SeveralJobs(const std::string& name, const std::string& scheme,
                         const std::vector<transfer::CheckpointInfo>& found) {
  daemon_api::CheckpointChoices choices;
  std::string text = absl::StrCat("several jobs are called ", name, ", choose one by its path:");
  for (size_t i = 0; i < std::min(found.size(), kChoicesMax); ++i) {
    const transfer::CheckpointInfo& info = found[i];
    daemon_api::CheckpointChoice* const choice = choices.add_choices();
    choice->set_path(plugin::StorageUrl{scheme, info.path}.ToString());
    choice->set_user(Cut(info.facts.user, kWordBytesMax));
    choice->set_host(Cut(info.facts.host, kWordBytesMax));
    choice->set_createdmillis(absl::ToUnixMillis(info.created));
    choice->set_commandline(Cut(info.facts.command_line, kCommandBytesMax));
    absl::StrAppend(&text, "\n  ", choice->user(), "@", choice->host(), " ", When(info.created),
                    "  --path ", choice->path());
  }
  const size_t more = found.size() - static_cast<size_t>(choices.choices_size());
  choices.set_more(static_cast<uint32_t>(more));
  if (more > 0) {
    absl::StrAppend(&text, "\n  and ", more,
                    " more with older checkpoints: name their folder (--dir)");
  }
  absl::Status status = absl::FailedPreconditionError(text);
  status.SetPayload(kDetailsPayload, absl::Cord(choices.SerializeAsString()));
  return status;
}

absl::StatusOr<NewestCheckpoint> FindNewest(const base::Context& context, const OpenPlace& open,
                                            const JobSearch& search, const std::string& dir) {
  if (!dir.empty()) {
    CEDANA_ASSIGN_OR_RETURN(const plugin::StorageUrl folder, plugin::ParseStorageUrl(dir));
    return NewestBelow(context, open, search, folder, /*elsewhere=*/false);
  }
  if (!search.id.empty()) return NewestOfKnown(context, open, search);
  return NewestBelow(context, open, search, search.default_folder, /*elsewhere=*/true);
}

}  // namespace cedana::daemon
