#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aws/error.h"
#include "aws/model.h"
#include "aws/sigv4.h"
#include "http/message.h"

namespace lambdad::aws {

using Parameters = std::vector<std::pair<std::string, std::string>>;

/// Which operation a request is for, and in which protocol its answer is due.
struct Route {
  const ServiceModel* service = nullptr;
  const OperationModel* operation = nullptr;
  Protocol protocol = Protocol::kRestJson;  ///< also of a refusal
  Parameters labels;                        ///< rest-json: from the path, decoded
  Parameters parameters;                    ///< the query string, decoded; in the query protocol the form body too
  std::optional<Error> refusal;             ///< set when no operation was found; `service` may be known
};

/// Assigns requests to operations of the services it knows: by X-Amz-Target, the credential scope, a rest-json path, or
/// the Action of the query protocol, in this order. Holds the services by reference. Threading: the loop only.
class Router {
 public:
  Router();
  ~Router();
  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;
  void add(const ServiceModel& service);
  bool knows(const ServiceModel& service) const;
  const ServiceModel* find(std::string_view name) const;

  /// `signature` is the request's own; null when it has none.
  Route route(const http::Request& request, const sigv4::Signature* signature) const;

 private:
  struct Template;
  Route by_target(const http::Request& request, std::string_view target) const;
  bool by_path(const http::Request& request, const ServiceModel* only, Route& route) const;
  Route by_action(const http::Request& request, const ServiceModel* only, Route route) const;

  std::vector<const ServiceModel*> services_;
  std::vector<Template> templates_;
};

}  // namespace lambdad::aws
