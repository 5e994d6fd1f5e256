// The words of core/base/retry.h, under this folder's name: the ports here are the only place on
// the path to the service and the providers that tries again (I6).
#pragma once

#include "core/base/retry.h"

namespace cedana::remote {

using base::MayPass;
using base::Retry;
using base::RetryAfter;
using base::RetryPolicy;
using base::Services;
using base::WithRetryAfter;

}  // namespace cedana::remote
