#pragma once

#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "aws/access.h"
#include "aws/dispatcher.h"
#include "http/message.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "ports/functions.h"
#include "ports/response_stream.h"
#include "services/function_urls/url_config.h"
#include "services/function_urls/url_event.h"
#include "services/function_urls/url_store.h"
#include "system/keyed_mutex.h"
#include "system/system.h"

namespace lambdad::function_urls {

/// Function URLs: their configuration, which is part of Lambda's API, and the HTTP endpoints themselves.
///
/// A URL belongs to a function or to one of its aliases. It goes with its function; a URL whose alias has gone stays
/// and answers 403, as on AWS.
///
/// A request to a URL: find the configuration by the host's first label, answer a CORS preflight, check who asks, make
/// the event, run the function, and turn its answer into HTTP; with InvokeMode RESPONSE_STREAM while the function still
/// writes it. Who asks: AWS_IAM wants a SigV4 signature (header or presigned) for the service "lambda" and the URL's
/// region; the rest is for `admit`.
///
/// Ownership: owns its rows; borrows the rest, which outlives it. Threading: the loop only.
/// End: stop(), when no request is running; required before destruction once start() was called.
class FunctionUrlService {
 public:
  struct Options {
    std::string data_directory;  ///< exists; function_urls.db is made in it
    store::Durability durability = store::Durability::kFull;
    /// Whether a request may run the function: who signed it, null for a URL of AuthType NONE; an error is answered as
    /// it is. `signature` is null for AuthType NONE. Unset: whoever signed is let in, as the account of the access key.
    std::function<aws::Outcome<aws::CallerPtr>(const http::Request& request, const aws::sigv4::Signature* signature,
                                               const ports::FunctionRef& function)>
        admit;
    std::string default_account = "000000000000";
    /// Under which URLs are shown; requests are known by the beginning of their host, whatever follows.
    std::string domain = "localhost";
  };
  FunctionUrlService(System& system, Logger& log, Metrics& metrics, Options options, ports::FunctionCatalog& catalog,
                     ports::FunctionInvoker& invoker, ports::StreamInvoker& stream_invoker);
  ~FunctionUrlService();

  /// Reads the rows, once the catalog has its functions: URLs of functions that have gone are removed.
  Async<Result<void>> start();
  void register_operations(aws::Dispatcher& dispatcher);
  Async<void> stop();
  bool healthy() const { return store_ == nullptr || store_->healthy(); }
  std::size_t size() const { return by_id_.size(); }

  /// Whether a request with this Host field is for a function URL, known or not.
  static bool is_url_host(std::string_view host) { return parse_url_host(host).has_value(); }
  /// Answers a request whose Host is_url_host().
  Async<http::Response> handle(http::Request request);

  /// The operations.
  using Context = aws::RequestContext;
  Async<aws::Outcome<aws::lambda::CreateFunctionUrlConfigResponse>> create(
      Context* context, aws::lambda::CreateFunctionUrlConfigRequest request);
  Async<aws::Outcome<aws::lambda::UpdateFunctionUrlConfigResponse>> update(
      Context* context, aws::lambda::UpdateFunctionUrlConfigRequest request);
  Async<aws::Outcome<aws::lambda::GetFunctionUrlConfigResponse>> get(Context* context,
                                                                     aws::lambda::GetFunctionUrlConfigRequest request);
  Async<aws::Outcome<aws::Unit>> remove(Context* context, aws::lambda::DeleteFunctionUrlConfigRequest request);
  Async<aws::Outcome<aws::lambda::ListFunctionUrlConfigsResponse>> list(
      Context* context, aws::lambda::ListFunctionUrlConfigsRequest request);

 private:
  using ConfigPtr = std::shared_ptr<const UrlConfig>;
  using Key = std::vector<std::string>;  // account, region, function, qualifier
  static Key key_of(const ports::FunctionRef& function);

  ConfigPtr find(const ports::FunctionRef& function) const;
  std::vector<ConfigPtr> of_function(const ports::FunctionRef& function) const;
  bool function_exists(ports::FunctionRef function) const;
  bool target_exists(const ports::FunctionRef& function) const;
  void show(UrlConfig config);
  void forget(const UrlConfig& config);
  Async<Result<void>> erase(UrlConfig config);
  /// The URLs of a function that has gone: nobody sees them any more when this returns; their rows go later.
  void drop_all(const ports::FunctionRef& function);
  Async<void> remove_rows(std::vector<ConfigPtr> dropped);
  std::string new_id();
  std::string new_trace_header();
  aws::Error failure(const Context& context, const Error& cause);

  /// Who may run the function by this request; nullopt: anonymous. The error is the answer.
  std::expected<std::optional<Caller>, http::Response> admit(const http::Request& request,
                                                             const UrlConfig& config) const;
  Async<http::Response> serve(ConfigPtr config, UrlHost host, http::Request request);
  Async<http::Response> run_buffered(ports::InvocationRequest request);
  Async<http::Response> run_streaming(ports::InvocationRequest request);

  System& system_;
  Logger& log_;
  Metrics& metrics_;
  Options options_;
  ports::FunctionCatalog& catalog_;
  ports::FunctionInvoker& invoker_;
  ports::StreamInvoker& stream_invoker_;
  std::unique_ptr<UrlStore> store_;
  std::map<std::string, ConfigPtr, std::less<>> by_id_;
  std::map<Key, ConfigPtr> by_function_;
  KeyedMutex busy_;
  TaskGroup tasks_;
};

}  // namespace lambdad::function_urls
