/// Which messages of a topic a subscription wants.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "aws/error.h"
#include "pattern/pattern.h"
#include "services/sns/message.h"

namespace lambdad::sns {

class FilterPolicy {
 public:
  enum class Scope { kMessageAttributes, kMessageBody };
  /// InvalidParameter in AWS's words. Patterns are SNS's dialect: see pattern.h.
  static aws::Outcome<FilterPolicy> parse(std::string_view text, Scope scope);

  /// Why a message does not pass, as the metrics name it.
  enum class Verdict {
    kPasses,
    kFilteredOut,
    kNoAttributes,       ///< the message has none
    kInvalidAttributes,  ///< an attribute's value is not what its type says
    kInvalidBody,        ///< no JSON object
  };
  Verdict judge(const Message& message, Protocol protocol) const;
  Scope scope() const { return scope_; }

 private:
  FilterPolicy(std::optional<pattern::Pattern> pattern, Scope scope) : pattern_(std::move(pattern)), scope_(scope) {}
  std::optional<pattern::Pattern> pattern_;  ///< none: {}, which everything passes
  Scope scope_;
};

}  // namespace lambdad::sns
