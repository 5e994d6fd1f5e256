// An authority of a test's own, and certificates by it, as PEM text and in files.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/fd.h"
#include "core/base/random.h"
#include "gtest/gtest.h"

namespace cedana::http {

// A folder that goes when the test does.
class CertificateFolder {
 public:
  CertificateFolder()
      : path_(std::filesystem::temp_directory_path() /
              absl::StrCat("cedana-tls-", absl::Hex(base::SystemRandom().Next64()))) {
    std::filesystem::create_directory(path_);
  }
  ~CertificateFolder() { std::filesystem::remove_all(path_); }
  std::string File(const std::string& name) const { return path_ / name; }
  // Atomically, as tools that renew certificates do it.
  std::string Write(const std::string& name, const std::string& text) const {
    EXPECT_TRUE(base::WriteFileAtomic(File(name), text, 0600).ok());
    return File(name);
  }

 private:
  const std::filesystem::path path_;
};

struct Certificate {
  std::string cert;
  std::string key;
};

class TestAuthority {
 public:
  TestAuthority() : key_(NewKey()) {
    ca_ = Unsigned(absl::StrCat("test authority ", base::SystemRandom().Next64()), key_.get());
    Extend(ca_.get(), NID_basic_constraints, "critical,CA:TRUE");
    X509_set_issuer_name(ca_.get(), X509_get_subject_name(ca_.get()));
    X509_sign(ca_.get(), key_.get(), EVP_sha256());
  }

  std::string ca() const { return CertText(ca_.get()); }
  // `names`: "DNS:localhost,IP:127.0.0.1".
  Certificate Issue(const std::string& names) const {
    const Key key = NewKey();
    const Cert cert = Unsigned("test server", key.get());
    Extend(cert.get(), NID_subject_alt_name, names);
    X509_set_issuer_name(cert.get(), X509_get_subject_name(ca_.get()));
    X509_sign(cert.get(), key_.get(), EVP_sha256());
    return {CertText(cert.get()), KeyText(key.get())};
  }

 private:
  struct Free {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    void operator()(X509* cert) const { X509_free(cert); }
    void operator()(BIO* memory) const { BIO_free(memory); }
  };
  using Key = std::unique_ptr<EVP_PKEY, Free>;
  using Cert = std::unique_ptr<X509, Free>;
  using Memory = std::unique_ptr<BIO, Free>;

  static Key NewKey() { return Key(EVP_EC_gen("P-256")); }

  static Cert Unsigned(const std::string& name, EVP_PKEY* key) {
    Cert cert(X509_new());
    X509_set_version(cert.get(), X509_VERSION_3);
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert.get()), base::SystemRandom().Next64() >> 1);
    X509_gmtime_adj(X509_getm_notBefore(cert.get()), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert.get()), 86400);
    X509_set_pubkey(cert.get(), key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert.get()), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    return cert;
  }

  static void Extend(X509* cert, int kind, const std::string& value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value.c_str());
    ASSERT_NE(extension, nullptr) << value;
    X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
  }

  static std::string Text(BIO* memory) {
    char* bytes = nullptr;
    const long size = BIO_get_mem_data(memory, &bytes);
    return std::string(bytes, static_cast<size_t>(size));
  }
  static std::string CertText(X509* cert) {
    const Memory memory(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(memory.get(), cert);
    return Text(memory.get());
  }
  static std::string KeyText(EVP_PKEY* key) {
    const Memory memory(BIO_new(BIO_s_mem()));
    PEM_write_bio_PrivateKey(memory.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
    return Text(memory.get());
  }

  const Key key_;
  Cert ca_;
};

}  // namespace cedana::http
