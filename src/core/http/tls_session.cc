#include <openssl/bio.h>
#include <openssl/err.h>

#include <algorithm>
#include <climits>

#include "absl/strings/str_cat.h"
#include "core/http/tls_internal.h"

namespace cedana::http {
namespace {

int Int(size_t size) { return static_cast<int>(std::min<size_t>(size, INT_MAX)); }

BIO* MakeMemory() {
  BIO* memory = BIO_new(BIO_s_mem());
  if (memory == nullptr) return nullptr;
  BIO_set_mem_eof_return(memory, -1);  // empty means "later", not "ended"
  return memory;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TlsSession>> TlsSession::Create(SSL_CTX* context) {
  SSL* ssl = SSL_new(context);
  BIO* in = MakeMemory();
  BIO* out = MakeMemory();
  if (ssl == nullptr || in == nullptr || out == nullptr) {
    SSL_free(ssl);
    BIO_free(in);
    BIO_free(out);
    return absl::ResourceExhaustedError("no memory for a TLS session");
  }
  SSL_set_bio(ssl, in, out);
  SSL_set_accept_state(ssl);
  return std::unique_ptr<TlsSession>(new TlsSession(ssl, in, out));
}

absl::Status TlsSession::Feed(std::span<const uint8_t> sealed) {
  if (BIO_write(in_, sealed.data(), Int(sealed.size())) == Int(sealed.size())) {
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError("no memory for a TLS record");
}

absl::Status TlsSession::Failure(absl::string_view what) {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = ERR_reason_error_string(code);
  peer_is_plain_ = ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_HTTP_REQUEST;
  return absl::UnavailableError(
      absl::StrCat("TLS ", what, ": ", reason == nullptr ? "connection broken" : reason));
}

absl::StatusOr<bool> TlsSession::Handshake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) return true;
  if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ) return false;
  return Failure("handshake");
}

absl::StatusOr<size_t> TlsSession::Read(std::span<uint8_t> out) {
  if (closed_) return size_t{0};
  ERR_clear_error();
  const int got = SSL_read(ssl_.get(), out.data(), Int(out.size()));
  if (got > 0) return static_cast<size_t>(got);
  const int why = SSL_get_error(ssl_.get(), got);
  if (why == SSL_ERROR_WANT_READ) return size_t{0};
  if (why == SSL_ERROR_ZERO_RETURN) {
    closed_ = true;
    return size_t{0};
  }
  return Failure("read");
}

absl::Status TlsSession::Write(absl::string_view plain) {
  while (!plain.empty()) {
    ERR_clear_error();
    const int sent = SSL_write(ssl_.get(), plain.data(), Int(plain.size()));
    if (sent <= 0) return Failure("write");
    plain.remove_prefix(static_cast<size_t>(sent));
  }
  return absl::OkStatus();
}

void TlsSession::Close() {
  ERR_clear_error();
  // Said once; whether the peer answers it does not matter.
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

absl::string_view TlsSession::output() const {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(out_, &bytes);
  return size > 0 ? absl::string_view(bytes, static_cast<size_t>(size)) : absl::string_view();
}

void TlsSession::DropOutput() { (void)BIO_reset(out_); }

}  // namespace cedana::http
