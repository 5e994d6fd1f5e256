// Whose a provider's bucket is. Two names for one bucket would count one object as two copies, and
// what is deleted under one name would be gone under the other; two services over one bucket would
// take each other's objects for strays. So each bucket (or folder of it) has one small object that
// names the catalog and the provider, and nothing is done there before it was seen to be ours.
#pragma once

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/base/context.h"
#include "core/objstore/object_store.h"
#include "storage/replica/vault.h"

namespace cedana::replica {

// Sees to it that the store is marked as provider `name` of this vault. A mark that is missing is
// written (a new bucket, one of before there were marks, one that was emptied), and so is one of a
// provider that the catalog does not know any more. kAlreadyExists: it is another vault's, or that
// of another provider of ours; others: nobody knows.
absl::Status Claim(const base::Context& context, const Vault& vault, objstore::ObjectStore& store,
                   const std::string& name);
// Takes the mark away if it is that of `name`, so that the bucket is free for others.
absl::Status Disclaim(const base::Context& context, const Vault& vault,
                      objstore::ObjectStore& store, const std::string& name);

// A store that is used only while it is ours: claimed at the first call, so that a provider that is
// dark at the start holds up nothing, and looked at again now and then. Until then, and while it is
// not, every call is kUnavailable and says why. Thread-safe.
class OwnedStore final : public objstore::ObjectStore {
 public:
  // `vault` outlives it.
  OwnedStore(const Vault* vault, std::string name, std::shared_ptr<objstore::ObjectStore> inner)
      : vault_(*vault), name_(std::move(name)), inner_(std::move(inner)) {}

  // OK: it is ours, as far as anybody knows.
  absl::Status Check(const base::Context& context);

  absl::Status Put(const base::Context& context, const objstore::ObjectKey& key,
                   std::span<const uint8_t> bytes, const objstore::PutOptions& options) override;
  absl::Status Get(const base::Context& context, const objstore::ObjectKey& key, uint64_t offset,
                   std::optional<uint64_t> length,
                   const std::function<absl::Status(std::span<const uint8_t>)>& sink) override;
  absl::StatusOr<std::optional<objstore::ObjectInfo>> Head(const base::Context& context,
                                                           const objstore::ObjectKey& key) override;
  absl::StatusOr<std::vector<objstore::ObjectInfo>> List(const base::Context& context,
                                                         const std::string& prefix,
                                                         const std::string& after,
                                                         size_t limit) override;
  absl::Status Delete(const base::Context& context, const objstore::ObjectKey& key) override;
  objstore::Capabilities capabilities() const override { return inner_->capabilities(); }
  absl::StatusOr<std::string> KeepsDeleted(const base::Context& context) override;
  // No network is used: by what is known already.
  absl::StatusOr<objstore::SignedRequest> SignPut(const objstore::ObjectKey& key, uint64_t bytes,
                                                  uint32_t crc32c,
                                                  absl::Time expires) const override;
  absl::StatusOr<objstore::SignedRequest> SignGet(const objstore::ObjectKey& key,
                                                  absl::Time expires) const override;

 private:
  // Of the last look. Not ours: kUnavailable.
  absl::Status Known() const;

  const Vault& vault_;
  const std::string name_;
  const std::shared_ptr<objstore::ObjectStore> inner_;
  mutable absl::Mutex mutex_;
  absl::Status known_ ABSL_GUARDED_BY(mutex_) = absl::UnavailableError("not looked at yet");
  absl::Duration look_at_ ABSL_GUARDED_BY(mutex_) = -absl::InfiniteDuration();  // by the clock
};

}  // namespace cedana::replica
