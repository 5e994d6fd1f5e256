#include "core/objstore/testing/service_account.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

namespace cedana::objstore {
namespace {

struct KeyPair {
  GcsCredentials credentials;
  std::string public_key;
};

std::string Text(BIO* bio) {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio, &bytes);
  std::string text(bytes, static_cast<size_t>(size));
  BIO_free(bio);
  return text;
}

const KeyPair& Pair() {
  static const KeyPair kPair = [] {
    EVP_PKEY* const key = EVP_RSA_gen(2048);
    BIO* const secret = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(secret, key, nullptr, nullptr, 0, nullptr, nullptr);
    BIO* const open = BIO_new(BIO_s_mem());
    PEM_write_bio_PUBKEY(open, key);
    EVP_PKEY_free(key);
    return KeyPair{{"keeper@project.iam.gserviceaccount.com", Text(secret)}, Text(open)};
  }();
  return kPair;
}

}  // namespace

const GcsCredentials& TestServiceAccount() { return Pair().credentials; }
const std::string& TestServiceAccountPublicKey() { return Pair().public_key; }

}  // namespace cedana::objstore
