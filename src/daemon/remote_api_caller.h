#pragma once

#include <map>
#include <optional>
#include <string>

#include "aws/sigv4.h"
#include "http/client.h"
#include "ports/targets.h"
#include "system/system.h"

namespace lambdad::daemon {

/// An address that answers the AWS API: another lambdad.
struct RemoteEndpoint {
  std::string host;
  std::uint16_t port = 0;

  /// From http://HOST:PORT; kInvalid otherwise. HTTPS, and so AWS itself, is not served yet and refused by name.
  static Result<RemoteEndpoint> parse(std::string_view text);
  std::string authority() const { return fmt::format("{}:{}", host, port); }
};

/// ports::ApiCaller that sends the calls of some accounts to other endpoints, signed, and all others to `local`.
///
/// Serves the operations of SQS, in its JSON protocol. A call to another service of such an account is refused by name:
/// it must not reach the local one.
/// Threading: the loop only. `system` and `local` outlive it.
class RemoteApiCaller final : public ports::ApiCaller {
 public:
  /// `credentials` sign for every endpoint; without them each account's id is its access key, as lambdad takes it.
  RemoteApiCaller(System& system, ports::ApiCaller& local, std::map<std::string, RemoteEndpoint> endpoints,
                  std::optional<aws::sigv4::Credentials> credentials);

  Async<aws::Outcome<json::Value>> call(Call call) override;

 private:
  Async<aws::Outcome<json::Value>> send(RemoteEndpoint endpoint, Call call);

  System& system_;
  ports::ApiCaller& local_;
  std::map<std::string, RemoteEndpoint> endpoints_;  ///< by account
  std::optional<aws::sigv4::Credentials> credentials_;
  http::Client client_;
};

}  // namespace lambdad::daemon
