#include "services/sqs/handlers/messages_page.h"

#include <algorithm>

#include "aws/protocol.h"
#include "base/encoding.h"
#include "services/sqs/handlers/message_output.h"

namespace lambdad::sqs {

namespace {

constexpr std::string_view kPath = "/_aws/sqs/messages";
constexpr const char* kDefaultRegion = "us-east-1";

using json::Array;
using json::Object;
using json::Value;

bool is_true(const aws::Parameters& parameters, std::string_view name) {
  const auto it = std::ranges::find(parameters, name, &aws::Parameters::value_type::first);
  return it != parameters.end() && to_lower(it->second) == "true";
}

Value name_and_value(const std::string& name, const std::string& value) {
  return Object{{"Name", name}, {"Value", value}};
}

/// What an XML parser makes of repeated elements.
Value repeated(Array values) {
  if (values.size() == 1) return std::move(values.front());
  return values;
}

/// The answer as people read it: the XML's structure in JSON.
http::Response as_json(const std::vector<aws::sqs::Message>& messages, const std::string& request_id) {
  Array list;
  for (const aws::sqs::Message& message : messages) {
    Object shown{{"MessageId", *message.message_id},
                 {"ReceiptHandle", *message.receipt_handle},
                 {"MD5OfBody", *message.md5_of_body},
                 {"Body", *message.body}};
    Array attributes;
    for (const auto& [name, value] : *message.attributes) attributes.push_back(name_and_value(name, value));
    shown.append("Attribute", repeated(std::move(attributes)));
    if (message.message_attributes) {
      Array users;
      for (const auto& [name, value] : *message.message_attributes) {
        users.emplace_back(Object{{"Name", name}, {"Value", aws::sqs::to_document(value)}});
      }
      shown.append("MessageAttribute", repeated(std::move(users)));
    }
    list.emplace_back(std::move(shown));
  }
  Object result;
  if (!list.empty()) result.append("Message", repeated(std::move(list)));
  return http::Response::json(
      200, json::serialize(
               Object{{"ReceiveMessageResponse", Object{{"ReceiveMessageResult", std::move(result)},
                                                        {"ResponseMetadata", Object{{"RequestId", request_id}}}}}}));
}

http::Response error_as_json(const aws::Error& error, const std::string& request_id) {
  return http::Response::json(
      error.http_status,
      json::serialize(Object{
          {"ErrorResponse", Object{{"Error", Object{{"Type", "Sender"},
                                                    {"Code", error.query_code.empty() ? error.type : error.query_code},
                                                    {"Message", error.message}}},
                                   {"RequestId", request_id}}}}));
}

aws::Error not_receive_message() {
  aws::Error error = aws::validation_error("This endpoint only accepts ReceiveMessage calls");
  error.type = "InvalidRequest";
  return error;
}

}  // namespace

MessagesPage::MessagesPage(Broker& broker) : broker_(broker) { router_.add(aws::sqs::service()); }

LiveQueuePtr MessagesPage::find(const std::string& region, const std::string& account, const std::string& name) const {
  if (!region.empty()) return broker_.find(account, region, name);
  if (auto queue = broker_.find(account, kDefaultRegion, name)) return queue;
  return broker_.find_anywhere(account, name);
}

http::Response MessagesPage::handle(http::Request request) const {
  const std::string request_id = broker_.new_message_id().text();
  const bool wants_json = request.headers.get("Accept").value_or("").contains("json");
  const bool is_call = request.method == "POST";
  aws::Route route;
  const auto refuse = [&](const aws::Error& error) {
    if (!is_call && wants_json) return error_as_json(error, request_id);
    return aws::encode_error(route.protocol, &aws::sqs::service(), error, request_id);
  };
  route.service = &aws::sqs::service();
  route.operation = &aws::sqs::ReceiveMessage::model();
  route.protocol = aws::Protocol::kQuery;
  if (!is_call && request.method != "GET" && request.method != "HEAD") return refuse(not_receive_message());

  const auto parameters = http::parse_form(request.query()).value_or(aws::Parameters{});
  std::optional<std::string> url;
  LiveQueuePtr queue;
  std::string_view rest = request.path();
  rest.remove_prefix(kPath.size());
  if (is_call) {
    // Clients append nothing to the path of their endpoint; the router knows the operation by its target or action.
    route = router_.route(request, nullptr);
    if (route.refusal || route.operation != &aws::sqs::ReceiveMessage::model()) return refuse(not_receive_message());
    auto input = aws::decode_request(route, request, "");
    if (!input) return refuse(input.error());
    const Value* given = input->document.find("QueueUrl");
    if (given != nullptr && given->if_string() != nullptr) url = *given->if_string();
  } else if (rest.size() > 1) {
    // REGION/ACCOUNT/NAME
    rest.remove_prefix(1);
    const auto first = rest.find('/');
    const auto second = first == rest.npos ? rest.npos : rest.find('/', first + 1);
    if (second == rest.npos) return refuse(aws::sqs::invalid_address("The path is not REGION/ACCOUNT/NAME."));
    queue = broker_.find(std::string(rest.substr(first + 1, second - first - 1)), std::string(rest.substr(0, first)),
                         std::string(rest.substr(second + 1)));
  } else {
    const auto it = std::ranges::find(parameters, "QueueUrl", &aws::Parameters::value_type::first);
    if (it != parameters.end()) url = it->second;
  }
  if (url) {
    const auto address = parse_queue_url(*url);
    if (!address) {
      return refuse(aws::sqs::invalid_address(fmt::format("The address {} is not valid for this endpoint.", *url)));
    }
    queue = find(address->region, address->account, address->name);
  }
  if (!queue) return refuse(aws::sqs::queue_does_not_exist("The specified queue does not exist."));

  static const Wanted kAll{.system = {"All"}, .user = {"All"}};
  const bool invisible = is_true(parameters, "ShowInvisible");
  const bool delayed = is_true(parameters, "ShowDelayed");
  std::vector<aws::sqs::Message> shown;
  broker_.counts(*queue);  // brings it up to date
  for (const auto& [message, state] : queue->messages.all()) {
    const bool is_delayed = state == Queue::State::kDelayed;
    const bool is_visible = state == Queue::State::kReady;
    if (is_delayed ? !delayed : !is_visible && !invisible) continue;
    shown.push_back(to_message(*queue, message, kAll));
    shown.back().receipt_handle = "SQS/BACKDOOR/ACCESS";
    (*shown.back().attributes)["IsVisible"] = is_visible ? "true" : "false";
    (*shown.back().attributes)["IsDelayed"] = is_delayed ? "true" : "false";
  }
  if (!is_call && wants_json) return as_json(shown, request_id);
  aws::sqs::ReceiveMessageResult result;
  if (!shown.empty()) result.messages = std::move(shown);
  return aws::encode_answer(route, encode_output(std::move(result)), request_id);
}

}  // namespace lambdad::sqs
