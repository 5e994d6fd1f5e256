// TLS 1.2 and later for the server's connections, by OpenSSL and over memory: whoever has the
// connection moves the sealed bytes between the session and the socket, be it the io thread or a
// worker.
#pragma once

#include <openssl/ssl.h>
#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace cedana::http {

struct SslDeleter {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using SslContext = std::unique_ptr<SSL_CTX, SslDeleter>;

// One connection's state. Used by one thread at a time. An error is final: it says what the peer
// did wrong, and an alert for it is in output().
class TlsSession {
 public:
  // Keeps what it needs of `context` alive.
  static absl::StatusOr<std::unique_ptr<TlsSession>> Create(SSL_CTX* context);

  // Sealed bytes that arrived.
  absl::Status Feed(std::span<const uint8_t> sealed);
  // True once the handshake is complete; until then it wants more input.
  absl::StatusOr<bool> Handshake();
  // Opened bytes, 0 when it wants more input. After the peer's close it stays 0, see closed().
  absl::StatusOr<size_t> Read(std::span<uint8_t> out);
  // Requires: the handshake is complete.
  absl::Status Write(absl::string_view plain);
  // Says properly that nothing follows; without it the peer knows that it was cut off.
  void Close();

  // Sealed bytes to be sent; sending them is for the caller, who then drops them.
  absl::string_view output() const;
  void DropOutput();
  bool closed() const { return closed_; }
  // The peer spoke plain HTTP: it can read a plain answer only.
  bool peer_is_plain() const { return peer_is_plain_; }

 private:
  explicit TlsSession(SSL* ssl, BIO* in, BIO* out) : ssl_(ssl), in_(in), out_(out) {}
  absl::Status Failure(absl::string_view what);

  const std::unique_ptr<SSL, SslDeleter> ssl_;
  BIO* const in_;  // both belong to ssl_
  BIO* const out_;
  bool closed_ = false;
  bool peer_is_plain_ = false;
};

// Certificate chain and key from two PEM files, read again when either changes, so that a renewed
// certificate needs no restart. Used by one thread.
class TlsContext {
 public:
  // kInvalidArgument: a file that cannot be read, is no PEM of its kind, or the two do not match.
  static absl::StatusOr<std::unique_ptr<TlsContext>> Open(const std::string& cert_file,
                                                          const std::string& key_file);
  // Under the newest pair that works. One that does not is logged once, and tried again now and
  // then although it looks the same: what kept it from being read need not have been in the files.
  absl::StatusOr<std::unique_ptr<TlsSession>> NewSession();

 private:
  // What tells one version of the files from another. The time of the last change of mode or owner
  // is in it: a key that could not be read may have become readable by that alone.
  using FileStamp = std::array<int64_t, 7>;
  struct Stamp {
    FileStamp cert = {};
    FileStamp key = {};
    bool operator==(const Stamp&) const = default;
  };
  static FileStamp StampOf(const std::string& file);
  TlsContext(std::string cert_file, std::string key_file)
      : cert_file_(std::move(cert_file)), key_file_(std::move(key_file)) {}
  Stamp ReadStamp() const;
  absl::StatusOr<SslContext> Load() const;

  const std::string cert_file_;
  const std::string key_file_;
  Stamp stamp_;                              // of the files when they were last read, good or not
  std::optional<absl::Duration> try_again_;  // by the monotonic clock; of files that were not good
  SslContext context_;
};

}  // namespace cedana::http
