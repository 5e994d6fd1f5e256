#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/http/tls_internal.h"
#include "core/http/transport_internal.h"

namespace cedana::http {
namespace {

constexpr size_t kReadBytes = 64u << 10;    // sealed, of one read: four records
constexpr size_t kWriteBytes = 128u << 10;  // plain, sealed and then sent at once
constexpr size_t kRecordBytes = 16u << 10;

class TlsTransport final : public Transport {
 public:
  TlsTransport(TlsSession& session, int fd, const TransportLimits& limits)
      : session_(session), plain_(MakePlainTransport(fd, limits)) {}

  absl::StatusOr<size_t> Read(std::span<uint8_t> out) override {
    while (true) {
      absl::StatusOr<size_t> got = session_.Read(out);
      // Alerts, and what the protocol itself has to answer.
      CEDANA_RETURN_IF_ERROR(Flush());
      if (!got.ok() || *got > 0 || session_.closed()) return got;
      sealed_.resize(kReadBytes);
      CEDANA_ASSIGN_OR_RETURN(const size_t more, plain_->Read(sealed_));
      // An end that was not said inside TLS may be anybody's: not the peer's end of stream.
      if (more == 0) return absl::UnavailableError("connection lost: cut inside TLS");
      CEDANA_RETURN_IF_ERROR(session_.Feed(std::span(sealed_.data(), more)));
    }
  }

  absl::Status Write(std::span<const absl::string_view> pieces) override {
    size_t total = 0;
    for (const absl::string_view piece : pieces) total += piece.size();
    if (total <= kRecordBytes) {  // one record, not one for each piece
      gathered_.clear();
      for (const absl::string_view piece : pieces) absl::StrAppend(&gathered_, piece);
      CEDANA_RETURN_IF_ERROR(session_.Write(gathered_));
      return Flush();
    }
    for (absl::string_view piece : pieces) {
      while (!piece.empty()) {
        const absl::string_view step = piece.substr(0, kWriteBytes);
        CEDANA_RETURN_IF_ERROR(session_.Write(step));
        piece.remove_prefix(step.size());
        if (session_.output().size() >= kWriteBytes) CEDANA_RETURN_IF_ERROR(Flush());
      }
    }
    return Flush();
  }

  void JudgeStalls(absl::Duration ask_every, std::function<absl::Status()> judge) override {
    plain_->JudgeStalls(ask_every, std::move(judge));
  }

  bool PeerGone() override { return session_.closed() || plain_->PeerGone(); }

 private:
  absl::Status Flush() {
    const absl::string_view sealed[] = {session_.output()};
    if (sealed[0].empty()) return absl::OkStatus();
    absl::Status sent = plain_->Write(sealed);
    session_.DropOutput();
    return sent;
  }

  TlsSession& session_;
  const std::unique_ptr<Transport> plain_;
  std::vector<uint8_t> sealed_;
  std::string gathered_;
};

}  // namespace

std::unique_ptr<Transport> MakeTlsTransport(TlsSession& session, int fd,
                                            const TransportLimits& limits) {
  return std::make_unique<TlsTransport>(session, fd, limits);
}

}  // namespace cedana::http
