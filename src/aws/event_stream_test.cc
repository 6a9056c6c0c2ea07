#include "aws/event_stream.h"

#include <gtest/gtest.h>

#include "aws/gen/lambda.h"
#include "aws/gen/logs.h"
#include "base/encoding.h"
#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::aws {
namespace {

using event_stream::Decoder;
using event_stream::Message;

// The published vectors of the SDKs' event stream tests: no headers and a JSON payload.
constexpr std::string_view kPayloadNoHeaders = "0000001d00000000fd528c5a7b27666f6f273a27626172277dc3653936";

TEST(EventStream, WritesThePublishedVector) {
  std::string frame;
  event_stream::append({.payload = "{'foo':'bar'}"}, frame);
  EXPECT_EQ(hex_encode(frame), kPayloadNoHeaders);
}

TEST(EventStream, WritesHeadersAsStrings) {
  std::string frame;
  event_stream::append({.headers = {{":event-type", "A"}}, .payload = "p"}, frame);
  // 12 prelude, 1 + 11 name, 1 type, 2 length, 1 value, 1 payload, 4 checksum
  ASSERT_EQ(frame.size(), 33u);
  EXPECT_EQ(frame.substr(12, 16), std::string("\x0b:event-type\x07\0\x01"
                                              "A",
                                              16));
  EXPECT_EQ(frame[28], 'p');
}

TEST(EventStream, ReadsWhatWasWrittenHoweverItIsCut) {
  const std::vector<Message> messages = {{.headers = {{"a", ""}, {"b", std::string(300, 'x')}}, .payload = ""},
                                         {.payload = std::string(100000, 'y')},
                                         {.headers = {{":message-type", "event"}}, .payload = std::string("\0\1", 2)}};
  std::string bytes;
  for (const Message& message : messages) event_stream::append(message, bytes);
  for (const std::size_t step : {std::size_t{1}, std::size_t{13}, bytes.size()}) {
    Decoder decoder;
    std::vector<Message> read;
    for (std::size_t at = 0; at < bytes.size(); at += step) {
      decoder.push(std::string_view(bytes).substr(at, step));
      for (;;) {
        auto message = decoder.next();
        ASSERT_TRUE(message.has_value()) << message.error().detail;
        if (!*message) break;
        read.push_back(std::move(**message));
      }
    }
    EXPECT_EQ(read, messages) << step;
    EXPECT_TRUE(decoder.at_boundary());
  }
}

TEST(EventStream, EveryChangedByteIsNoticed) {
  std::string frame;
  event_stream::append({.headers = {{"name", "value"}}, .payload = "payload"}, frame);
  for (std::size_t at = 0; at < frame.size(); ++at) {
    std::string changed = frame;
    changed[at] = static_cast<char>(changed[at] ^ 0x10);
    Decoder decoder;
    decoder.push(changed);
    EXPECT_FALSE(decoder.next().has_value()) << at;
  }
}

TEST(EventStream, RefusesImpossibleLengthsWithoutWaitingForThem) {
  Decoder decoder;
  decoder.push(*hex_decode("ffffffff00ffffffff41d9ed"));
  EXPECT_FALSE(decoder.next().has_value());
}

TEST(EventStream, ReadsOverHeadersOfOtherTypes) {
  // flag: true-less false, num: 42 as an integer, s: "hi", u: a UUID, b: bytes; made with Python's zlib and struct.
  Decoder decoder;
  decoder.push(
      *hex_decode("000000420000003116cfd47a04666c616700036e756d040000002a01730700026869017509000000000000000000000000"
                  "00000000016206000361626370"
                  "8a5b5f88"));
  auto message = decoder.next();
  ASSERT_TRUE(message && *message);
  EXPECT_EQ(**message, (Message{.headers = {{"s", "hi"}}, .payload = "p"}));
}

TEST(EventStream, AnEventIsFramedAsItsModelSays) {
  const OperationModel& operation = lambda::InvokeWithResponseStream::model();
  Decoder decoder;
  decoder.push(
      encode_event(operation, make_event("PayloadChunk", lambda::InvokeResponseStreamUpdate{.payload = "raw \x01"})));
  decoder.push(encode_event(operation, make_event("InvokeComplete", lambda::InvokeWithResponseStreamCompleteEvent{
                                                                        .error_code = "Function.Unknown"})));
  auto chunk = decoder.next();
  ASSERT_TRUE(chunk && *chunk);
  EXPECT_EQ((*chunk)->headers, (std::vector<event_stream::Header>{{":message-type", "event"},
                                                                  {":event-type", "PayloadChunk"},
                                                                  {":content-type", "application/octet-stream"}}));
  EXPECT_EQ((*chunk)->payload, "raw \x01");
  auto complete = decoder.next();
  ASSERT_TRUE(complete && *complete);
  EXPECT_EQ((*complete)->header(":content-type"), "application/json");
  EXPECT_EQ((*complete)->payload, R"({"ErrorCode":"Function.Unknown"})");
}

TEST(EventStream, AnExceptionIsOneOfItsEvents) {
  Decoder decoder;
  decoder.push(encode_event(logs::StartLiveTail::model(),
                            make_event("SessionTimeoutException", logs::SessionTimeoutException{.message = "over"})));
  auto message = decoder.next();
  ASSERT_TRUE(message && *message);
  EXPECT_EQ((*message)->headers, (std::vector<event_stream::Header>{{":message-type", "exception"},
                                                                    {":exception-type", "SessionTimeoutException"},
                                                                    {":content-type", "application/json"}}));
  EXPECT_EQ((*message)->payload, R"({"message":"over"})");
}

TEST(EventStream, InJsonProtocolsTheAnswerItselfIsTheFirstEvent) {
  for (const Protocol protocol : {Protocol::kJson11, Protocol::kRestJson}) {
    SimSystem sim(test_seed());
    http::Response response = http::Response::json(200, "{}");
    stream_events(
        logs::StartLiveTail::model(), protocol, []() -> Async<Result<std::optional<Event>>> { co_return std::nullopt; },
        response);
    Decoder decoder;
    auto piece = sim.run(response.stream());
    ASSERT_TRUE(piece);
    if (protocol == Protocol::kRestJson) {
      EXPECT_FALSE(*piece);
      continue;
    }
    ASSERT_TRUE(*piece);
    decoder.push(**piece);
    auto message = decoder.next();
    ASSERT_TRUE(message && *message);
    EXPECT_EQ((*message)->header(":event-type"), "initial-response");
    EXPECT_EQ((*message)->payload, "{}");
    piece = sim.run(response.stream());
    EXPECT_TRUE(piece && !*piece);
  }
}

}  // namespace
}  // namespace lambdad::aws
