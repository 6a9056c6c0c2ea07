#include "http/strict.h"

#include <gtest/gtest.h>

#include "http/refused_requests.h"

namespace lambdad::http {
namespace {

const RequestLimits kLimits{.header_bytes_max = 1024, .target_bytes_max = 256, .body_bytes_max = 64};

// Pushes `bytes` in pieces of `step` bytes; what is left over stays in `bytes`.
void feed(RequestParser& parser, std::string& bytes, std::size_t step) {
  std::size_t offered = 0;
  while (parser.state() == RequestParser::State::kHead || parser.state() == RequestParser::State::kBody) {
    if (offered == bytes.size()) return;
    offered = std::min(offered + step, bytes.size());
    const std::size_t used = parser.push(std::string_view(bytes).substr(0, offered));
    bytes.erase(0, used);
    offered -= used;
  }
}

std::string name_of(const testing::TestParamInfo<RefusedRequest>& info) {
  std::string name = info.param.name;
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name;
}

class Refused : public testing::TestWithParam<RefusedRequest> {};

TEST_P(Refused, HoweverTheBytesAreCut) {
  for (std::size_t step : {std::size_t{1}, std::size_t{2}, std::size_t{7}, std::size_t{100000}}) {
    RequestParser parser(kLimits);
    std::string bytes = GetParam().bytes;
    feed(parser, bytes, step);
    ASSERT_EQ(parser.state(), RequestParser::State::kRefused) << "in pieces of " << step;
    EXPECT_EQ(describe(parser.refusal()), describe(GetParam().why)) << "in pieces of " << step;
    EXPECT_EQ(parser.push("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(Requests, Refused, testing::ValuesIn(refused_requests()), name_of);

TEST(Refusal, EveryOneOfAParserIsReachedByAProbe) {
  const auto probes = refused_requests();
  for (int value = 0; value < static_cast<int>(Refusal::kSlowHead); ++value) {
    const auto why = static_cast<Refusal>(value);
    EXPECT_TRUE(std::ranges::any_of(probes, [why](const auto& probe) { return probe.why == why; })) << describe(why);
    EXPECT_GE(status_of(why), 400);
    EXPECT_LE(status_of(why), 501);
  }
}

Request parse_one(std::string bytes, std::size_t step = 1) {
  RequestParser parser(kLimits);
  feed(parser, bytes, step);
  EXPECT_EQ(parser.state(), RequestParser::State::kComplete)
      << (parser.state() == RequestParser::State::kRefused ? describe(parser.refusal()) : "more is needed");
  EXPECT_EQ(bytes, "");
  return parser.take();
}

TEST(RequestParser, LeavesTheTargetAsItWasSent) {
  const Request request =
      parse_one("PUT /b1/k/../x%20y//%2e%2E?a=%zz&b=\\ HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(request.method, "PUT");
  EXPECT_EQ(request.target, "/b1/k/../x%20y//%2e%2E?a=%zz&b=\\");
  EXPECT_EQ(request.path(), "/b1/k/../x%20y//%2e%2E");
  EXPECT_EQ(request.query(), "a=%zz&b=\\");
}

TEST(RequestParser, KeepsRepeatedFieldsApartAndTrimsValues) {
  const Request request =
      parse_one("GET / HTTP/1.1\r\nHost: [::1]:4566\r\nX-A: \t one \r\nx-a:two\r\nX-Empty:\r\n\r\n");
  ASSERT_EQ(request.headers.size(), 4u);
  EXPECT_EQ(request.headers.get("x-A"), "one");
  EXPECT_EQ((*std::next(request.headers.begin(), 2)).value, "two");
  EXPECT_EQ(request.headers.get("x-empty"), "");
}

TEST(RequestParser, TakesBytesAbove127InValues) {
  EXPECT_EQ(parse_one("GET / HTTP/1.1\r\nHost: h\r\nX: \xc3\xa4\r\n\r\n").headers.get("X"), "\xc3\xa4");
}

TEST(RequestParser, MakesTheAbsoluteFormOfItsOwnHostAnOriginForm) {
  EXPECT_EQ(parse_one("GET http://H:80/a//b?c HTTP/1.1\r\nHost: h:80\r\n\r\n").target, "/a//b?c");
  EXPECT_EQ(parse_one("GET http://h HTTP/1.1\r\nHost: h\r\n\r\n").target, "/");
  EXPECT_EQ(parse_one("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").target, "*");
}

TEST(RequestParser, TakesHttp10WithoutHost) {
  RequestParser parser(kLimits);
  std::string bytes = "GET / HTTP/1.0\r\n\r\n";
  feed(parser, bytes, 5);
  ASSERT_EQ(parser.state(), RequestParser::State::kComplete);
  EXPECT_TRUE(parser.is_http_1_0());
  EXPECT_FALSE(parser.keep_alive());
}

TEST(RequestParser, FollowsConnectionOptions) {
  const auto keeps = [](std::string head) {
    RequestParser parser(kLimits);
    std::string bytes = std::move(head) + "\r\n\r\n";
    feed(parser, bytes, 1000);
    EXPECT_EQ(parser.state(), RequestParser::State::kComplete);
    return parser.keep_alive();
  };
  EXPECT_TRUE(keeps("GET / HTTP/1.1\r\nHost: h"));
  EXPECT_FALSE(keeps("GET / HTTP/1.1\r\nHost: h\r\nConnection: foo, Close"));
  EXPECT_FALSE(keeps("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nConnection: keep-alive"));
  EXPECT_TRUE(keeps("GET / HTTP/1.0\r\nConnection: Keep-Alive"));
}

TEST(RequestParser, ReadsChunksAndKeepsTrailersApart) {
  for (std::size_t step : {1, 3, 1000}) {
    const Request request = parse_one(
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3;name;other=\"quo\\\"ted;\"\r\nabc\r\n000A\r\n0123456789\r\n0\r\n"
        "Lambda-Runtime-Function-Error-Type: Oops \r\nX: y\r\n\r\n",
        step);
    EXPECT_EQ(request.body, "abc0123456789");
    ASSERT_EQ(request.trailers.size(), 2u);
    EXPECT_EQ(request.trailers.get("lambda-runtime-function-error-type"), "Oops");
    EXPECT_FALSE(request.headers.contains("Lambda-Runtime-Function-Error-Type"));
    EXPECT_FALSE(request.headers.contains("X"));
  }
}

TEST(RequestParser, TakesBodiesUpToTheirLimit) {
  const std::string body(64, 'b');
  EXPECT_EQ(parse_one("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 64\r\n\r\n" + body).body, body);
  EXPECT_EQ(
      parse_one("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n" + body + "\r\n0\r\n\r\n").body,
      body);
}

TEST(RequestParser, AsksForTheLimitOfEachHead) {
  RequestLimits limits = kLimits;
  limits.body_limit = [](const Request& head) -> std::size_t {
    EXPECT_EQ(head.body, "");
    return head.method == "POST" && head.path() == "/large" && head.headers.contains("x-k") ? 100 : 1;
  };
  const auto state_of = [&limits](const char* target) {
    RequestParser parser(limits);
    std::string bytes = fmt::format("POST {} HTTP/1.1\r\nHost: h\r\nX-K: 1\r\nContent-Length: 90\r\n\r\n", target);
    feed(parser, bytes, 1000);
    return parser.state();
  };
  EXPECT_EQ(state_of("/large?x"), RequestParser::State::kBody);
  EXPECT_EQ(state_of("/small"), RequestParser::State::kRefused);
}

TEST(RequestParser, LeavesTheNextRequestWhereItIs) {
  std::string bytes =
      "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcPOST /2 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
      "chunked\r\n\r\n1\r\nx\r\n0\r\nT: v\r\n\r\nGET /3 HTTP/1.1\r\nHost: h\r\n\r\n";
  RequestParser parser(kLimits);
  std::vector<std::string> seen;
  for (int i = 0; i < 3; ++i) {
    feed(parser, bytes, 100000);
    ASSERT_EQ(parser.state(), RequestParser::State::kComplete);
    const Request request = parser.take();
    seen.push_back(request.target + "=" + request.body + std::to_string(request.trailers.size()));
    parser.next();
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"/1=abc0", "/2=x1", "/3=0"}));
  EXPECT_EQ(bytes, "");
}

TEST(RequestParser, BodiesCanBeReadInPlace) {
  RequestLimits limits;
  RequestParser parser(limits);
  std::string bytes = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\nabc";
  feed(parser, bytes, 1000);
  std::size_t have = 3;
  while (parser.state() == RequestParser::State::kBody) {
    const std::span<char> room = parser.body_room();
    if (room.empty()) {  // the last bytes are not worth it
      parser.push(std::string(300000 - have, 'z'));
      break;
    }
    ASSERT_LE(room.size(), 300000 - have);
    const std::size_t count = std::min<std::size_t>(room.size(), 7000);
    std::ranges::fill(room.first(count), 'y');
    parser.body_filled(count);
    have += count;
  }
  ASSERT_EQ(parser.state(), RequestParser::State::kComplete);
  const std::string body = parser.take().body;
  EXPECT_EQ(body, "abc" + std::string(have - 3, 'y') + std::string(300000 - have, 'z'));
}

TEST(RequestParser, AnAnnouncedLengthCostsNoMemory) {
  RequestLimits limits{.body_bytes_max = 70 * 1024 * 1024};
  RequestParser parser(limits);
  std::string bytes = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 70000000\r\n\r\n";
  feed(parser, bytes, 1000);
  EXPECT_LE(parser.body_room().size(), 1024u * 1024);
  parser.body_filled(0);
  EXPECT_LE(parser.take().body.capacity(), 2u * 1024 * 1024);
}

// --- responses ------------------------------------------------------------------------------------------------------

const ResponseLimits kResponseLimits{.header_bytes_max = 1024, .body_bytes_max = 64};

struct Read {
  ResponseParser::State state;
  Refusal refusal;
  std::string left;
  bool keep;
  Response response;
  Headers trailers;
};

Read read_response(std::string bytes, std::size_t step = 1, bool to_head = false, bool closed = true) {
  ResponseParser parser(kResponseLimits, to_head);
  std::size_t offered = 0;
  while (parser.state() == ResponseParser::State::kHead || parser.state() == ResponseParser::State::kBody) {
    if (offered == bytes.size()) break;
    offered = std::min(offered + step, bytes.size());
    const std::size_t used = parser.push(std::string_view(bytes).substr(0, offered));
    bytes.erase(0, used);
    offered -= used;
  }
  if (closed) parser.push_end();
  Read read{parser.state(), parser.refusal(), bytes, parser.keep_alive(), parser.take(), parser.trailers()};
  return read;
}

TEST(ResponseParser, ReadsEveryFraming) {
  for (std::size_t step : {1, 1000}) {
    Read read = read_response("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nA: b\r\n\r\nabc", step, false, false);
    EXPECT_EQ(read.state, ResponseParser::State::kComplete);
    EXPECT_EQ(read.response.body, "abc");
    EXPECT_TRUE(read.keep);
    read = read_response("HTTP/1.1 404 \r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: u\r\n\r\n", step,
                         false, false);
    EXPECT_EQ(read.state, ResponseParser::State::kComplete);
    EXPECT_EQ(read.response.status, 404);
    EXPECT_EQ(read.response.body, "abc");
    EXPECT_EQ(read.trailers.get("t"), "u");
    EXPECT_FALSE(read.response.headers.contains("T"));
    read = read_response("HTTP/1.1 200 OK\r\n\r\nabc", step);
    EXPECT_EQ(read.state, ResponseParser::State::kComplete);
    EXPECT_EQ(read.response.body, "abc");
    EXPECT_FALSE(read.keep);
    read = read_response(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", step,
        false, false);
    EXPECT_EQ(read.state, ResponseParser::State::kComplete);
    EXPECT_EQ(read.response.status, 204);
    EXPECT_EQ(read.response.headers.size(), 0u);
    read = read_response("HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n", step, /*to_head=*/true, false);
    EXPECT_EQ(read.state, ResponseParser::State::kComplete);
    EXPECT_EQ(read.response.body, "");
  }
}

TEST(ResponseParser, RefusesWhatIsNotBeyondDoubt) {
  const std::vector<std::pair<std::string, Refusal>> probes = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
       Refusal::kTransferEncodingAndLength},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Refusal::kTransferEncoding},
      {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Refusal::kTransferEncodingOn10},
      {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", Refusal::kRepeatedContentLength},
      {"HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n", Refusal::kBodyTooLarge},
      {"HTTP/1.1 200 OK\r\n\r\n" + std::string(65, 'x'), Refusal::kBodyTooLarge},
      {"HTTP/1.1 200 OK\r\nX: " + std::string(1100, 'x'), Refusal::kHeadTooLarge},
      {"HTTP/1.1 101 Switching Protocols\r\n\r\n", Refusal::kMalformed},
      {"HTTP/1.1 099 X\r\n\r\n", Refusal::kMalformed},
      {"HTTP/1.1 600 X\r\n\r\n", Refusal::kMalformed},
      {"HTTP/1.1 20 X\r\n\r\n", Refusal::kMalformed},
      {"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", Refusal::kFoldedHeader},
      {"HTTP/1.1 200 OK\nA: b\r\n\r\n", Refusal::kLineEnd},
      {"HTTP/2.0 200 OK\r\n\r\n", Refusal::kVersion},
      {"SSH-2.0-OpenSSH\r\n\r\n", Refusal::kVersion},
  };
  for (const auto& [bytes, why] : probes) {
    for (std::size_t step : {1, 100000}) {
      const Read read = read_response(bytes, step);
      EXPECT_EQ(read.state, ResponseParser::State::kRefused) << bytes;
      EXPECT_EQ(describe(read.refusal), describe(why)) << bytes;
    }
  }
}

TEST(ResponseParser, ACutOffBodyIsNotComplete) {
  EXPECT_EQ(read_response("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab").state, ResponseParser::State::kBody);
  EXPECT_EQ(read_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n").state,
            ResponseParser::State::kBody);
  EXPECT_EQ(read_response("HTTP/1.1 200 OK\r\nContent-Le").state, ResponseParser::State::kHead);
}

// --- values ---------------------------------------------------------------------------------------------------------

TEST(Headers, AreComparedWithoutCaseAndKeepTheirOrder) {
  Headers headers{{"A", "1"}, {"b", "2"}, {"a", "3"}};
  EXPECT_EQ(headers.get("B"), "2");
  EXPECT_EQ(headers.get_or("c", "none"), "none");
  headers.set("A", *headers.get("b"));
  ASSERT_EQ(headers.size(), 2u);
  EXPECT_EQ(headers.get("a"), "2");
  EXPECT_EQ((*headers.begin()).name, "b");
  headers.remove("B");
  EXPECT_FALSE(headers.contains("b"));
}

TEST(Headers, TakeWhatTheyAreGivenOfThemselves) {
  Headers headers{{"Name", "a value that is longer than what fits in place"}};
  for (int i = 0; i < 20; ++i) headers.add(*headers.get("name"), (*headers.begin()).name);
  EXPECT_EQ(headers.size(), 21u);
  EXPECT_EQ(headers.get("a value that is longer than what fits in place"), "Name");
  headers.set("name", *headers.get("NAME"));
  EXPECT_EQ(headers.get("Name"), "a value that is longer than what fits in place");
  EXPECT_EQ(headers.size(), 21u);
  const Headers copy = headers;
  headers = {};
  EXPECT_EQ(copy.get("name"), "a value that is longer than what fits in place");
  EXPECT_EQ(headers.size(), 0u);
}

TEST(ParseForm, DecodesNamesAndValues) {
  using Fields = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(parse_form("Action=SendMessage&Body=a+b%26c%3D%00&&empty&x=1=2"),
            (Fields{{"Action", "SendMessage"}, {"Body", std::string("a b&c=\0", 7)}, {"empty", ""}, {"x", "1=2"}}));
  EXPECT_EQ(parse_form(""), Fields{});
  EXPECT_EQ(parse_form("a=%4"), std::nullopt);
  EXPECT_EQ(parse_form("%zz=1"), std::nullopt);
}

}  // namespace
}  // namespace lambdad::http
