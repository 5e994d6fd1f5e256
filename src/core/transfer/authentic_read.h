// One read of a pack that ends with authentic bytes: a provider whose bytes are wrong is reported,
// and another one is asked for the same range, as long as there is one.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/base/context.h"
#include "core/base/ids.h"
#include "core/transfer/pack_source.h"

namespace cedana::transfer {

// Used by one thread. Borrows the source.
class AuthenticRead {
 public:
  // Whether the bytes that came from `provider` are authentic: kDataLoss when they are not.
  using Judge = std::function<absl::Status(const std::string& provider)>;

  AuthenticRead(PackSource& source, const base::PackId& pack) : source_(source), pack_(pack) {}

  // Reads into `out` until `judge` is content; its other errors are final. kDataLoss: the bytes of
  // every provider that has the pack are wrong; the text names them all. Errors name the pack.
  absl::Status Run(const base::Context& context, uint64_t offset, std::span<uint8_t> out,
                   const Judge& judge);

  // Bytes from there have already turned out to be wrong.
  void Reject(const std::string& provider, const absl::Status& what);

 private:
  absl::Status Failure(const absl::Status& read) const;

  PackSource& source_;
  const base::PackId pack_;
  std::vector<std::string> wrong_;  // providers
  std::string damage_;              // what each of them gave
};

}  // namespace cedana::transfer
