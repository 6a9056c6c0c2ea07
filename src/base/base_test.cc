#include <string>

#include <gtest/gtest.h>

#include "base/arn.h"
#include "base/encoding.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/time.h"

namespace lambdad {
namespace {

// --- time -----------------------------------------------------------------------------------------------------------

// 2026-01-31T23:59:59.123456789Z
constexpr WallTime kTime{std::chrono::seconds{1769903999} + Duration{123456789}};

TEST(TimeFormat, FollowsEachProtocol) {
  EXPECT_EQ(format_iso8601_ms(kTime), "2026-01-31T23:59:59.123Z");
  EXPECT_EQ(format_lambda_last_modified(kTime), "2026-01-31T23:59:59.123+0000");
  EXPECT_EQ(format_iso8601(kTime), "2026-01-31T23:59:59Z");
  EXPECT_EQ(format_basic_iso8601(kTime), "20260131T235959Z");
  EXPECT_EQ(format_date_slashes(kTime), "2026/01/31");
}

TEST(TimeFormat, RoundsDownBefore1970) {
  EXPECT_EQ(format_iso8601_ms(WallTime{Duration{-1}}), "1969-12-31T23:59:59.999Z");
}

TEST(TimeParse, ReadsBackWhatItFormats) {
  const WallTime to_ms = std::chrono::floor<std::chrono::milliseconds>(kTime);
  EXPECT_EQ(parse_iso8601(format_iso8601_ms(kTime)), to_ms);
  EXPECT_EQ(parse_iso8601(format_basic_iso8601(kTime)), std::chrono::floor<std::chrono::seconds>(kTime));
  EXPECT_EQ(parse_iso8601("2026-01-31T23:59:59.123456789999Z"), kTime);
  EXPECT_EQ(parse_iso8601("2024-02-29T00:00:00Z"), WallTime{std::chrono::seconds{1709164800}});
}

TEST(TimeParse, SubtractsTheZone) {
  const auto utc = parse_iso8601("2026-01-31T23:59:59Z");
  ASSERT_TRUE(utc.has_value());
  EXPECT_EQ(parse_iso8601("2026-02-01T01:29:59+01:30"), utc);
  EXPECT_EQ(parse_iso8601("2026-01-31T15:59:59-08:00"), utc);
}

TEST(TimeParse, RefusesEverythingElse) {
  for (const char* text :
       {"", "2026-01-31", "2026-01-31T23:59:59", "2026-01-31 23:59:59Z", "2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z",
        "2026-01-31T24:00:00Z", "2026-01-31T23:60:00Z", "2026-01-31T23:59:60Z", "2026-01-31T23:59:59.Z",
        "2026-01-31T23:59:59Zx", "2026-01-31T23:59:59+0100", "2026-01-31T23:59:59+24:00", "20260131T235959",
        "20260131T235959+01:00", "2026-0131T23:59:59Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"}) {
    EXPECT_EQ(parse_iso8601(text), std::nullopt) << text;
  }
}

TEST(DurationText, IsASumOfParts) {
  EXPECT_EQ(parse_duration("2m"), 2min);
  EXPECT_EQ(parse_duration("1h30m"), 90min);
  EXPECT_EQ(parse_duration("500ms"), 500ms);
  EXPECT_EQ(parse_duration("90s"), 90s);
  EXPECT_EQ(parse_duration("2d"), 48h);
  EXPECT_EQ(parse_duration("0s"), 0s);
  EXPECT_EQ(parse_duration("400d"), 9600h);
}

TEST(DurationText, RefusesWhatIsEmptyNegativeTooLongOrUnclear) {
  for (const char* text : {"", "5", "s", "-1s", "1.5s", "1 s", "1S", "1w", "400d1ms", "9223372036854775807h",
                           "99999999999999999999999s", "1s2"}) {
    EXPECT_EQ(parse_duration(text), std::nullopt) << text;
  }
}

TEST(DurationText, IsWrittenWithLargestUnitsFirst) {
  EXPECT_EQ(format_duration(2min), "2m");
  EXPECT_EQ(format_duration(90s), "1m30s");
  EXPECT_EQ(format_duration(250ms), "250ms");
  EXPECT_EQ(format_duration(0s), "0s");
  EXPECT_EQ(format_duration(36h + 1ns), "1d12h1ns");
  EXPECT_EQ(format_duration(-90s), "-1m30s");
  EXPECT_EQ(format_duration(Duration::min()), "-106751d23h47m16s854ms775us808ns");
}

// --- encoding -------------------------------------------------------------------------------------------------------

TEST(Base64, MatchesTheVectorsOfRfc4648) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(base64_encode(bytes), text);
    EXPECT_EQ(base64_decode(text), bytes);
  }
}

TEST(Base64, RoundTripsEveryByte) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
  EXPECT_EQ(base64_decode(base64_encode(bytes)), bytes);
}

TEST(Base64, RefusesBadLengthPaddingAndCharacters) {
  for (const char* text :
       {"Z", "Zg", "Zg=", "Zg===", "====", "=Zg=", "Zm=v", "Zm9v\n", "Zm 9", "Zm-_", "Z===", "Zm9vZg=x"}) {
    EXPECT_EQ(base64_decode(text), std::nullopt) << text;
  }
}

TEST(Hex, RoundTripsAndRefusesHalfBytes) {
  EXPECT_EQ(hex_encode(std::string_view("\x00\xff\x1a", 3)), "00ff1a");
  EXPECT_EQ(hex_decode("00FF1a"), std::string("\x00\xff\x1a", 3));
  EXPECT_EQ(hex_decode("0"), std::nullopt);
  EXPECT_EQ(hex_decode("0g"), std::nullopt);
}

TEST(PercentEncoding, KeepsOnlyUnreservedCharacters) {
  EXPECT_EQ(percent_encode("aZ09-._~ /+\xff"), "aZ09-._~%20%2F%2B%FF");
  EXPECT_EQ(percent_encode("a/b c", true), "a/b%20c");
  EXPECT_EQ(percent_decode("a%2fb+c%20"), "a/b+c ");
  EXPECT_EQ(percent_decode("a+b", true), "a b");
  EXPECT_EQ(percent_decode("%"), std::nullopt);
  EXPECT_EQ(percent_decode("%2"), std::nullopt);
  EXPECT_EQ(percent_decode("%2x"), std::nullopt);
}

TEST(XmlText, AllowsWhatXmlAllows) {
  EXPECT_TRUE(is_xml_char_data("a\t\n\r\u00e9\uD7FF\uE000\uFFFD\U00010000"));
  EXPECT_FALSE(is_xml_char_data("\x01"));
  EXPECT_FALSE(is_xml_char_data(std::string_view("\0", 1)));
  EXPECT_FALSE(is_xml_char_data("\uFFFE"));
  EXPECT_FALSE(is_xml_char_data("\xED\xA0\x80"));
  EXPECT_FALSE(is_xml_char_data("\xFF"));
}

TEST(XmlText, OneCharacterCountsWhereverItStands) {
  const std::string plain(24, 'a');
  EXPECT_TRUE(is_xml_char_data(plain));
  EXPECT_TRUE(is_valid_utf8(plain));
  for (std::size_t at = 0; at <= plain.size(); ++at) {
    const auto with = [&](std::string_view what) { return std::string(plain).insert(at, what); };
    EXPECT_TRUE(is_xml_char_data(with("\n"))) << at;
    EXPECT_TRUE(is_xml_char_data(with("\x7F"))) << at;
    EXPECT_TRUE(is_xml_char_data(with("\u00e9"))) << at;
    EXPECT_FALSE(is_xml_char_data(with("\x1F"))) << at;
    EXPECT_FALSE(is_xml_char_data(with("\x80"))) << at;
    EXPECT_TRUE(is_valid_utf8(with("\x1F"))) << at;
    EXPECT_FALSE(is_valid_utf8(with("\xFF"))) << at;
  }
}

TEST(XmlText, EscapesMarkupAndStaysWellFormed) {
  EXPECT_EQ(xml_escape("a&b<c>\"d\" 'e'\r\n\t\u00e9"),
            "a&amp;b&lt;c&gt;&quot;d&quot; &apos;e&apos;&#xD;&#xA;&#x9;\u00e9");
  EXPECT_EQ(xml_escape("\x01\xff"), "\uFFFD\uFFFD");
}

TEST(AsciiCase, IgnoresOnlyLettersOfAscii) {
  EXPECT_TRUE(equals_ignoring_case("Content-Type", "content-TYPE"));
  EXPECT_FALSE(equals_ignoring_case("a", "ab"));
  EXPECT_FALSE(equals_ignoring_case("[", "{"));
  EXPECT_EQ(to_lower("AbC-\u00c9"), "abc-\u00c9");
}

TEST(EscapeControl, LeavesNoWayToForgeLinesOrTerminalCodes) {
  EXPECT_EQ(escape_control("a\nb\x1b[0m\x7f"), "a\\x0ab\\x1b[0m\\x7f");
  EXPECT_EQ(escape_control("\u009b\xff\u00e9"), "\\xc2\\x9b\\xff\u00e9");
}

// --- hash -----------------------------------------------------------------------------------------------------------

TEST(Digest, MatchesPublishedVectors) {
  EXPECT_EQ(hex_encode(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex_encode(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex_encode(md5("abc")), "900150983cd24fb0d6963f7d28e17f72");
  EXPECT_EQ(crc32("123456789"), 0xCBF43926u);
  EXPECT_EQ(crc32(""), 0u);
  EXPECT_EQ(crc32("The quick brown fox jumps over the lazy dog"), 0x414FA339u);
}

TEST(Digest, HmacMatchesRfc4231AndForgetsTheLastKey) {
  EXPECT_EQ(hex_encode(hmac_sha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hex_encode(hmac_sha256(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
  EXPECT_EQ(hex_encode(hmac_sha256({}, {})), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST(Digest, InPiecesIsTheSameAsAtOnce) {
  Sha256 digest;
  digest.update("a");
  digest.update("");
  digest.update("bc");
  EXPECT_EQ(digest.finish(), sha256("abc"));
}

TEST(ConstantTime, ComparesWholeStrings) {
  EXPECT_TRUE(equal_constant_time("", ""));
  EXPECT_TRUE(equal_constant_time("same", "same"));
  EXPECT_FALSE(equal_constant_time("same", "sane"));
  EXPECT_FALSE(equal_constant_time("same", "same!"));
}

// --- arn ------------------------------------------------------------------------------------------------------------

TEST(Arn, KeepsColonsAndSlashesOfTheResource) {
  const auto arn = Arn::parse("arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/f:*");
  ASSERT_TRUE(arn.has_value());
  EXPECT_EQ(arn->service, "logs");
  EXPECT_EQ(arn->resource, "log-group:/aws/lambda/f:*");
  EXPECT_EQ(arn->str(), "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/f:*");
  EXPECT_TRUE(Arn::parse("arn:aws:s3:::bucket").has_value());
}

TEST(Arn, RefusesMissingParts) {
  for (const char* text :
       {"", "arn", "arn:aws:s3:::", "arn::s3:::b", "arn:aws::::b", "urn:aws:s3:::b", "arn:aws:s3::b"}) {
    EXPECT_EQ(Arn::parse(text), std::nullopt) << text;
  }
}

TEST(FunctionArn, HasAnOptionalQualifier) {
  const auto plain = FunctionArn::parse("arn:aws:lambda:eu-west-1:123456789012:function:my_fn-1");
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(plain->name, "my_fn-1");
  EXPECT_EQ(plain->qualifier, "");
  EXPECT_EQ(plain->str(), "arn:aws:lambda:eu-west-1:123456789012:function:my_fn-1");
  const auto latest = FunctionArn::parse("arn:aws:lambda:eu-west-1:123456789012:function:my_fn-1:$LATEST");
  ASSERT_TRUE(latest.has_value());
  EXPECT_EQ(latest->qualifier, "$LATEST");
  EXPECT_EQ(latest->unqualified(), plain->str());
  EXPECT_EQ(FunctionArn::parse(latest->str()), latest);
}

TEST(FunctionArn, RefusesOtherResources) {
  for (const char* text :
       {"arn:aws:sqs:eu-west-1:123456789012:function:f", "arn:aws:lambda:eu-west-1:123456789012:layer:f",
        "arn:aws:lambda:eu-west-1:123456789012:function:", "arn:aws:lambda:eu-west-1:123456789012:function:f:",
        "arn:aws:lambda:eu-west-1:123456789012:function:f:1:2", "arn:aws:lambda:eu-west-1:123456789012:function:a/b",
        "arn:aws:lambda::123456789012:function:f", "arn:aws:lambda:eu-west-1:123456789012:function"}) {
    EXPECT_EQ(FunctionArn::parse(text), std::nullopt) << text;
  }
}

// --- error ----------------------------------------------------------------------------------------------------------

Result<int> half_of(int n) {
  if (n % 2 != 0) return fail(Errc::kInvalid, "{} is odd", n);
  return n / 2;
}
Result<int> quarter_of(int n) {
  LD_TRY(const int half, half_of(n));
  LD_TRY(const int quarter, half_of(half));
  return quarter;
}

TEST(ErrorMacros, TryPassesValuesAndErrorsOn) {
  EXPECT_EQ(quarter_of(8), 2);
  const auto failed = quarter_of(6);
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().detail, "3 is odd");
}

TEST(Check, AbortsWithItsMessage) { EXPECT_DEATH(LD_CHECK(1 > 2, "counted {}", 7), "check failed: 1 > 2 counted 7"); }

}  // namespace
}  // namespace lambdad
