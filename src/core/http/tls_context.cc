#include <openssl/err.h>

#include <system_error>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "core/http/tls_internal.h"

namespace cedana::http {
namespace {

constexpr char kProtocol[] = "\x08http/1.1";  // as ALPN spells it
// A pair that did not work is read again no more often, whoever connects.
constexpr absl::Duration kTryAgain = absl::Seconds(1);

// Clients that would rather speak HTTP/2 learn at once that it is 1.1 here.
int ChooseProtocol(SSL*, const unsigned char** out, unsigned char* out_size,
                   const unsigned char* offered, unsigned int offered_size, void*) {
  const int result = SSL_select_next_proto(const_cast<unsigned char**>(out), out_size,
                                           reinterpret_cast<const unsigned char*>(kProtocol),
                                           sizeof(kProtocol) - 1, offered, offered_size);
  return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

// Nobody sits at a terminal to type a key's password.
int NoPassword(char*, int, int, void*) { return -1; }

// The first error is the one that says something; those after it are of the callers.
std::string Reason() {
  const unsigned long code = ERR_peek_error();
  ERR_clear_error();
  if (ERR_SYSTEM_ERROR(code)) {
    return std::generic_category().message(static_cast<int>(ERR_GET_REASON(code)));
  }
  const char* reason = ERR_reason_error_string(code);
  return reason == nullptr ? "cannot be read" : reason;
}

}  // namespace

TlsContext::FileStamp TlsContext::StampOf(const std::string& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) return {};
  return {static_cast<int64_t>(info.st_dev),
          static_cast<int64_t>(info.st_ino),
          info.st_size,
          info.st_mtim.tv_sec,
          info.st_mtim.tv_nsec,
          info.st_ctim.tv_sec,
          info.st_ctim.tv_nsec};
}

TlsContext::Stamp TlsContext::ReadStamp() const {
  return {StampOf(cert_file_), StampOf(key_file_)};
}

absl::StatusOr<SslContext> TlsContext::Load() const {
  ERR_clear_error();
  SslContext context(SSL_CTX_new(TLS_server_method()));
  if (context == nullptr) return absl::InternalError(absl::StrCat("TLS: ", Reason()));
  SSL_CTX* const raw = context.get();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_options(
      raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  // Tickets resume sessions as well, and cost the server no memory.
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  // Idle connections are many: they give their record buffers back.
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(raw, ChooseProtocol, nullptr);
  SSL_CTX_set_default_passwd_cb(raw, NoPassword);
  if (SSL_CTX_use_certificate_chain_file(raw, cert_file_.c_str()) != 1) {
    return absl::InvalidArgumentError(absl::StrCat("TLS certificate ", cert_file_, ": ", Reason()));
  }
  if (SSL_CTX_use_PrivateKey_file(raw, key_file_.c_str(), SSL_FILETYPE_PEM) != 1) {
    return absl::InvalidArgumentError(absl::StrCat("TLS key ", key_file_, ": ", Reason()));
  }
  if (SSL_CTX_check_private_key(raw) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("TLS key ", key_file_, ": is not that of the certificate ", cert_file_));
  }
  return context;
}

absl::StatusOr<std::unique_ptr<TlsContext>> TlsContext::Open(const std::string& cert_file,
                                                             const std::string& key_file) {
  std::unique_ptr<TlsContext> made(new TlsContext(cert_file, key_file));
  made->stamp_ = made->ReadStamp();
  CEDANA_ASSIGN_OR_RETURN(made->context_, made->Load());
  return made;
}

absl::StatusOr<std::unique_ptr<TlsSession>> TlsContext::NewSession() {
  // Taken before the files are read: what changes meanwhile is seen at the next connection.
  const Stamp stamp = ReadStamp();
  const absl::Duration now = base::SystemClock().Monotonic();
  const bool changed = stamp != stamp_;
  if (changed || (try_again_.has_value() && now >= *try_again_)) {
    stamp_ = stamp;
    if (absl::StatusOr<SslContext> fresh = Load(); fresh.ok()) {
      context_ = *std::move(fresh);
      try_again_.reset();
      base::LogInfo("TLS certificate read again", {{"file", cert_file_}});
    } else {
      // Of two files one is replaced first: the pair is whole again in a moment.
      try_again_ = now + kTryAgain;
      if (changed) {
        base::LogWarn("TLS certificate not taken, the one before stays",
                      {{"error", fresh.status().message()}});
      }
    }
  }
  return TlsSession::Create(context_.get());
}

}  // namespace cedana::http
