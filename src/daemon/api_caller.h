#pragma once

#include <string>

#include "aws/dispatcher.h"
#include "ports/targets.h"
#include "system/system.h"

namespace lambdad::daemon {

/// ports::ApiCaller on the daemon's own services, in process. Threading: the loop only.
class LocalApiCaller final : public ports::ApiCaller {
 public:
  LocalApiCaller(System& system, aws::Dispatcher& dispatcher) : system_(system), dispatcher_(dispatcher) {}
  /// Where clients reach the daemon: what queue URLs begin with.
  void set_base_url(std::string base_url) { base_url_ = std::move(base_url); }

  Async<aws::Outcome<json::Value>> call(Call call) override {
    aws::RequestContext context;
    context.request_id = system_.random.uuid_v4();
    context.account = std::move(call.account);
    context.region = std::move(call.region);
    context.service = call.service;
    context.operation = call.operation;
    context.base_url = base_url_;
    context.received = system_.clock.wall();
    return dispatcher_.call(std::move(context), std::move(call.service), std::move(call.operation),
                            std::move(call.input));
  }

 private:
  System& system_;
  aws::Dispatcher& dispatcher_;
  std::string base_url_;
};

}  // namespace lambdad::daemon
