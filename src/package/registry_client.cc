#include "package/registry_client.h"

#include <curl/curl.h>

#include <cstdlib>
#include <optional>

#include "base/encoding.h"
#include "base/json.h"

namespace lambdad::package {
namespace {

constexpr long kConnectSeconds = 10;
constexpr long kStalledSeconds = 30;  // without a single byte
constexpr long kRedirectsMax = 5;
constexpr std::size_t kTokenBytesMax = 64 * 1024;
constexpr std::size_t kErrorBytesMax = 64 * 1024;

struct CurlEnd {
  void operator()(CURL* handle) const { ::curl_easy_cleanup(handle); }
};
struct ListEnd {
  void operator()(curl_slist* list) const { ::curl_slist_free_all(list); }
};
using List = std::unique_ptr<curl_slist, ListEnd>;

bool is_loopback(std::string_view registry) {
  const std::string_view host = registry.substr(0, registry.rfind(':'));
  return host == "localhost" || host.starts_with("127.") || host.ends_with(".localhost");
}

/// name="value" of a challenge.
std::string parameter_of(std::string_view challenge, std::string_view name) {
  const std::string wanted = fmt::format("{}=\"", name);
  const std::size_t at = challenge.find(wanted);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = challenge.substr(at + wanted.size());
  return std::string(rest.substr(0, rest.find('"')));
}

}  // namespace

class RegistryClient::Impl {
 public:
  using Sink = std::function<Result<void>(std::string_view)>;

  Impl(std::string registry, std::string repository, const std::atomic<bool>& cancelled)
      : registry_(std::move(registry)), repository_(std::move(repository)), cancelled_(cancelled) {
    static const CURLcode initialised = ::curl_global_init(CURL_GLOBAL_DEFAULT);
    LD_CHECK(initialised == CURLE_OK, "libcurl cannot be initialised");
    curl_.reset(::curl_easy_init());
    LD_CHECK(curl_ != nullptr, "libcurl has no memory");
  }

  struct Reply {
    long status = 0;
    std::string content_type;
    std::string challenge;
  };

  std::string url(std::string_view kind, std::string_view name) const {
    return fmt::format("{}://{}/v2/{}/{}/{}", is_loopback(registry_) ? "http" : "https", registry_, repository_, kind,
                       name);
  }

  /// A GET, repeated once with a token when the registry asks for one. Only the body of a 200 reaches `sink`.
  Result<Reply> get(const std::string& address, std::string_view accept, const Sink& sink) {
    LD_TRY(Reply reply, perform(address, accept, token_, sink));
    if (reply.status == 401) {
      LD_TRY_VOID(fetch_token(reply.challenge));
      LD_TRY(reply, perform(address, accept, token_, sink));
    }
    switch (reply.status) {
      case 200: return reply;
      case 401:
      case 403: return fail(Errc::kDenied, "{} does not give {} to everybody", registry_, repository_);
      case 404: return fail(Errc::kNotFound, "{} has no such image", registry_);
      default: return fail(Errc::kUnavailable, "{} answered {}", registry_, reply.status);
    }
  }

 private:
  struct Transfer {
    Impl* client;
    const Sink* sink;
    Reply* reply;
    std::optional<Error> failure;
    std::size_t error_bytes = 0;
  };

  static std::size_t on_body(char* data, std::size_t, std::size_t count, void* context) {
    auto& transfer = *static_cast<Transfer*>(context);
    long status = 0;
    ::curl_easy_getinfo(transfer.client->curl_.get(), CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
      transfer.error_bytes += count;
      return transfer.error_bytes > kErrorBytesMax ? 0 : count;
    }
    if (auto taken = (*transfer.sink)({data, count}); !taken) {
      transfer.failure = std::move(taken.error());
      return 0;
    }
    return count;
  }

  static std::size_t on_header(char* data, std::size_t, std::size_t count, void* context) {
    auto& reply = *static_cast<Transfer*>(context)->reply;
    std::string_view line(data, count);
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
    if (line.starts_with("HTTP/")) reply = {};  // of the next response behind a redirect
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return count;
    std::string_view value = line.substr(colon + 1);
    while (value.starts_with(' ')) value.remove_prefix(1);
    const std::string name = to_lower(line.substr(0, colon));
    if (name == "content-type") reply.content_type = value;
    // A registry may offer several ways; the token is the one that is served.
    if (name == "www-authenticate" && (reply.challenge.empty() || value.starts_with("Bearer"))) reply.challenge = value;
    return count;
  }

  static int on_progress(void* context, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<Impl*>(context)->cancelled_.load(std::memory_order_relaxed) ? 1 : 0;
  }

  Result<Reply> perform(const std::string& address, std::string_view accept, const std::string& token,
                        const Sink& sink) {
    CURL* curl = curl_.get();
    ::curl_easy_reset(curl);
    Reply reply;
    Transfer transfer{.client = this, .sink = &sink, .reply = &reply};
    List headers;
    auto add = [&headers](const std::string& line) {
      if (curl_slist* longer = ::curl_slist_append(headers.get(), line.c_str())) {
        (void)headers.release();
        headers.reset(longer);
      }
    };
    if (!accept.empty()) add(fmt::format("Accept: {}", accept));
    if (!token.empty()) add("Authorization: Bearer " + token);
    const char* protocols = is_loopback(registry_) ? "http,https" : "https";
    ::curl_easy_setopt(curl, CURLOPT_URL, address.c_str());
    ::curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, protocols);
    ::curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, protocols);
    ::curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    ::curl_easy_setopt(curl, CURLOPT_MAXREDIRS, kRedirectsMax);
    ::curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
    ::curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    ::curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, kStalledSeconds);
    ::curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    ::curl_easy_setopt(curl, CURLOPT_USERAGENT, "lambdad");
    ::curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
    ::curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    ::curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
    ::curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    ::curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
    ::curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    ::curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    ::curl_easy_setopt(curl, CURLOPT_XFERINFODATA, this);
    const CURLcode code = ::curl_easy_perform(curl);
    ::curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply.status);
    if (transfer.failure) return std::unexpected(std::move(*transfer.failure));
    switch (code) {
      case CURLE_OK: return reply;
      case CURLE_ABORTED_BY_CALLBACK: return fail(Errc::kClosed, "the transfer from {} was cancelled", registry_);
      case CURLE_OPERATION_TIMEDOUT: return fail(Errc::kTimedOut, "{} is too slow", registry_);
      default: return fail(Errc::kUnavailable, "{}: {}", registry_, ::curl_easy_strerror(code));
    }
  }

  Result<void> fetch_token(const std::string& challenge) {
    const std::string realm = parameter_of(challenge, "realm");
    if (!challenge.starts_with("Bearer") || realm.empty()) {
      return fail(Errc::kDenied, "{} wants credentials, and lambdad has none for it", registry_);
    }
    std::string address = fmt::format("{}{}scope={}", realm, realm.find('?') == std::string::npos ? '?' : '&',
                                      percent_encode(fmt::format("repository:{}:pull", repository_)));
    if (const std::string service = parameter_of(challenge, "service"); !service.empty()) {
      address += "&service=" + percent_encode(service);
    }
    std::string body;
    LD_TRY(const Reply reply, perform(address, {}, {}, [&body](std::string_view piece) -> Result<void> {
             if (body.size() + piece.size() > kTokenBytesMax)
               return fail(Errc::kTooLarge, "a token of more than 64 KiB");
             body.append(piece);
             return {};
           }));
    if (reply.status != 200) return fail(Errc::kDenied, "{} gives no anonymous token ({})", registry_, reply.status);
    auto document = json::parse(body);
    for (const char* name : {"token", "access_token"}) {
      const json::Value* token = document ? document->find(name) : nullptr;
      if (token == nullptr || token->if_string() == nullptr) continue;
      // It becomes a header field.
      for (const char c : *token->if_string()) {
        if (c <= 0x20 || c == 0x7f) return fail(Errc::kCorrupt, "{} gives a token that is none", registry_);
      }
      token_ = *token->if_string();
      return {};
    }
    return fail(Errc::kCorrupt, "{} gives no token", registry_);
  }

  const std::string registry_;
  const std::string repository_;
  const std::atomic<bool>& cancelled_;
  std::unique_ptr<CURL, CurlEnd> curl_;
  std::string token_;
};

RegistryClient::RegistryClient(std::string registry, std::string repository, const std::atomic<bool>& cancelled)
    : impl_(std::make_unique<Impl>(std::move(registry), std::move(repository), cancelled)) {}
RegistryClient::~RegistryClient() = default;

Result<RegistryClient::Document> RegistryClient::manifest(const std::string& reference) {
  const std::string accept = fmt::format("{}, {}, {}, {}", media_type::kOciManifest, media_type::kDockerManifest,
                                         media_type::kOciIndex, media_type::kDockerList);
  Document out;
  LD_TRY(const auto reply,
         impl_->get(impl_->url("manifests", reference), accept, [&out](std::string_view piece) -> Result<void> {
           if (out.bytes.size() + piece.size() > kManifestBytesMax)
             return fail(Errc::kTooLarge, "a manifest beyond 4 MiB");
           out.bytes.append(piece);
           return {};
         }));
  out.media_type = reply.content_type;
  out.digest = image_digest_of(out.bytes);
  if (is_image_digest(reference) && out.digest != reference) {
    return fail(Errc::kCorrupt, "asked for the manifest {}, got {}", reference, out.digest);
  }
  return out;
}

Result<void> RegistryClient::blob(const std::string& digest, std::uint64_t size, const Impl::Sink& sink) {
  std::uint64_t left = size;
  LD_TRY_VOID([&]() -> Result<void> {
    LD_TRY([[maybe_unused]] const auto reply,
           impl_->get(impl_->url("blobs", digest), {}, [&](std::string_view piece) -> Result<void> {
             if (piece.size() > left) return fail(Errc::kCorrupt, "{} is longer than its manifest says", digest);
             left -= piece.size();
             return sink(piece);
           }));
    return {};
  }());
  if (left != 0) return fail(Errc::kCorrupt, "{} is shorter than its manifest says", digest);
  return {};
}

}  // namespace lambdad::package
