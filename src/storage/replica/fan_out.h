// One thing done at several providers at once, without waiting for the slowest: a dark provider
// must hold up nobody.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "core/base/context.h"
#include "storage/replica/providers.h"

namespace cedana::replica {

// How long is waited. The unhealthy get less, and once `enough` says that what the others did
// suffices, everybody has until `grace` after the start.
struct Patience {
  absl::Duration healthy = absl::Seconds(5);
  absl::Duration unhealthy = absl::Seconds(2);
  absl::Duration grace = absl::Seconds(2);
  // Instead of `healthy`, where packs have to be read back. Whoever asks again goes on from there,
  // so this is short enough for a client that waits for an answer.
  absl::Duration read_back = absl::Seconds(8);
};

// Runs `work(context, i)` for each provider in a thread of its own, and returns their statuses once
// all have ended; those cut off have the error of their context. `enough` (may be empty) is asked
// after each end, one call at a time, with the statuses so far; besides them it may look only at
// what the works that have ended wrote.
using FanOutWork = std::function<absl::Status(const base::Context&, size_t)>;
using FanOutResults = std::vector<std::optional<absl::Status>>;
std::vector<absl::Status> FanOut(const base::Context& context,
                                 const std::vector<ProviderPtr>& providers,
                                 const HealthBoard& health, const Patience& patience,
                                 const FanOutWork& work,
                                 const std::function<bool(const FanOutResults&)>& enough = nullptr);

}  // namespace cedana::replica
