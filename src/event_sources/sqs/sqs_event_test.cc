#include "event_sources/sqs/sqs_event.h"

#include <gtest/gtest.h>

namespace lambdad::event_sources {
namespace {

using namespace std::chrono_literals;

const Arn kQueue = *Arn::parse("arn:aws:sqs:eu-west-1:111122223333:orders");

json::Value message(std::string_view text) {
  auto parsed = json::parse(text);
  EXPECT_TRUE(parsed) << parsed.error().detail;
  return std::move(*parsed);
}

TEST(SqsEvent, IsTheRecordedOneByteForByte) {
  const auto full = message(R"({
    "MessageId": "5d1c", "ReceiptHandle": "AQEB", "MD5OfBody": "098f", "Body": "{\"orderId\":7}",
    "Attributes": {
      "ApproximateFirstReceiveTimestamp": "1764000000150", "ApproximateReceiveCount": "1",
      "AWSTraceHeader": "Root=1-6", "DeadLetterQueueSourceArn": "arn:aws:sqs:eu-west-1:111122223333:src",
      "MessageDeduplicationId": "d-1", "MessageGroupId": "cust-9", "SenderId": "AIDA",
      "SentTimestamp": "1764000000123", "SequenceNumber": "18850", "Later": "x"},
    "MD5OfMessageAttributes": "6ed5",
    "MessageAttributes": {
      "kind": {"StringValue": "rush", "DataType": "String"},
      "blob": {"BinaryValue": "AAEC", "DataType": "Binary"},
      "n": {"StringValue": "42", "DataType": "Number.int"}}})");
  std::vector<SqsRecord> records;
  records.push_back(*make_record(full, SqsRecordStyle::of(kQueue, 0s)));
  EXPECT_EQ(records[0].message_id, "5d1c");
  EXPECT_EQ(records[0].receipt_handle, "AQEB");
  const std::string event = make_event(records);
  EXPECT_EQ(
      event,
      R"({"Records":[{"messageId":"5d1c","receiptHandle":"AQEB","body":"{\"orderId\":7}",)"
      R"("attributes":{"ApproximateReceiveCount":"1","AWSTraceHeader":"Root=1-6","SentTimestamp":"1764000000123",)"
      R"("SequenceNumber":"18850","MessageGroupId":"cust-9","SenderId":"AIDA","MessageDeduplicationId":"d-1",)"
      R"("ApproximateFirstReceiveTimestamp":"1764000000150",)"
      R"("DeadLetterQueueSourceArn":"arn:aws:sqs:eu-west-1:111122223333:src","Later":"x"},)"
      R"("messageAttributes":{"kind":{"stringValue":"rush","stringListValues":[],"binaryListValues":[],)"
      R"("dataType":"String"},"blob":{"binaryValue":"AAEC","stringListValues":[],"binaryListValues":[],)"
      R"("dataType":"Binary"},"n":{"stringValue":"42","stringListValues":[],"binaryListValues":[],)"
      R"("dataType":"Number.int"}},"md5OfMessageAttributes":"6ed5","md5OfBody":"098f","eventSource":"aws:sqs",)"
      R"("eventSourceARN":"arn:aws:sqs:eu-west-1:111122223333:orders","awsRegion":"eu-west-1"}]})");
  EXPECT_EQ(event.size(), event_bytes(1, records[0].text.size()));
}

TEST(SqsEvent, WithoutAttributesTheDigestIsAbsentOrNullByTheWindow) {
  const auto plain = message(R"({"MessageId":"m","ReceiptHandle":"h","MD5OfBody":"d","Body":"a\nb"})");
  EXPECT_EQ(make_record(plain, SqsRecordStyle::of(kQueue, 0s))->text,
            R"({"messageId":"m","receiptHandle":"h","body":"a\nb","attributes":{},"messageAttributes":{},)"
            R"("md5OfBody":"d","eventSource":"aws:sqs","eventSourceARN":"arn:aws:sqs:eu-west-1:111122223333:orders",)"
            R"("awsRegion":"eu-west-1"})");
  EXPECT_EQ(make_record(plain, SqsRecordStyle::of(kQueue, 1s))->text,
            R"({"messageId":"m","receiptHandle":"h","body":"a\nb","attributes":{},"messageAttributes":{},)"
            R"("md5OfMessageAttributes":null,"md5OfBody":"d","eventSource":"aws:sqs",)"
            R"("eventSourceARN":"arn:aws:sqs:eu-west-1:111122223333:orders","awsRegion":"eu-west-1"})");
}

TEST(SqsEvent, SeveralRecordsArePartedByCommas) {
  const std::vector<SqsRecord> records = {{.message_id = "a", .receipt_handle = "a", .text = "{1}"},
                                          {.message_id = "b", .receipt_handle = "b", .text = "{22}"}};
  EXPECT_EQ(make_event(records), R"({"Records":[{1},{22}]})");
  EXPECT_EQ(make_event(records).size(), event_bytes(2, 7));
  EXPECT_EQ(make_event({}), R"({"Records":[]})");
  EXPECT_EQ(make_event({}).size(), event_bytes(0, 0));
}

TEST(SqsEvent, AMessageWithoutItsIdentityIsNone) {
  for (const char* text :
       {"{}", "null", R"({"MessageId":"m","ReceiptHandle":"h"})", R"({"MessageId":"m","Body":"b"})",
        R"({"ReceiptHandle":"h","Body":"b"})", R"({"MessageId":1,"ReceiptHandle":"h","Body":"b"})"}) {
    EXPECT_FALSE(make_record(message(text), SqsRecordStyle::of(kQueue, 0s))) << text;
  }
}

}  // namespace
}  // namespace lambdad::event_sources
