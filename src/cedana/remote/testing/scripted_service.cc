#include "cedana/remote/testing/scripted_service.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "core/base/clock.h"

namespace cedana::remote {
namespace {

std::span<const uint8_t> Bytes(absl::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

constexpr absl::Duration kStep = absl::Milliseconds(20);

void RespondRange(http::Exchange& exchange, const Reply& reply) {
  const std::string& object = reply.body;
  const std::string* range = exchange.request().Header("range");
  uint64_t first = 0;
  uint64_t last = object.size() - 1;
  if (range != nullptr) {
    const std::vector<std::string> ends = absl::StrSplit(absl::StripPrefix(*range, "bytes="), '-');
    if (!absl::SimpleAtoi(ends[0], &first) || !absl::SimpleAtoi(ends[1], &last)) return;
  }
  last = std::min<uint64_t>(last, object.size() - 1);
  const std::string part = object.substr(first, last - first + 1);
  if (reply.bytes_per_s == 0) {
    (void)exchange.Respond(206, {}, part);
    return;
  }
  (void)exchange.Start(206, {}, part.size());
  const size_t step = static_cast<size_t>(reply.bytes_per_s * absl::ToDoubleSeconds(kStep)) + 1;
  for (size_t sent = 0; sent < part.size(); sent += step) {
    if (!exchange.Write(Bytes(part).subspan(sent, std::min(step, part.size() - sent))).ok()) return;
    base::SystemClock().Sleep(kStep);
  }
  (void)exchange.Finish();
}

// The whole body, at the reply's rate.
std::string ReadBody(http::Exchange& exchange, const Reply& reply) {
  if (reply.bytes_per_s == 0) return exchange.ReadAll(64u << 20).value_or("");
  std::string body;
  std::vector<uint8_t> step(static_cast<size_t>(reply.bytes_per_s * absl::ToDoubleSeconds(kStep)) +
                            1);
  while (true) {
    const absl::StatusOr<size_t> got = exchange.ReadBody(step);
    if (!got.ok() || *got == 0) return body;
    body.append(step.begin(), step.begin() + static_cast<std::ptrdiff_t>(*got));
    base::SystemClock().Sleep(kStep);
  }
}

}  // namespace

Reply ErrorReply(int status, const std::string& code, const std::string& message) {
  return {status, base::DumpJson({{"code", code}, {"message", message}})};
}

const std::string* Seen::Header(const std::string& lower_case_name) const {
  for (const auto& [name, value] : headers) {
    if (name == lower_case_name) return &value;
  }
  return nullptr;
}

ScriptedService::ScriptedService() {
  absl::StatusOr<std::unique_ptr<http::Server>> server =
      http::Server::Start({}, [this](http::Exchange& exchange) { Handle(exchange); });
  if (!server.ok()) std::abort();
  server_ = *std::move(server);
  origin_ = absl::StrCat("http://127.0.0.1:", server_->port());
}

ScriptedService::~ScriptedService() { Stop(); }

void ScriptedService::Stop() {
  stopping_ = true;
  if (server_ != nullptr) server_->Stop(absl::ZeroDuration());
  server_ = nullptr;
}

std::string ScriptedService::origin() const { return origin_; }

void ScriptedService::On(const std::string& beginning, std::vector<Reply> replies) {
  std::reverse(replies.begin(), replies.end());  // taken from the back
  absl::MutexLock lock(&mutex_);
  replies_[beginning] = std::move(replies);
}

std::vector<Seen> ScriptedService::Requests(const std::string& beginning) {
  absl::MutexLock lock(&mutex_);
  std::vector<Seen> result;
  for (const Seen& seen : seen_) {
    if (absl::StartsWith(absl::StrCat(seen.method, " ", seen.target), beginning)) {
      result.push_back(seen);
    }
  }
  return result;
}

Reply ScriptedService::Next(const std::string& request) {
  absl::MutexLock lock(&mutex_);
  std::vector<Reply>* best = nullptr;
  size_t best_size = 0;
  for (auto& [beginning, replies] : replies_) {
    if (absl::StartsWith(request, beginning) && beginning.size() >= best_size) {
      best = &replies;
      best_size = beginning.size();
    }
  }
  if (best == nullptr || best->empty()) return ErrorReply(500, "internal", "no answer is written");
  Reply reply = best->back();
  if (best->size() > 1) best->pop_back();
  return reply;
}

void ScriptedService::Handle(http::Exchange& exchange) {
  const http::ServerRequest& request = exchange.request();
  Reply reply = Next(absl::StrCat(request.method, " ", request.target));
  Seen seen{request.method, request.target, "", request.headers};
  // A refusal comes before the body, as from the real one.
  if (reply.status / 100 == 2) seen.body = ReadBody(exchange, reply);
  {
    absl::MutexLock lock(&mutex_);
    seen_.push_back(std::move(seen));
  }
  const std::string body = absl::StrReplaceAll(reply.body, {{"{origin}", origin_}});
  const absl::Duration until = base::SystemClock().Monotonic() + reply.delay;
  while (base::SystemClock().Monotonic() < until && !exchange.cancelled() && !stopping_) {
    base::SystemClock().Sleep(std::min(absl::Milliseconds(2), reply.delay));
  }
  switch (reply.kind) {
    case Reply::Kind::kAnswer:
      (void)exchange.Respond(reply.status, reply.headers, body);
      return;
    case Reply::Kind::kCut:
      (void)exchange.Start(reply.status, reply.headers, body.size());
      (void)exchange.Write(Bytes(body).first(body.size() / 2));
      return;
    case Reply::Kind::kHang:
      while (!exchange.cancelled() && !stopping_) base::SystemClock().Sleep(absl::Milliseconds(5));
      (void)exchange.Respond(500, {}, "");
      return;
    case Reply::Kind::kObject:
      RespondRange(exchange, reply);
      return;
  }
}

std::string GrantsBody(const base::PackId& pack, const std::vector<std::string>& providers,
                       const std::string& method) {
  base::Json grants = base::Json::array();
  for (const std::string& provider : providers) {
    grants.push_back({{"pack", pack.ToHex()},
                      {"provider", provider},
                      {"method", method},
                      {"url", absl::StrCat("{origin}/objects/", provider, "?sig=secret")},
                      {"headers", {{"x-test", provider}}},
                      {"expires_ms", absl::ToUnixMillis(absl::Now() + absl::Minutes(15))}});
  }
  return base::DumpJson({{"grants", std::move(grants)}});
}

std::string UploadGrantsBody(const base::PackId& pack, int copies, int ack,
                             const std::vector<OfferedProvider>& providers) {
  base::Json grants = base::Json::array();
  for (const OfferedProvider& provider : providers) {
    grants.push_back(
        {{"pack", pack.ToHex()},
         {"provider", provider.name},
         {"domain", provider.domain.empty() ? provider.name : provider.domain},
         {"dialect", provider.dialect},
         {"method", "PUT"},
         {"url", absl::StrCat(provider.origin, "/objects/", provider.name, "?sig=secret")},
         {"headers", base::Json::object()},
         {"expires_ms", absl::ToUnixMillis(absl::Now() + absl::Minutes(15))}});
  }
  return base::DumpJson({{"copies", copies}, {"ack", ack}, {"grants", std::move(grants)}});
}

base::Json CheckpointJson(const std::string& path) {
  return {{"id", std::string(32, 'c')},
          {"path", path},
          {"sequence", 7},
          {"created_ms", 1745322101000},
          {"image_bytes", 4096},
          {"stored_bytes", 2048},
          {"new_bytes", 1024},
          {"codec", "zstd"},
          {"durability", "durable"},
          {"facts", {{"job_name", "my-job-1"}, {"host", "here"}}}};
}

base::Json KeysJson() {
  return {{"organisation", std::string(32, 'a')},
          {"page_id_key", base::Base64Encode(std::string(32, 'p'))},
          {"sealing",
           base::Json::array({{{"epoch", 1}, {"key", base::Base64Encode(std::string(32, 's'))}}})}};
}

}  // namespace cedana::remote
