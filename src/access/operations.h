/// Which actions on which resources an operation means.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "access/identities.h"
#include "aws/dispatcher.h"
#include "aws/model.h"
#include "base/json.h"

namespace lambdad::access {

/// One permission that an operation needs.
struct Asked {
  std::string action;            ///< "lambda:InvokeFunction"
  std::string resource = "*";    ///< ARN, or "*"
  std::string shown;             ///< the resource as AWS's message names it, when that is not the ARN
  std::string resource_account;  ///< empty: the caller's
  std::vector<std::pair<std::string, std::string>> keys;  ///< further keys of the request: iam:PassedToService, ...
};

struct Meaning {
  enum class Kind {
    kUnknown,  ///< no entry: denied
    kFree,     ///< everybody who signed may: GetCallerIdentity
    kAsked,    ///< each of `asked` must be allowed
  };
  Kind kind = Kind::kUnknown;
  std::vector<Asked> asked;
};

/// What `operation` with `input` means. Pure, but for the paths that `identities` knows.
/// Source: Service Authorization Reference.
Meaning meaning_of(const aws::RequestContext& context, std::string_view operation, const json::Value& input,
                   const Identities& identities);

/// Whether there is an entry for the operation.
bool has_meaning(std::string_view service, std::string_view operation);

/// Whether it may also be asked without a signature, because a secret in the request is the permission: links in mails.
bool is_open(std::string_view service, std::string_view operation);

}  // namespace lambdad::access
