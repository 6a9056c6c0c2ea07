#include "aws/sigv4.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace lambdad::aws::sigv4 {
namespace {

constexpr std::string_view kKey = "AKIDEXAMPLE";
constexpr std::string_view kSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const WallTime kNow = *parse_iso8601("20150830T123600Z");

http::Request request_of(std::string method, std::string target, std::string body = {}) {
  http::Request request;
  request.method = std::move(method);
  request.target = std::move(target);
  request.body = std::move(body);
  request.headers.add("Host", "example.amazonaws.com");
  return request;
}

http::Request signed_request(http::Request request) {
  sign(request, {std::string(kKey), std::string(kSecret), {}}, "us-east-1", "service", kNow);
  return request;
}

struct Vector {
  const char* method;
  const char* target;
  const char* content_type;
  const char* body;
  const char* signature;
};

// AWS's published Signature Version 4 test suite (get-vanilla, get-vanilla-query-order-key-case, ...); the path with an
// encoded ARN was computed with botocore.
constexpr Vector kVectors[] = {
    {"GET", "/", nullptr, "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"GET", "/?Param2=value2&Param1=value1", nullptr, "",
     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    {"GET", "/?Param1=value2&Param1=Value1", nullptr, "",
     "eedbc4e291e521cf13422ffca22be7d2eb8146eecf653089df300a15b2382bd1"},
    {"GET", "/example1/example2/../..", nullptr, "",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"GET", "/./", nullptr, "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"GET", "//example//", nullptr, "", "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"},
    {"GET", "/?%E1%88%B4=bar", nullptr, "", "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
    {"POST", "/", nullptr, "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
    {"POST", "/", "application/x-www-form-urlencoded", "Param1=value1",
     "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
    {"GET",
     "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af/"
     "invocations?Qualifier=%24LATEST",
     nullptr, "", "3c36b5cab339276ee7e0c5e403a537d20a2dc19ce3b347b01b91b6a61df5bde8"},
};

TEST(SigV4, SignsAsThePublishedVectors) {
  for (const Vector& vector : kVectors) {
    http::Request request = request_of(vector.method, vector.target, vector.body);
    if (vector.content_type != nullptr) request.headers.add("Content-Type", vector.content_type);
    request = signed_request(std::move(request));
    const auto signature = parse(request);
    ASSERT_TRUE(signature && *signature) << vector.target;
    EXPECT_EQ((*signature)->signature, vector.signature) << vector.target;
    EXPECT_TRUE(verify(request, **signature, kSecret, kNow)) << vector.target;
  }
}

TEST(SigV4, JoinsAndTrimsRepeatedHeaders) {
  // get-header-key-duplicate and get-header-value-trim of the published suite.
  http::Request request = request_of("GET", "/");
  request.headers.add("My-Header1", "value2");
  request.headers.add("my-header1", " value2");
  request.headers.add("My-Header1", "value1 ");
  request.headers.add("X-Amz-Date", "20150830T123600Z");
  const std::string canonical = canonical_request(request, {"host", "my-header1", "x-amz-date"},
                                                  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const std::string text = string_to_sign("20150830T123600Z", "us-east-1", "service", canonical);
  EXPECT_EQ(sign_text(kSecret, "20150830", "us-east-1", "service", text),
            "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea");
}

TEST(SigV4, ReadsTheCredentialScope) {
  const http::Request request = signed_request(request_of("GET", "/"));
  const auto signature = parse(request);
  ASSERT_TRUE(signature && *signature);
  EXPECT_EQ((*signature)->access_key_id, kKey);
  EXPECT_EQ((*signature)->date, "20150830");
  EXPECT_EQ((*signature)->region, "us-east-1");
  EXPECT_EQ((*signature)->service, "service");
  EXPECT_EQ((*signature)->timestamp, "20150830T123600Z");
  EXPECT_FALSE((*signature)->presigned);
}

TEST(SigV4, RefusesWhatWasChangedAfterSigning) {
  const auto signed_post = [] {
    http::Request request = request_of("POST", "/path/x?a=1&b=2", "body");
    request.headers.add("Content-Type", "application/json");
    request.headers.add("X-Amz-Target", "Service.Operation");
    request.headers.add("X-Amz-Meta", "one");
    request.headers.add("X-Amz-Meta", "two");
    sign(request, {std::string(kKey), std::string(kSecret), "token"}, "us-east-1", "service", kNow);
    return request;
  };
  const auto outcome = [&](auto change) {
    http::Request request = signed_post();
    change(request);
    const auto signature = parse(request);
    if (!signature || !*signature) return std::string("unreadable");
    const auto verified = verify(request, **signature, kSecret, kNow);
    return verified ? std::string("accepted") : verified.error().type;
  };
  EXPECT_EQ(outcome([](http::Request&) {}), "accepted");
  const std::string no = "InvalidSignatureException";
  EXPECT_EQ(outcome([](http::Request& r) { r.body = "other"; }), no);
  EXPECT_EQ(outcome([](http::Request& r) { r.target = "/path/x?a=1&b=3"; }), no);
  EXPECT_EQ(outcome([](http::Request& r) { r.target = "/path/x?a=1"; }), no);
  EXPECT_EQ(outcome([](http::Request& r) { r.target = "/path/y?a=1&b=2"; }), no);
  EXPECT_EQ(outcome([](http::Request& r) { r.target += "&c=3"; }), no);
  EXPECT_EQ(outcome([](http::Request& r) { r.method = "PUT"; }), no);
  EXPECT_EQ(outcome([](http::Request& r) { r.headers.set("X-Amz-Date", "20150830T123601Z"); }), no);
  EXPECT_EQ(outcome([](http::Request& r) { r.headers.add("X-Amz-Invocation-Type", "Event"); }), no);
  // Every field that is signed, changed, doubled and taken away.
  std::vector<std::string> names;
  for (const http::Header& header : signed_post().headers) {
    if (header.name != "Authorization" && std::ranges::find(names, header.name) == names.end()) {
      names.emplace_back(header.name);
    }
  }
  EXPECT_EQ(names.size(), 6u);
  for (const std::string& name : names) {
    EXPECT_NE(outcome([&](http::Request& r) { r.headers.set(name, r.headers.get_or(name, "") + "x"); }), "accepted")
        << name;
    EXPECT_NE(outcome([&](http::Request& r) { r.headers.add(name, "x"); }), "accepted") << name;
    EXPECT_NE(outcome([&](http::Request& r) { r.headers.remove(name); }), "accepted") << name;
  }
  // Every part of the Authorization field.
  const std::string authorization = signed_post().headers.get_or("Authorization", "");
  const auto with = [&](std::string_view from, std::string_view to) {
    return outcome([&](http::Request& r) {
      std::string text = authorization;
      const std::size_t at = text.find(from);
      ASSERT_NE(at, std::string::npos) << from;
      r.headers.set("Authorization", text.replace(at, from.size(), to));
    });
  };
  EXPECT_EQ(with("20150830", "20150831"), no);
  EXPECT_EQ(with("us-east-1", "us-east-2"), no);
  EXPECT_EQ(with("/service/", "/other/"), no);
  EXPECT_EQ(with("content-type;", ""), no);
  EXPECT_EQ(with("host;", ""), no);
  EXPECT_EQ(with("x-amz-meta;", ""), no);
  EXPECT_EQ(with("x-amz-security-token;", ""), no);
  for (std::size_t i = authorization.size() - 64; i < authorization.size(); ++i) {
    EXPECT_EQ(outcome([&](http::Request& r) {
                std::string text = authorization;
                text[i] = text[i] == '0' ? '1' : '0';
                r.headers.set("Authorization", text);
              }),
              no);
  }
  EXPECT_EQ(outcome([](http::Request& r) { r.target += "&X-Amz-Signature=00"; }), no);
}

TEST(SigV4, S3KeepsItsPathAndMayLeaveTheBodyUnsigned) {
  // As the specification says for S3: the path is not normalised and encoded once.
  http::Request request = request_of("PUT", "/bucket/a/../b//c%20d", "body");
  request.headers.add("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD");
  sign(request, {std::string(kKey), std::string(kSecret), {}}, "us-east-1", "s3", kNow);
  const Signature signature = **parse(request);
  EXPECT_TRUE(verify(request, signature, kSecret, kNow));
  EXPECT_TRUE(canonical_request(request, signature.signed_headers, "UNSIGNED-PAYLOAD", PathRule::kAsItIs)
                  .starts_with("PUT\n/bucket/a/../b//c%20d\n"));
  http::Request normalised = request;
  normalised.target = "/bucket/b/c%20d";
  EXPECT_FALSE(verify(normalised, signature, kSecret, kNow));
  http::Request elsewhere = request_of("PUT", "/x", "body");
  elsewhere.headers.add("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD");
  elsewhere = signed_request(std::move(elsewhere));
  EXPECT_FALSE(verify(elsewhere, **parse(elsewhere), kSecret, kNow));
  http::Request streaming = request_of("PUT", "/x", "body");
  streaming.headers.add("X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
  sign(streaming, {std::string(kKey), std::string(kSecret), {}}, "us-east-1", "s3", kNow);
  const auto refused = verify(streaming, **parse(streaming), kSecret, kNow);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().type, "NotImplementedException");
}

TEST(SigV4, RefusesAWrongSecretAndAnotherTime) {
  const http::Request request = signed_request(request_of("GET", "/"));
  const Signature signature = **parse(request);
  EXPECT_FALSE(verify(request, signature, "wrong", kNow));
  EXPECT_TRUE(verify(request, signature, kSecret, kNow + 15min));
  EXPECT_FALSE(verify(request, signature, kSecret, kNow + 15min + 1s));
  EXPECT_TRUE(verify(request, signature, kSecret, kNow - 15min));
  EXPECT_FALSE(verify(request, signature, kSecret, kNow - 15min - 1s));
}

TEST(SigV4, ADeclaredPayloadHashMustBeTheBodys) {
  http::Request request = request_of("POST", "/", "body");
  request.headers.add("X-Amz-Content-Sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  request = signed_request(std::move(request));
  EXPECT_FALSE(verify(request, **parse(request), kSecret, kNow));
  request.body.clear();
  EXPECT_TRUE(verify(request, **parse(request), kSecret, kNow));
}

TEST(SigV4, PresignedRequestsExpire) {
  // Computed as the specification says; the signature covers every other parameter.
  http::Request request = request_of(
      "GET",
      "/f?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fservice%2Faws4_request"
      "&X-Amz-Date=20150830T123600Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host");
  const std::string text = string_to_sign(
      "20150830T123600Z", "us-east-1", "service",
      canonical_request(request, {"host"}, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
  request.target += "&X-Amz-Signature=" + sign_text(kSecret, "20150830", "us-east-1", "service", text);
  const auto signature = parse(request);
  ASSERT_TRUE(signature && *signature);
  EXPECT_TRUE((*signature)->presigned);
  EXPECT_EQ((*signature)->expires_seconds, 60);
  EXPECT_TRUE(verify(request, **signature, kSecret, kNow + 60s));
  EXPECT_FALSE(verify(request, **signature, kSecret, kNow + 61s));
}

TEST(SigV4, NoSignatureAndOtherSchemesAreNone) {
  http::Request request = request_of("GET", "/");
  ASSERT_TRUE(parse(request));
  EXPECT_FALSE(*parse(request));
  request.headers.add("Authorization", "Bearer abc");
  ASSERT_TRUE(parse(request));
  EXPECT_FALSE(*parse(request));
}

TEST(SigV4, MalformedSignaturesAreRefusedAsAwsDoes) {
  const auto type_of = [](std::string authorization, bool date = true) {
    http::Request request = request_of("GET", "/");
    if (date) request.headers.add("X-Amz-Date", "20150830T123600Z");
    request.headers.add("Authorization", authorization);
    const auto parsed = parse(request);
    return parsed ? std::string("accepted") : parsed.error().type;
  };
  const std::string good =
      "AWS4-HMAC-SHA256 Credential=AK/20150830/r-1/s/aws4_request, SignedHeaders=host, Signature=ab";
  EXPECT_EQ(type_of(good), "accepted");
  EXPECT_EQ(type_of("AWS4-HMAC-SHA256 Credential=AK/20150830/r-1/s/aws4_request,SignedHeaders=host,Signature=ab"),
            "accepted");
  EXPECT_EQ(type_of(good, false), "IncompleteSignatureException");
  EXPECT_EQ(type_of("AWS4-HMAC-SHA256"), "IncompleteSignatureException");
  EXPECT_EQ(type_of("AWS4-HMAC-SHA256 Credential=AK/20150830/r-1/s/aws4_request, SignedHeaders=host"),
            "IncompleteSignatureException");
  EXPECT_EQ(type_of("AWS4-HMAC-SHA256 Credential=AK/20150830, SignedHeaders=host, Signature=ab"),
            "IncompleteSignatureException");
  EXPECT_EQ(type_of("AWS4-HMAC-SHA256 Credential=/20150830/r/s/aws4_request, SignedHeaders=host, Signature=ab"),
            "IncompleteSignatureException");
  EXPECT_EQ(type_of("AWS4-HMAC-SHA512 Credential=x"), "IncompleteSignatureException");
  EXPECT_EQ(type_of("AWS4-HMAC-SHA256 Credential=AK/20150830/R 1/s/aws4_request, SignedHeaders=host, Signature=ab"),
            "InvalidSignatureException");
  EXPECT_EQ(type_of("AWS4-HMAC-SHA256 Credential=AK/x/r/s/aws4_request, SignedHeaders=host, Signature=ab"),
            "InvalidSignatureException");
  EXPECT_EQ(type_of("AWS4-HMAC-SHA256 Credential=AK/20150830/r/s/aws5_request, SignedHeaders=host, Signature=ab"),
            "InvalidSignatureException");
}

TEST(AccountOf, TwelveDigitsAndLocalStackKeysOnly) {
  EXPECT_EQ(account_of("123456789012"), "123456789012");
  EXPECT_EQ(account_of("test"), std::nullopt);
  EXPECT_EQ(account_of("1234567890123"), std::nullopt);
  EXPECT_EQ(account_of("AKIAQAAAAAAAAAAAAAAA"), std::nullopt);
  EXPECT_EQ(account_of("LKIAQAAAAAAAAAAAAAAA"), "000000000000");
  EXPECT_EQ(account_of("LSIAQAAAAAAAQAAAAAAA"), "000000000001");
  EXPECT_EQ(account_of("LSIAQAAAAAABAAAAAAAA"), "000000000002");
  EXPECT_EQ(account_of("LSIAAAAAAAAAAAAAAAAA"), std::nullopt);
  EXPECT_EQ(account_of("LSIA"), std::nullopt);
}

}  // namespace
}  // namespace lambdad::aws::sigv4
