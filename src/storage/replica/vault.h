// What every part of the service works on: catalog, providers, keys, times. Borrowed everywhere;
// the node owns it all and outlives them.
#pragma once

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/random.h"
#include "storage/metadata/metadata.h"
#include "storage/replica/fan_out.h"
#include "storage/replica/grants.h"
#include "storage/replica/keyring.h"
#include "storage/replica/providers.h"

namespace cedana::replica {

struct Times {
  absl::Duration lease = absl::Minutes(5);
  absl::Duration heartbeat = absl::Seconds(20);
  absl::Duration grant = absl::Minutes(15);
  absl::Duration grace = absl::Hours(1);             // from condemned to deleting
  absl::Duration sweep_interval = absl::Minutes(1);  // between rounds of collection
  absl::Duration sweep_again = absl::Hours(24);      // second sweep of a dead save
  absl::Duration keep_saves = absl::Hours(24 * 30);  // outcomes can be asked for so long
  absl::Duration probe_interval = absl::Seconds(3);  // between two probes of a provider
  absl::Duration read_ahead =
      absl::Seconds(1);  // between rounds of read_ahead.h that found nothing
  absl::Duration read_ahead_save = absl::Seconds(30);  // at most, of one save in one such round
  // Between two trials of what a provider's grants bind (grant_trial.h); the first is soon after
  // the start. Infinite: none.
  absl::Duration grant_trial = absl::Hours(24);
  Patience patience;  // of a commit with its providers
  // A pack that a provider takes or gives more slowly than this is tried at another, while there is
  // one; only then the slow ones are asked again, and have TransferTime (objects.h).
  absl::Duration slow_put = absl::Seconds(60);
  absl::Duration slow_read = absl::Seconds(20);
};

struct Vault {
  metadata::Metadata* metadata = nullptr;
  ProviderSet* providers = nullptr;
  const KeyRing* keys = nullptr;
  const GrantSigner* grants = nullptr;
  base::Clock* clock = nullptr;
  base::Random* random = nullptr;
  Times times;

  int64_t NowMs() const { return absl::ToUnixMillis(clock->Now()); }
};

}  // namespace cedana::replica
