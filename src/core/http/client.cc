// Each call runs on a Lane: an easy handle in a multi handle of its own, which keeps the lane's
// connections between calls. The multi handle is there because it can be woken up (cancellation)
// and waits as long as we say (deadline, stall); curl_easy_perform looks up once per second only.
#include "core/http/client.h"

#include <curl/curl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "core/base/clock.h"
#include "core/base/status.h"

namespace cedana::http {
namespace {

constexpr long kBufferBytes = 512L << 10;  // of curl, per direction
constexpr long kConnectionsPerLane = 1;    // a lane has one origin and one request at a time
// Who does not know `Expect` gets the body after this long.
constexpr long kExpectTimeoutMs = 2000;
constexpr absl::Duration kWaitMax = absl::Seconds(1);
// What leaves the socket's buffer wakes nobody: so often it is looked at.
constexpr absl::Duration kWaitMaxWatched = absl::Milliseconds(200);
// Idle lanes of all origins together: of a few providers and the service.
constexpr int kOriginsMax = 8;
constexpr size_t kHeaderBytesMax = 256u << 10;

struct EasyDeleter {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct MultiDeleter {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
struct ListDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

struct Lane {
  // Of the connection that was opened last. curl closes it with the multi handle, through a
  // callback that clears this: it goes last.
  curl_socket_t socket = CURL_SOCKET_BAD;
  // The easy handle goes first, so the multi handle is declared before it.
  std::unique_ptr<CURLM, MultiDeleter> multi;
  std::unique_ptr<CURL, EasyDeleter> easy;
  std::string origin;  // that its connections lead to
};

// "http://host:port/path": grants are signed in the query, so that never reaches a message.
std::string WithoutSecrets(absl::string_view url) {
  url = url.substr(0, url.find_first_of("?#"));
  const size_t scheme_end = url.find("://");
  if (scheme_end == absl::string_view::npos) return std::string(url);
  const absl::string_view rest = url.substr(scheme_end + 3);
  const absl::string_view authority = rest.substr(0, rest.find('/'));
  const size_t at = authority.rfind('@');
  if (at == absl::string_view::npos) return std::string(url);
  return absl::StrCat(url.substr(0, scheme_end + 3), rest.substr(at + 1));
}

std::string OriginOf(absl::string_view url) {
  const size_t scheme_end = url.find("://");
  const size_t from = scheme_end == absl::string_view::npos ? 0 : scheme_end + 3;
  return std::string(url.substr(0, url.find_first_of("/?#", from)));
}

// One request on one lane.
class Call {
 public:
  Call(const ClientOptions& options, const base::Context& context, const ClientRequest& request,
       Lane& lane)
      : options_(options),
        context_(context),
        request_(request),
        lane_(lane),
        easy_(lane.easy.get()) {}

  absl::StatusOr<ClientResponse> Run();

 private:
  absl::Status Prepare();
  CURLcode PrepareMethod();
  absl::Status AddHeader(const std::string& line);
  absl::Status CheckContext() const;
  // Until the transfer is over. OK: `result_` is curl's outcome.
  absl::Status Transfer();
  // Bytes moved in either direction so far, without those that wait in the socket to be sent.
  curl_off_t Moved() const;
  curl_off_t WaitingInSocket() const;
  bool AnyByteSent() const;
  // The outcome of a transfer that did not end with a whole answer.
  absl::Status Failure(absl::string_view why) const;
  // Nothing was sent: whoever answers there is not who we want.
  absl::Status Untrusted(absl::string_view why) const;
  std::string Where() const {
    return absl::StrCat(request_.method, " ", WithoutSecrets(request_.url), ": ");
  }

  size_t OnRead(char* out, size_t size);
  int OnSeek(curl_off_t offset, int origin);
  size_t OnHeader(absl::string_view line);
  size_t OnBody(std::span<const uint8_t> bytes);
  bool MayOpenSocket() const;

  const ClientOptions& options_;
  const base::Context& context_;
  const ClientRequest& request_;
  Lane& lane_;
  CURL* const easy_;
  std::unique_ptr<curl_slist, ListDeleter> headers_;
  char error_text_[CURL_ERROR_SIZE] = {};

  size_t body_sent_ = 0;  // given to curl
  size_t header_bytes_ = 0;
  bool head_complete_ = false;  // of the final answer
  ClientResponse response_;
  absl::Status callback_status_;  // of on_body, or a limit
  CURLcode result_ = CURLE_OK;
};

absl::Status Call::AddHeader(const std::string& line) {
  if (line.find_first_of(absl::string_view("\r\n\0", 3).data(), 0, 3) != std::string::npos) {
    return absl::InvalidArgumentError("line break in a request header");
  }
  curl_slist* longer = curl_slist_append(headers_.get(), line.c_str());
  if (longer == nullptr) return absl::ResourceExhaustedError("out of memory");
  static_cast<void>(headers_.release());  // it is a part of the longer one
  headers_.reset(longer);
  return absl::OkStatus();
}

absl::Status Call::Prepare() {
  curl_easy_reset(easy_);
  CURLcode code = CURLE_OK;
  const auto set = [&](CURLoption option, auto value) {
    if (code == CURLE_OK) code = curl_easy_setopt(easy_, option, value);
  };
  set(CURLOPT_URL, request_.url.c_str());
  set(CURLOPT_PATH_AS_IS, 1L);
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(CURLOPT_PROXY, "");
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_NOSIGNAL, 1L);
  // A cancelled call does not wait for a name server that is dark; its thread ends by itself.
  set(CURLOPT_QUICK_EXIT, 1L);
  set(CURLOPT_TCP_NODELAY, 1L);
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  // Large ones where a pack may pass: curl keeps them with the lane.
  if (request_.on_body) set(CURLOPT_BUFFERSIZE, kBufferBytes);
  if (request_.body.size() > size_t{kBufferBytes}) set(CURLOPT_UPLOAD_BUFFERSIZE, kBufferBytes);
  set(CURLOPT_CONNECTTIMEOUT_MS,
      static_cast<long>(std::max<int64_t>(1, absl::ToInt64Milliseconds(options_.connect_timeout))));
  set(CURLOPT_EXPECT_100_TIMEOUT_MS, kExpectTimeoutMs);
  set(CURLOPT_USERAGENT, options_.user_agent.c_str());
  set(CURLOPT_ERRORBUFFER, error_text_);
  if (!options_.ca_file.empty()) set(CURLOPT_CAINFO, options_.ca_file.c_str());

  set(
      CURLOPT_HEADERFUNCTION, +[](char* line, size_t one, size_t size, void* self) {
        return static_cast<Call*>(self)->OnHeader(absl::string_view(line, one * size));
      });
  set(CURLOPT_HEADERDATA, this);
  set(
      CURLOPT_WRITEFUNCTION, +[](char* bytes, size_t one, size_t size, void* self) {
        return static_cast<Call*>(self)->OnBody({reinterpret_cast<uint8_t*>(bytes), one * size});
      });
  set(CURLOPT_WRITEDATA, this);
  set(
      CURLOPT_OPENSOCKETFUNCTION,
      +[](void* self, curlsocktype, curl_sockaddr* address) -> curl_socket_t {
        if (!static_cast<Call*>(self)->MayOpenSocket()) return CURL_SOCKET_BAD;
        curl_socket_t& socket = static_cast<Call*>(self)->lane_.socket;
        socket = ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
        return socket;
      });
  set(CURLOPT_OPENSOCKETDATA, this);
  set(
      CURLOPT_CLOSESOCKETFUNCTION, +[](void* lane, curl_socket_t socket) {
        if (static_cast<Lane*>(lane)->socket == socket) {
          static_cast<Lane*>(lane)->socket = CURL_SOCKET_BAD;
        }
        return ::close(socket);
      });
  set(CURLOPT_CLOSESOCKETDATA, &lane_);  // outlives the call, as the connection does

  const CURLcode method_code = code == CURLE_OK ? PrepareMethod() : code;
  if (method_code != CURLE_OK) {
    return absl::InvalidArgumentError(absl::StrCat(Where(), curl_easy_strerror(method_code)));
  }
  // Said always, for by itself curl decides from the size of the body.
  CEDANA_RETURN_IF_ERROR(AddHeader(request_.expect_continue ? "Expect: 100-continue" : "Expect:"));
  for (const auto& [name, value] : request_.headers) {
    CEDANA_RETURN_IF_ERROR(
        AddHeader(value.empty() ? absl::StrCat(name, ";") : absl::StrCat(name, ": ", value)));
  }
  curl_easy_setopt(easy_, CURLOPT_HTTPHEADER, headers_.get());
  return absl::OkStatus();
}

CURLcode Call::PrepareMethod() {
  CURLcode code = CURLE_OK;
  const auto set = [&](CURLoption option, auto value) {
    if (code == CURLE_OK) code = curl_easy_setopt(easy_, option, value);
  };
  const bool sends_length =
      request_.has_body || request_.method == "PUT" || request_.method == "POST";
  if (sends_length) {
    set(CURLOPT_UPLOAD, 1L);
    set(CURLOPT_INFILESIZE_LARGE,
        static_cast<curl_off_t>(request_.has_body ? request_.body.size() : 0));
    set(
        CURLOPT_READFUNCTION, +[](char* out, size_t one, size_t size, void* self) {
          return static_cast<Call*>(self)->OnRead(out, one * size);
        });
    set(CURLOPT_READDATA, this);
    set(
        CURLOPT_SEEKFUNCTION, +[](void* self, curl_off_t offset, int origin) {
          return static_cast<Call*>(self)->OnSeek(offset, origin);
        });
    set(CURLOPT_SEEKDATA, this);
  }
  if (request_.method == "HEAD") {
    set(CURLOPT_NOBODY, 1L);
  } else if (request_.method != (sends_length ? "PUT" : "GET")) {
    set(CURLOPT_CUSTOMREQUEST, request_.method.c_str());
  }
  return code;
}

size_t Call::OnRead(char* out, size_t size) {
  const size_t step = std::min(size, request_.body.size() - body_sent_);
  std::memcpy(out, request_.body.data() + body_sent_, step);
  body_sent_ += step;
  return step;
}

int Call::OnSeek(curl_off_t offset, int origin) {
  if (origin != SEEK_SET || offset < 0 || static_cast<size_t>(offset) > request_.body.size()) {
    return CURL_SEEKFUNC_FAIL;
  }
  body_sent_ = static_cast<size_t>(offset);
  return CURL_SEEKFUNC_OK;
}

size_t Call::OnHeader(absl::string_view line) {
  header_bytes_ += line.size();
  if (header_bytes_ > kHeaderBytesMax) {
    callback_status_ = absl::ResourceExhaustedError("answer with too large headers");
    return 0;
  }
  const size_t whole = line.size();
  const absl::string_view text = absl::StripAsciiWhitespace(line);
  if (absl::StartsWith(text, "HTTP/")) {  // also after a 100
    response_ = ClientResponse();
    long status = 0;
    curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
    response_.status = static_cast<int>(status);
  } else if (text.empty()) {
    head_complete_ = response_.status >= 200;
  } else if (const size_t colon = text.find(':'); colon != absl::string_view::npos) {
    response_.headers.emplace_back(absl::AsciiStrToLower(text.substr(0, colon)),
                                   std::string(absl::StripAsciiWhitespace(text.substr(colon + 1))));
  }
  return whole;
}

size_t Call::OnBody(std::span<const uint8_t> bytes) {
  if (request_.on_body && response_.status / 100 == 2) {
    callback_status_ = request_.on_body(bytes);
  } else if (bytes.size() > request_.body_bytes_max - response_.body.size()) {
    callback_status_ = absl::ResourceExhaustedError(
        absl::StrCat(Where(), "answer of more than ", request_.body_bytes_max, " bytes"));
  } else {
    response_.body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  return callback_status_.ok() ? bytes.size() : 0;
}

bool Call::AnyByteSent() const {
  long head_bytes = 0;
  curl_easy_getinfo(easy_, CURLINFO_REQUEST_SIZE, &head_bytes);
  return head_bytes > 0;
}

// curl sends a request again, over a new connection, when a kept one ends without an answer. It may
// do so only where the peer cannot have acted on the first: the caller decides about the rest.
bool Call::MayOpenSocket() const {
  if (!AnyByteSent() || request_.method == "GET" || request_.method == "HEAD") return true;
  return request_.has_body && body_sent_ < request_.body.size();
}

curl_off_t Call::WaitingInSocket() const {
  // curl tells the socket of a transfer only once that is over.
  int bytes = 0;
  if (lane_.socket == CURL_SOCKET_BAD || ::ioctl(lane_.socket, SIOCOUTQ, &bytes) != 0) return 0;
  return bytes;
}

curl_off_t Call::Moved() const {
  long head_bytes = 0;
  curl_off_t up = 0;
  curl_off_t down = 0;
  curl_easy_getinfo(easy_, CURLINFO_REQUEST_SIZE, &head_bytes);
  curl_easy_getinfo(easy_, CURLINFO_SIZE_UPLOAD_T, &up);
  curl_easy_getinfo(easy_, CURLINFO_SIZE_DOWNLOAD_T, &down);
  const curl_off_t waiting = up > 0 ? std::min(up, WaitingInSocket()) : 0;
  return head_bytes + up - waiting + down + static_cast<curl_off_t>(header_bytes_);
}

absl::Status Call::Transfer() {
  CURLM* const multi = lane_.multi.get();
  curl_off_t moved = 0;
  absl::Duration moved_at = base::SystemClock().Monotonic();
  while (true) {
    int running = 0;
    if (const CURLMcode code = curl_multi_perform(multi, &running); code != CURLM_OK) {
      return absl::InternalError(absl::StrCat(Where(), curl_multi_strerror(code)));
    }
    if (running == 0) break;
    CEDANA_RETURN_IF_ERROR(CheckContext());
    const absl::Duration now = base::SystemClock().Monotonic();
    if (const curl_off_t total = Moved(); total > moved) {
      moved = total;
      moved_at = now;
      if (request_.on_progress) request_.on_progress(static_cast<uint64_t>(total));
    }
    const absl::Duration stalled = now - moved_at;
    if (stalled >= options_.stall_timeout) {
      return Failure(absl::StrCat("no byte moved for ", absl::FormatDuration(stalled)));
    }
    const absl::Duration wait = std::min({request_.on_progress ? kWaitMaxWatched : kWaitMax,
                                          options_.stall_timeout - stalled, context_.Remaining()});
    curl_multi_poll(
        multi, nullptr, 0,
        static_cast<int>(absl::ToInt64Milliseconds(absl::Ceil(wait, absl::Milliseconds(1)))),
        nullptr);
  }
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi, &left)) {
    if (message->msg == CURLMSG_DONE) result_ = message->data.result;
  }
  if (result_ == CURLE_OK && request_.on_progress && Moved() > moved) {
    request_.on_progress(static_cast<uint64_t>(Moved()));
  }
  return absl::OkStatus();
}

absl::Status Call::CheckContext() const {
  const absl::Status status = context_.Check();
  if (status.ok()) return status;
  // Not the code of a cancellation's reason: it could claim that nothing was sent.
  const auto code = status.code() == absl::StatusCode::kDeadlineExceeded
                        ? absl::StatusCode::kDeadlineExceeded
                        : absl::StatusCode::kCancelled;
  return absl::Status(code, absl::StrCat(Where(), status.message()));
}

absl::Status Call::Failure(absl::string_view why) const {
  const std::string text = absl::StrCat(Where(), why);
  if (head_complete_) return absl::DataLossError(text + " (answer incomplete)");
  if (AnyByteSent()) return absl::UnknownError(text + " (request sent, no answer)");
  return absl::UnavailableError(text);
}

absl::Status Call::Untrusted(absl::string_view why) const {
  return absl::UnavailableError(
      absl::StrCat(Where(), "the server's certificate is refused: ", why, " (trusted: ",
                   options_.ca_file.empty() ? "the system's authorities" : options_.ca_file, ")"));
}

absl::StatusOr<ClientResponse> Call::Run() {
  CEDANA_RETURN_IF_ERROR(CheckContext());
  CEDANA_RETURN_IF_ERROR(Prepare());
  CURLM* const multi = lane_.multi.get();
  if (const CURLMcode code = curl_multi_add_handle(multi, easy_); code != CURLM_OK) {
    return absl::InternalError(absl::StrCat(Where(), curl_multi_strerror(code)));
  }
  int handle = 0;
  if (context_.cancel != nullptr) {
    handle = context_.cancel->OnCancel([multi] { curl_multi_wakeup(multi); });
  }
  absl::Status status = Transfer();
  if (context_.cancel != nullptr) context_.cancel->RemoveCallback(handle);
  // Read before the handle is removed, for that may clear what Failure looks at.
  if (status.ok() && !callback_status_.ok()) status = callback_status_;
  if (status.ok() && result_ != CURLE_OK) {
    if (result_ == CURLE_URL_MALFORMAT || result_ == CURLE_UNSUPPORTED_PROTOCOL) {
      if (!AnyByteSent())
        status = absl::InvalidArgumentError(Where() + curl_easy_strerror(result_));
    }
    const absl::string_view detail(error_text_);
    if (result_ == CURLE_PEER_FAILED_VERIFICATION || result_ == CURLE_SSL_CONNECT_ERROR) {
      status = Untrusted(detail);
    }
    const bool safe = !detail.empty() && !absl::StrContains(detail, '?');
    if (status.ok()) status = Failure(safe ? detail : curl_easy_strerror(result_));
  }
  // curl takes a connection that ends inside the headers for an answer.
  if (status.ok() && !head_complete_) status = Failure("connection ended inside the answer's head");
  curl_multi_remove_handle(multi, easy_);  // closes the connection of an unfinished transfer
  if (!status.ok()) return status;
  return std::move(response_);
}

// Thread-safe.
class CurlClient final : public Client {
 public:
  explicit CurlClient(ClientOptions options) : options_(std::move(options)) {}

  absl::StatusOr<ClientResponse> Do(const base::Context& context,
                                    const ClientRequest& request) override {
    CEDANA_ASSIGN_OR_RETURN(std::unique_ptr<Lane> lane, Take(OriginOf(request.url)));
    absl::StatusOr<ClientResponse> response = Call(options_, context, request, *lane).Run();
    GiveBack(std::move(lane));
    return response;
  }

 private:
  // The lane used last for this origin, else a new one.
  absl::StatusOr<std::unique_ptr<Lane>> Take(std::string origin) {
    {
      absl::MutexLock lock(&mutex_);
      const auto found = std::find_if(idle_.rbegin(), idle_.rend(),
                                      [&](const auto& lane) { return lane->origin == origin; });
      if (found != idle_.rend()) {
        std::unique_ptr<Lane> lane = std::move(*found);
        idle_.erase(std::next(found).base());
        return lane;
      }
    }
    auto lane = std::make_unique<Lane>();
    lane->multi.reset(curl_multi_init());
    lane->easy.reset(curl_easy_init());
    if (lane->multi == nullptr || lane->easy == nullptr) {
      return absl::ResourceExhaustedError("no memory for a request");
    }
    curl_multi_setopt(lane->multi.get(), CURLMOPT_MAXCONNECTS, kConnectionsPerLane);
    lane->origin = std::move(origin);
    return lane;
  }

  void GiveBack(std::unique_ptr<Lane> lane) {
    std::unique_ptr<Lane> dropped;  // closes its connection without the lock
    absl::MutexLock lock(&mutex_);
    const auto of_origin = std::count_if(idle_.begin(), idle_.end(), [&](const auto& other) {
      return other->origin == lane->origin;
    });
    if (of_origin >= options_.connections_max) {
      dropped = std::move(lane);
      return;
    }
    // The origin that was not used for longest makes room.
    if (static_cast<int>(idle_.size()) >= kOriginsMax * options_.connections_max) {
      dropped = std::move(idle_.front());
      idle_.erase(idle_.begin());
    }
    idle_.push_back(std::move(lane));
  }

  const ClientOptions options_;
  absl::Mutex mutex_;
  std::vector<std::unique_ptr<Lane>> idle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> Client::Create(ClientOptions options) {
  static const CURLcode kGlobal = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (kGlobal != CURLE_OK) {
    return absl::InternalError(absl::StrCat("libcurl: ", curl_easy_strerror(kGlobal)));
  }
  return std::make_unique<CurlClient>(std::move(options));
}

}  // namespace cedana::http
