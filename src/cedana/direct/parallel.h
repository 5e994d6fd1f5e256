// The same for many, several at once: a round trip to a bucket takes some 30 ms, so eight at once
// read or remove 250 objects a second.
#pragma once

#include <cstddef>
#include <functional>

#include "absl/status/status.h"

namespace cedana::direct {

// Calls `work` for 0 … count-1, from `at_once` threads, and returns when all have ended. After the
// first error, which it returns, no more are begun.
absl::Status ForEachAtOnce(size_t at_once, size_t count,
                           const std::function<absl::Status(size_t)>& work);

}  // namespace cedana::direct
