#include "core/objstore/open_store.h"

#include "absl/strings/str_cat.h"
#include "core/objstore/azure_store.h"
#include "core/objstore/directory_store.h"
#include "core/objstore/gcs_store.h"
#include "core/objstore/s3_store.h"

namespace cedana::objstore {

absl::StatusOr<std::unique_ptr<ObjectStore>> OpenStore(const StoreUrl& url,
                                                       const Credentials& credentials,
                                                       http::Client* client, base::Clock* clock) {
  switch (url.dialect) {
    case Dialect::kDirectory:
      return DirectoryStore::Open(url.path);
    case Dialect::kS3:
      if (credentials.s3) return S3Store::Create(url, *credentials.s3, client, clock);
      break;
    case Dialect::kGcs:
      if (credentials.gcs) return GcsStore::Create(url, *credentials.gcs, client, clock);
      break;
    case Dialect::kAzure:
      if (credentials.azure) {
        AzureOptions options{.container = url.bucket, .prefix = url.prefix};
        options.account = url.account.empty() ? credentials.azure->account : url.account;
        options.key_base64 = credentials.azure->key;
        options.sas = credentials.azure->sas;
        StoreUrl named = url;
        named.account = options.account;
        options.endpoint = named.EndpointUrl();
        return AzureStore::Create(std::move(options), client, clock);
      }
      break;
  }
  return absl::UnauthenticatedError(
      absl::StrCat("no credentials for ", url.ToString(), ": their file is of another provider"));
}

}  // namespace cedana::objstore
