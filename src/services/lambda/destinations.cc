#include "services/lambda/destinations.h"

#include <algorithm>
#include <array>

namespace lambdad::lambda {

namespace {

namespace api = aws::lambda;
using std::string_view_literals::operator""sv;

bool is_fifo(const Arn& arn) {
  return (arn.service == "sqs" || arn.service == "sns") && arn.resource.ends_with(".fifo");
}

std::unexpected<aws::Error> invalid_arn(const std::string& text) {
  return std::unexpected(api::invalid_parameter_value(fmt::format("The destination ARN {} is invalid.", text)));
}

// Whether the kind of the target can be a destination at all.
bool is_possible(const std::string& text, bool for_failures) {
  if (text.empty()) return true;
  const auto arn = Arn::parse(text);
  if (!arn) return false;
  constexpr std::array kAlways = {"sqs"sv, "sns"sv, "lambda"sv, "events"sv};
  return std::ranges::find(kAlways, arn->service) != kAlways.end() || (for_failures && arn->service == "s3");
}

aws::Outcome<void> check_one(const std::string& text, const ports::FunctionRef& function, ports::Targets* targets,
                             std::string_view operation) {
  if (text.empty()) return {};
  const Arn arn = *Arn::parse(text);
  if (is_fifo(arn) || (arn.service != "s3" && arn.region != function.region)) return invalid_arn(text);
  if (const auto other = FunctionArn::parse(text); arn.service == "lambda") {
    if (!other) return invalid_arn(text);
    if (other->unqualified() == function.arn().unqualified()) {
      return std::unexpected(
          api::invalid_parameter_value("You can't specify the function as a destination for itself."));
    }
  }
  if (targets == nullptr || !targets->serves(arn.service)) {
    return std::unexpected(
        aws::not_served("lambda", operation, fmt::format("DestinationConfig naming a target of {}", arn.service)));
  }
  if (!targets->check(arn)) return invalid_arn(text);
  return {};
}

}  // namespace

aws::Outcome<Destinations> check_destinations(const std::optional<api::DestinationConfig>& config,
                                              const ports::FunctionRef& function, ports::Targets* targets,
                                              std::string_view operation) {
  Destinations destinations;
  if (!config) return destinations;
  if (config->on_success) destinations.on_success = config->on_success->destination.value_or("");
  if (config->on_failure) destinations.on_failure = config->on_failure->destination.value_or("");
  if (!is_possible(destinations.on_success, false) || !is_possible(destinations.on_failure, true)) {
    const auto shown = [](std::string_view kind, const std::string& text) {
      return text.empty() ? std::string("null") : fmt::format("{}(destination={})", kind, text);
    };
    return std::unexpected(api::invalid_parameter_value(
        fmt::format("The provided destination config DestinationConfig(onSuccess={}, onFailure={}) is invalid.",
                    shown("OnSuccess", destinations.on_success), shown("OnFailure", destinations.on_failure))));
  }
  for (const std::string* text : {&destinations.on_success, &destinations.on_failure}) {
    if (auto accepted = check_one(*text, function, targets, operation); !accepted) {
      return std::unexpected(std::move(accepted.error()));
    }
  }
  return destinations;
}

aws::Outcome<void> check_dead_letter_target(const std::string& text, ports::Targets* targets,
                                            std::string_view operation) {
  const auto arn = Arn::parse(text);
  const bool possible = arn && (arn->service == "sqs" || arn->service == "sns");
  if (!possible || is_fifo(*arn)) {
    return std::unexpected(api::invalid_parameter_value(fmt::format(
        "The dead-letter target {} must be the ARN of a standard SQS queue or a standard SNS topic.", text)));
  }
  // Queues may be made after the function that names them.
  if (arn->service == "sns" && (targets == nullptr || !targets->serves("sns"))) {
    return std::unexpected(aws::not_served("lambda", operation, "DeadLetterConfig.TargetArn naming an SNS topic"));
  }
  return {};
}

}  // namespace lambdad::lambda
