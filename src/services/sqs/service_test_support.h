/// The service behind a dispatcher, for the tests of its operations.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aws/gen/sqs.h"
#include "base/json.h"
#include "services/sqs/sqs_service.h"
#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::sqs {

using json::Array;
using json::Object;
using json::Value;

inline constexpr const char* kAccount = "111122223333";
inline constexpr const char* kRegion = "eu-west-1";

inline Value document(std::string_view text) {
  auto parsed = json::parse(text);
  LD_CHECK(parsed.has_value(), "{}", text);
  return *parsed;
}

/// A RedrivePolicy.
inline std::string redrive(const std::string& arn, int count) {
  return fmt::format(R"({{"deadLetterTargetArn":"{}","maxReceiveCount":{}}})", arn, count);
}

/// The service behind a dispatcher, on virtual time.
struct Service : testing::Test {
  SimSystem sim{test_seed()};
  Metrics metrics;
  std::unique_ptr<SqsService> service;
  std::unique_ptr<aws::Dispatcher> dispatcher;
  TaskGroup tasks{sim.loop()};

  void SetUp() override { start(); }
  void TearDown() override {
    sim.run(tasks.stop());
    if (service) sim.run(service->stop());
  }
  void start() { start_at(sim.directory()); }
  void start_at(const std::string& directory) {
    auto opened = SqsService::open(sim.system(), null_logger(), metrics,
                                   {.directory = directory, .durability = store::Durability::kEphemeral});
    ASSERT_TRUE(opened) << opened.error().detail;
    service = std::move(*opened);
    dispatcher = std::make_unique<aws::Dispatcher>(sim.system(), null_logger(), metrics, aws::Dispatcher::Options{});
    service->register_operations(*dispatcher);
  }
  void restart() {
    sim.run(service->stop());
    dispatcher.reset();
    service.reset();
    start();
  }

  aws::RequestContext context() {
    aws::RequestContext context;
    context.request_id = "00000000-0000-4000-8000-000000000000";
    context.account = kAccount;
    context.region = kRegion;
    context.base_url = "http://127.0.0.1:4566";
    return context;
  }
  Async<aws::Outcome<Value>> calling(std::string operation, Value input) {
    return dispatcher->call(context(), "sqs", std::move(operation), std::move(input));
  }
  aws::Outcome<Value> call(const std::string& operation, Value input) {
    return sim.run(calling(operation, std::move(input)));
  }
  Value ok(const std::string& operation, Value input) {
    auto outcome = call(operation, std::move(input));
    EXPECT_TRUE(outcome) << operation << ": " << outcome.error().type << ": " << outcome.error().message;
    return outcome ? *outcome : Value(Object{});
  }
  /// "Type: message" of the error.
  std::string error(const std::string& operation, Value input) {
    auto outcome = call(operation, std::move(input));
    if (outcome) return "no error: " + json::serialize(*outcome);
    return outcome.error().type + ": " + outcome.error().message;
  }

  std::string url(const std::string& name) { return fmt::format("http://127.0.0.1:4566/{}/{}", kAccount, name); }
  std::string arn(const std::string& name) { return fmt::format("arn:aws:sqs:{}:{}:{}", kRegion, kAccount, name); }
  std::string create(const std::string& name, Object attributes = {}) {
    Value result = ok("CreateQueue", Object{{"QueueName", name}, {"Attributes", attributes}});
    return result.find("QueueUrl") == nullptr ? "" : *result.find("QueueUrl")->if_string();
  }
  /// A FIFO queue with content-based deduplication.
  std::string create_fifo(const std::string& name, Object attributes = {}) {
    attributes.set("FifoQueue", "true");
    if (attributes.find("ContentBasedDeduplication") == nullptr) attributes.set("ContentBasedDeduplication", "true");
    return create(name, attributes);
  }
  Value send_to_group(const std::string& queue, const std::string& group, const std::string& body, Object more = {}) {
    more.set("MessageGroupId", group);
    return send(queue, body, std::move(more));
  }
  Value send(const std::string& queue, const std::string& body, Object more = {}) {
    Object input{{"QueueUrl", queue}, {"MessageBody", body}};
    for (auto& [key, value] : more) input.set(key, value);
    return ok("SendMessage", input);
  }
  static std::vector<Value> messages_of(const Value& result) {
    const Value* messages = result.find("Messages");
    return messages == nullptr ? std::vector<Value>{} : *messages->if_array();
  }
  std::vector<Value> receive(const std::string& queue, Object more = {}) {
    Object input{{"QueueUrl", queue},
                 {"MaxNumberOfMessages", 10},
                 {"AttributeNames", Array{"All"}},
                 {"MessageAttributeNames", Array{"All"}}};
    for (auto& [key, value] : more) input.set(key, value);
    return messages_of(ok("ReceiveMessage", input));
  }
  std::vector<std::string> bodies(const std::vector<Value>& messages) {
    std::vector<std::string> texts;
    for (const Value& message : messages) texts.push_back(*message.find("Body")->if_string());
    return texts;
  }
  static std::string text(const Value& value, std::string_view member) {
    const Value* found = value.find(member);
    return found == nullptr || found->if_string() == nullptr ? "(absent)" : *found->if_string();
  }
  static std::string attribute(const Value& message, std::string_view name) {
    const Value* all = message.find("Attributes");
    return all == nullptr ? "(absent)" : text(*all, name);
  }
  std::string queue_attribute(const std::string& queue, const std::string& name) {
    return attribute(ok("GetQueueAttributes", Object{{"QueueUrl", queue}, {"AttributeNames", Array{name}}}), name);
  }
  Value remove(const std::string& queue, const Value& message) {
    return ok("DeleteMessage", Object{{"QueueUrl", queue}, {"ReceiptHandle", text(message, "ReceiptHandle")}});
  }

  /// One HTTP request through the dispatcher.
  http::Response request(std::string target_header, std::string content_type, std::string body) {
    http::Request request;
    request.method = "POST";
    request.target = "/";
    request.headers.add("Host", "127.0.0.1:4566");
    request.headers.add("Content-Type", content_type);
    if (!target_header.empty()) request.headers.add("X-Amz-Target", target_header);
    request.headers.add("X-Amz-Date", "20260101T000000Z");
    request.headers.add("Authorization", fmt::format("AWS4-HMAC-SHA256 Credential={}/20260101/{}/sqs/aws4_request, "
                                                     "SignedHeaders=host, Signature=00",
                                                     kAccount, kRegion));
    request.body = std::move(body);
    return sim.run(dispatcher->handle(std::move(request)));
  }
};

}  // namespace lambdad::sqs
