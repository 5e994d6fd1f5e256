// What the S3 and the GCS imposter share: addresses in path and host style, reads of ranges,
// listings, errors in XML, over any ObjectStore.
#pragma once

#include <string>

#include "core/objstore/object_store.h"
#include "core/objstore/testing/imposter.h"
#include "core/objstore/testing/v4_check.h"

namespace cedana::objstore {

class XmlImposter : public ImposterDialect {
 public:
  // `objects` is borrowed. Its keys are the objects' names in the bucket. `versioning`: what the
  // bucket says of itself when asked; nothing is kept.
  XmlImposter(std::string bucket, V4Account account, ObjectStore* objects, bool versioning)
      : bucket_(std::move(bucket)),
        account_(std::move(account)),
        objects_(objects),
        versioning_(versioning) {}

  ImposterTarget TargetOf(const http::ServerRequest& request) const override;
  std::optional<ImposterAnswer> Refuse(const http::ServerRequest& request, absl::Time now) override;
  ImposterAnswer Serve(const base::Context& context, const http::ServerRequest& request,
                       absl::string_view body, absl::Time now) override;
  ImposterAnswer ErrorAnswer(const http::ServerRequest& request, int status,
                             const std::string& code) const override;

 protected:
  // Of a PUT: what is refused by its head, and what by its body.
  virtual std::optional<ImposterAnswer> RefusePut(const http::ServerRequest& request) const = 0;
  virtual std::optional<ImposterAnswer> RefuseBody(const http::ServerRequest& request,
                                                   absl::string_view body) const = 0;
  virtual bool WantsCreateOnly(const http::ServerRequest& request) const = 0;
  // Of an answer to HEAD or GET.
  virtual http::Headers HeadersOf(const http::ServerRequest& request,
                                  const ObjectInfo& info) const = 0;
  virtual std::string CodeOfStatus(int status) const = 0;
  virtual const char* RequestIdHeader() const = 0;
  virtual bool DeletesWhatIsAbsent() const = 0;
  virtual bool ChecksSignatures() const { return true; }

  ImposterAnswer ErrorOf(const http::ServerRequest& request, const absl::Status& status) const;

 private:
  struct Address {
    std::string bucket;
    std::string name;
  };
  Address AddressOf(const http::ServerRequest& request) const;
  ImposterAnswer Put(const base::Context& context, const http::ServerRequest& request,
                     const ObjectKey& key, absl::string_view body);
  ImposterAnswer Get(const base::Context& context, const http::ServerRequest& request,
                     const ObjectKey& key);
  ImposterAnswer List(const base::Context& context, const http::ServerRequest& request);

  const std::string bucket_;
  const V4Account account_;
  ObjectStore* const objects_;
  const bool versioning_;
};

}  // namespace cedana::objstore
