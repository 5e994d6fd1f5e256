// One provider's object store (a bucket, a container, a directory) with what all of them can do.
// Outcomes are the codes of base/status.h, classified once, in the provider's own code.
//
// What a store must guarantee: a Put is visible whole or not at all; a Get after an acknowledged
// Put finds it; an acknowledged Put is durable; create-only is decided by the store.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/context.h"
#include "core/http/client.h"

namespace cedana::objstore {

// "s/<save>/p-<pack>": segments of [a-z0-9-] joined by '/', at most 256 bytes. Anything else is
// refused by Parse, so that no key can leave the store's folder.
class ObjectKey {
 public:
  static absl::StatusOr<ObjectKey> Parse(absl::string_view text);
  const std::string& text() const { return text_; }
  friend auto operator<=>(const ObjectKey&, const ObjectKey&) = default;

 private:
  explicit ObjectKey(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

struct ObjectInfo {
  std::string key;
  uint64_t bytes = 0;
  std::optional<uint32_t> crc32c;  // where the store keeps one
  absl::Time modified;             // the store's clock
  std::optional<std::string> md5;  // 16 bytes, where the store computes one of whatever it is sent
};

struct PutOptions {
  bool create_only = true;         // kAlreadyExists when there is one
  std::optional<uint32_t> crc32c;  // refused with kDataLoss when the bytes differ
  // As http::ClientRequest has it: bytes that have left so far. A directory never calls it.
  std::function<void(uint64_t moved)> on_progress;
};

// A request that somebody else may send in our name, exactly so: its query or headers carry the
// authorisation, so `url` is in no text. What the sender adds (Content-Length, Host, Range of a
// read) is not signed unless it is in `headers`.
struct SignedRequest {
  std::string method;
  std::string url;
  http::Headers headers;
};

// What this store's grants enforce by themselves; what they do not, the service verifies.
struct Capabilities {
  bool signs_requests = false;  // SignPut and SignGet work
  bool grant_enforces_size = false;
  bool grant_enforces_checksum = false;
  bool grant_enforces_create_only = false;
  // Put's create_only is decided by the store. Where not, it is a look before the write, which two
  // writers at once defeat.
  bool creates_atomically = true;
  // Head gives the CRC-32C of what was uploaded with one. List gives it only where ObjectInfo has
  // it.
  bool keeps_checksum = false;
};

// Thread-safe. Every call blocks until `context` ends at the latest; none retries (I6).
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  virtual absl::Status Put(const base::Context& context, const ObjectKey& key,
                           std::span<const uint8_t> bytes, const PutOptions& options) = 0;
  // Streams [offset, offset+length) to `sink`; kInvalidArgument when it ends past the object.
  // An empty `length` means to the end. An answer that is cut or stalls is kUnavailable: it says
  // nothing of the object, and kDataLoss would have a sound shard marked as damaged. Errors of the
  // sink are given back as they are.
  virtual absl::Status Get(const base::Context& context, const ObjectKey& key, uint64_t offset,
                           std::optional<uint64_t> length,
                           const std::function<absl::Status(std::span<const uint8_t>)>& sink) = 0;
  // Absent is a value, not an error.
  virtual absl::StatusOr<std::optional<ObjectInfo>> Head(const base::Context& context,
                                                         const ObjectKey& key) = 0;
  // Keys that start with `prefix`, sorted, after `after`, at most `limit`; fewer only when there
  // are no more.
  virtual absl::StatusOr<std::vector<ObjectInfo>> List(const base::Context& context,
                                                       const std::string& prefix,
                                                       const std::string& after, size_t limit) = 0;
  // Deleting what is not there is success.
  virtual absl::Status Delete(const base::Context& context, const ObjectKey& key) = 0;
  virtual Capabilities capabilities() const = 0;
  // What keeps deleted bytes (and their price), for an operator to read; empty: nothing that this
  // store can see.
  virtual absl::StatusOr<std::string> KeepsDeleted(const base::Context& /*context*/) { return ""; }

  // Grants: one create-only upload of exactly these bytes, as far as capabilities() says; reads of
  // any range. Good until `expires`; kInvalidArgument when that is over. No network is used.
  // kUnimplemented without `signs_requests`.
  virtual absl::StatusOr<SignedRequest> SignPut(const ObjectKey& key, uint64_t bytes,
                                                uint32_t crc32c, absl::Time expires) const;
  virtual absl::StatusOr<SignedRequest> SignGet(const ObjectKey& key, absl::Time expires) const;
};

}  // namespace cedana::objstore
