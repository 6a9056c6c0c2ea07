/// What several operations check or say.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "services/sns/handlers/handlers.h"
#include "services/sns/limits.h"

namespace lambdad::sns {

/// `Invalid parameter: WHAT`
aws::Error invalid_parameter(std::string_view what);
aws::Error no_such_topic();
aws::Error no_such_subscription();
/// The gate from our errors to the caller's; the detail goes to the log.
aws::Error to_aws_error(const Call& call, const Error& error);

/// InvalidParameter when it is no ARN of the topic's kind, NotFound when there is none.
Outcome<TopicPtr> find_topic(const Call& call, const std::string& arn, std::string_view parameter = "TopicArn");
Outcome<SubscriptionPtr> find_subscription(const Call& call, const std::string& arn);

/// One page of what is sorted by ARN. Tokens are the last ARN of the page before, in base64.
template <class T>
struct Page {
  std::vector<T> items;
  std::optional<std::string> next_token;
};
Outcome<std::string> page_start(const std::optional<std::string>& token);
std::string page_token(const std::string& arn);
template <class T>
Page<T> first_page(std::vector<T> all) {
  Page<T> page{std::move(all), std::nullopt};
  if (page.items.size() > kPageSize) {
    page.items.resize(kPageSize);
    page.next_token = page_token(page.items.back()->arn);
  }
  return page;
}

}  // namespace lambdad::sns
