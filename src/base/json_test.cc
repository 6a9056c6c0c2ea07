#include "base/json.h"

#include <limits>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace lambdad::json {
namespace {

/// The document as it comes out again; "error" when it is refused. Checks on the way that validate() agrees.
std::string through(std::string_view text, const ParseLimits& limits = {}) {
  const auto parsed = parse(text, limits);
  const auto checked = validate(text, limits);
  EXPECT_EQ(parsed.has_value(), checked.has_value()) << text;
  if (!parsed && !checked) {
    EXPECT_EQ(parsed.error().detail, checked.error().detail) << text;
  }
  return parsed ? serialize(*parsed) : "error";
}

std::string text_of(const Result<Value>& parsed) {
  if (!parsed) return "error: " + parsed.error().detail;
  const std::string* text = parsed->if_string();
  return text != nullptr ? *text : "no string";
}

TEST(JsonParse, KeepsTheTextOfNumbers) {
  for (const char* number : {"0", "-0", "0.1", "1.0", "1e400", "-1E+5", "12345678901234567890123", "1e-7", "0e0"}) {
    EXPECT_EQ(through(number), number);
  }
}

TEST(JsonParse, RefusesWhatIsNoNumber) {
  for (const char* text : {"01", "-", "+1", ".5", "1.", "1.e3", "1e", "1e+", "-a", "0x10", "NaN", "Infinity", "1 2"}) {
    EXPECT_EQ(through(text), "error") << text;
  }
}

TEST(JsonParse, KeepsTheOrderOfKeys) {
  EXPECT_EQ(through(R"({"z":1,"a":2,"m":{"y":3,"b":4}})"), R"({"z":1,"a":2,"m":{"y":3,"b":4}})");
}

TEST(JsonParse, ARepeatedKeyKeepsItsFirstPlaceAndItsLastValue) {
  EXPECT_EQ(through(R"({"a":1,"b":2,"a":3,"c":4,"b":5,"a":6})"), R"({"a":6,"b":5,"c":4})");
}

TEST(JsonParse, ARepeatedKeyIsFoundAmongManyAsAmongFew) {
  std::string text = "{";
  for (int i = 0; i < 200; ++i) text += fmt::format(R"("k{}":{},)", i, i);
  text += R"("k7":"seven","k150":"late","k7":"last"})";
  const auto parsed = parse(text);
  ASSERT_TRUE(parsed.has_value());
  const Object& object = *parsed->if_object();
  ASSERT_EQ(object.size(), 200u);
  int position = 0;
  for (const auto& [key, value] : object) {
    EXPECT_EQ(key, fmt::format("k{}", position));
    if (position == 7) {
      EXPECT_EQ(value, Value("last"));
    } else if (position == 150) {
      EXPECT_EQ(value, Value("late"));
    } else {
      EXPECT_EQ(value, Value(position));
    }
    ++position;
  }
}

TEST(JsonParse, WhiteSpaceIsAllowedBetweenTokensOnly) {
  EXPECT_EQ(through(" \t\r\n{ \"a\" : [ 1 , true ] , \"b\" : null }\n"), R"({"a":[1,true],"b":null})");
  EXPECT_EQ(through("tr ue"), "error");
  EXPECT_EQ(through("[1]\f"), "error");
  EXPECT_EQ(through("\xEF\xBB\xBF[]"), "error");
}

TEST(JsonParse, RefusesBrokenStructure) {
  for (const char* text : {"",      " ",     "[",       "]",        "{",          "}",     "[1,]",
                           "[,1]",  "[1 2]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{\"a\":1 \"b\":2}",
                           "{1:2}", "[}",    "nul",     "truex",    "[] []",      "\"",    "'a'",
                           "{\"a\""}) {
    EXPECT_EQ(through(text), "error") << text;
  }
  EXPECT_EQ(through(std::string_view("\0", 1)), "error");
  EXPECT_EQ(through(std::string_view("1\0", 2)), "error");
}

TEST(JsonParse, TheErrorNamesTheByte) {
  const auto parsed = parse(R"({"a": 01})");
  ASSERT_FALSE(parsed.has_value());
  EXPECT_EQ(parsed.error().code, Errc::kInvalid);
  EXPECT_EQ(parsed.error().detail, "JSON: number with a leading zero at byte 7");
}

TEST(JsonParse, ResolvesEscapes) {
  EXPECT_EQ(text_of(parse(R"("\"\\\/\b\f\n\r\tA\u00e9\u20AC\ud83d\ude00")")), "\"\\/\b\f\n\r\tA\u00e9\u20AC\U0001F600");
  const auto zero = parse(R"("a\u0000b")");
  EXPECT_EQ(text_of(zero), std::string("a\0b", 3));
  for (const char* text : {R"("\x")", R"("\u12")", R"("\u12G4")", R"("\)", R"("\u)", R"("\ud83d\u12)"}) {
    EXPECT_EQ(through(text), "error") << text;
  }
}

TEST(JsonParse, ALoneSurrogateBecomesTheReplacementCharacter) {
  EXPECT_EQ(text_of(parse(R"("\ud800")")), "\uFFFD");
  EXPECT_EQ(text_of(parse(R"("\udc00x")")), "\uFFFDx");
  EXPECT_EQ(text_of(parse(R"("\ud800\u0041")")), "\uFFFDA");
  EXPECT_EQ(text_of(parse(R"("\ud800\ud83d\ude00")")), "\uFFFD\U0001F600");
  EXPECT_EQ(text_of(parse(R"("\ud800\n")")), "\uFFFD\n");
}

TEST(JsonParse, RefusesControlCharactersAndInvalidUtf8InStrings) {
  EXPECT_EQ(through("\"a\nb\""), "error");
  EXPECT_EQ(through("\"a\x01\""), "error");
  EXPECT_EQ(through("\"\x7f\""), "\"\x7f\"");
  for (const char* bytes : {"\x80", "\xC0\xAF", "\xC3", "\xE0\x80\x80", "\xED\xA0\x80", "\xF0\x80\x80\x80",
                            "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xE2\x82"}) {
    EXPECT_EQ(through(fmt::format("\"{}\"", bytes)), "error");
  }
  EXPECT_EQ(through("\"\u00e9\u20ac\U0001F600\""), "\"\u00e9\u20ac\U0001F600\"");
}

TEST(JsonParse, FindsTheEndOfPlainTextAtEveryPlace) {
  for (std::size_t before = 0; before < 40; ++before) {
    const std::string plain(before, 'p');
    for (const std::string& rest :
         {std::string("\\n!"), std::string("\\\"!"), std::string("\u00e9!"), std::string("!")}) {
      EXPECT_EQ(through("\"" + plain + rest + "\""), "\"" + plain + rest + "\"");
    }
    EXPECT_EQ(through("\"" + plain + "\x1f" + plain + "\""), "error");
    EXPECT_EQ(through("\"" + plain), "error");
  }
}

TEST(JsonParse, NestingIsLimited) {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(through(nested(128)), nested(128));
  EXPECT_EQ(through(nested(129)), "error");
  EXPECT_EQ(through(R"({"a":{"b":[]}})", {.depth_max = 3}), R"({"a":{"b":[]}})");
  EXPECT_EQ(through(R"({"a":{"b":[]}})", {.depth_max = 2}), "error");
  EXPECT_EQ(through(std::string(1'000'000, '[')), "error");
}

TEST(JsonSerialize, EscapesOnlyWhatMustBe) {
  EXPECT_EQ(serialize(Value(std::string("\"\\/\b\f\n\r\t\x01\x1f\x7f\0", 12) + "\u00e9")),
            "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\\u0000\u00e9\"");
}

TEST(JsonSerialize, IsADocumentEvenForBytesThatAreNoText) {
  EXPECT_EQ(serialize(Value("a\xFFz\xE2\x82")), "\"a\uFFFDz\uFFFD\uFFFD\"");
}

TEST(JsonSerialize, PrettyIndentsByTwo) {
  EXPECT_EQ(serialize_pretty(Object{{"a", Array{1, Object{}}}, {"b", Array{}}, {"c", Object{{"d", nullptr}}}}),
            "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": [],\n  \"c\": {\n    \"d\": null\n  }\n}");
}

TEST(JsonValue, ADoubleIsWrittenAsItsShortestText) {
  EXPECT_EQ(serialize(Value(0.1)), "0.1");
  EXPECT_EQ(serialize(Value(1.0)), "1");
  EXPECT_EQ(serialize(Value(1e300)), "1e+300");
  EXPECT_EQ(serialize(Value(std::numeric_limits<double>::infinity())), "null");
  EXPECT_EQ(serialize(Value(std::numeric_limits<double>::quiet_NaN())), "null");
}

TEST(JsonValue, AsInt64CountsWholeNumbersHoweverTheyAreWritten) {
  const auto integer = [](const char* text) { return Value(Number{text}).as_int64(); };
  EXPECT_EQ(integer("3"), 3);
  EXPECT_EQ(integer("3.0"), 3);
  EXPECT_EQ(integer("3e0"), 3);
  EXPECT_EQ(integer("30e-1"), 3);
  EXPECT_EQ(integer("0.03e2"), 3);
  EXPECT_EQ(integer("-0.0"), 0);
  EXPECT_EQ(integer("0e999999999999999999999"), 0);
  EXPECT_EQ(integer("9223372036854775807"), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(integer("-9223372036854775808"), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(integer("9223372036854775807.0"), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(integer("9223372036854775808"), std::nullopt);
  EXPECT_EQ(integer("9223372036854775808.0"), std::nullopt);
  EXPECT_EQ(integer("3.5"), std::nullopt);
  EXPECT_EQ(integer("35e-1"), std::nullopt);
  EXPECT_EQ(integer("1e19"), std::nullopt);
  EXPECT_EQ(integer("1e999999999999999999999"), std::nullopt);
  EXPECT_EQ(integer("1e-999999999999999999999"), std::nullopt);
  EXPECT_EQ(Value("3").as_int64(), std::nullopt);
}

TEST(JsonValue, AsDoubleIsTheNearestOrNothing) {
  const auto real = [](const char* text) { return Value(Number{text}).as_double(); };
  EXPECT_EQ(real("0.1"), 0.1);
  EXPECT_EQ(real("1e400"), std::nullopt);
  EXPECT_EQ(real("-1e-400"), 0.0);
  EXPECT_EQ(real("12345678901234567890123"), 12345678901234567890123.0);
  EXPECT_EQ(Value(true).as_double(), std::nullopt);
}

TEST(JsonValue, IntegersAndBooleansDoNotMix) {
  EXPECT_TRUE(Value(true).is_bool());
  EXPECT_TRUE(Value(1).is_number());
  EXPECT_TRUE(Value("x").is_string());
  EXPECT_TRUE(Value(nullptr).is_null());
  EXPECT_EQ(serialize(Value(std::numeric_limits<std::uint64_t>::max())), "18446744073709551615");
}

TEST(JsonObject, SetReplacesInPlaceAndEraseKeepsTheOrder) {
  Object object{{"a", 1}, {"b", 2}, {"c", 3}};
  object.set("a", "first");
  object["d"] = 4;
  EXPECT_TRUE(object.erase("b"));
  EXPECT_FALSE(object.erase("b"));
  EXPECT_EQ(serialize(object), R"({"a":"first","c":3,"d":4})");
  EXPECT_EQ(object.find("nothing"), nullptr);
}

TEST(JsonObject, EqualityIgnoresTheOrderOfMembers) {
  EXPECT_EQ((Object{{"a", 1}, {"b", 2}}), (Object{{"b", 2}, {"a", 1}}));
  EXPECT_NE((Object{{"a", 1}, {"b", 2}}), (Object{{"a", 2}, {"b", 1}}));
  EXPECT_NE((Object{{"a", 1}}), (Object{{"a", 1}, {"b", 2}}));
  EXPECT_NE(Value(Number{"1.0"}), Value(1));
}

}  // namespace
}  // namespace lambdad::json
