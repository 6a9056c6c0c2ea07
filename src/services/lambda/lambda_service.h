#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "aws/dispatcher.h"
#include "base/error.h"
#include "observe/log.h"
#include "package/image_sources.h"
#include "package/package_store.h"
#include "ports/functions.h"
#include "ports/objects.h"
#include "ports/response_stream.h"
#include "ports/tags.h"
#include "ports/targets.h"
#include "services/lambda/runtimes.h"
#include "store/database.h"
#include "system/system.h"

namespace lambdad::lambda {

/// AWS Lambda's control plane and the front of Invoke: functions, versions, aliases, layers, policies, concurrency and
/// what else hangs on them. Event source mappings are served by event_sources.
///
/// Ownership: owns the functions; borrows System, the database, the package store, and the invoker once it is set.
/// Threading: the loop only. End: stop(), which leaves unfinished changes for the next start.
class LambdaService {
 public:
  struct Options {
    RuntimeCheck runtime_check;  ///< whether this host has what a runtime needs
    /// Whether Lambda may assume this execution role; unset: any.
    std::function<bool(const std::string& role_arn)> role_check;
    int account_concurrency = 1000;    ///< of an account in a region
    bool limit_control_rates = false;  ///< refuse calls of the control plane above AWS's rates (control_rates.h)
  };
  /// `database` was opened with migrations().
  LambdaService(System& system, Logger& log, store::Database& database, package::PackageStore& packages,
                Options options);
  ~LambdaService();
  static std::span<const store::Migration> migrations();

  /// Reads what is stored, starts the package store, then goes on with unfinished changes. Before the first request.
  Async<Result<void>> start();
  Async<void> stop();
  /// Waits until every change that was begun is finished. For tests and for an orderly shutdown.
  Async<void> settle();

  /// The operations, at `dispatcher`, which must not serve any after this object is gone.
  void serve(aws::Dispatcher& dispatcher);
  /// Where images of functions come from. Before start(); without it, PackageType Image is refused.
  void set_images(package::ImageSources& images);
  /// Without one Invoke answers ServiceException.
  void set_invoker(ports::FunctionInvoker& invoker);
  /// Without one InvokeWithResponseStream answers ServiceException.
  void set_stream_invoker(ports::StreamInvoker& invoker);
  /// Where code in S3 is read. Without one no bucket exists.
  void set_object_reader(ports::ObjectReader& objects);
  /// What destinations and dead-letter queues may name; without, no destination is served.
  void set_targets(ports::Targets& targets);
  /// Whose resources TagResource, UntagResource and ListTags serve besides functions.
  void set_tagged_resources(ports::TaggedResources& resources);
  ports::FunctionCatalog& catalog();
  /// The policy of a function, version or alias, or of a layer version, as JSON; empty when it has none.
  std::string resource_policy(const Arn& resource) const;
  /// From here on environments of provisioned concurrency are made. After start(), when they can be.
  void set_provisioner(ports::EnvironmentProvisioner& provisioner);

  /// GET /_lambdad/code/ACCOUNT/REGION/FUNCTION/SHA256?expires=&token=: the zip that GetFunction's Code.Location
  /// names. 403 for a token that is wrong or too old, 404 when no function has this code any more.
  Async<http::Response> code_download(http::Request request);
  static constexpr std::string_view kCodePath = "/_lambdad/code/";

  /// Body of the largest request: CreateFunction with a zip of 50 MB in base64. Source: recorded error text.
  static constexpr std::size_t kRequestBytesMax = 70'167'210;
  /// The answer to a request whose body is larger than it may be; nullopt when it is not for this API.
  static std::optional<http::Response> refuse_body(const http::Request& head, std::string request_id);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lambdad::lambda
