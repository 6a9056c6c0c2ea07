#include "pattern/pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pattern/matcher.h"

namespace lambdad::pattern {
namespace {

json::Value parsed(std::string_view text) {
  auto value = json::parse(text);
  EXPECT_TRUE(value.has_value()) << text;
  return value ? *value : json::Value();
}

bool matches(std::string_view pattern, std::string_view event, Dialect dialect = Dialect::kEventBridge) {
  const auto compiled = Pattern::compile(pattern, dialect);
  EXPECT_TRUE(compiled.has_value()) << pattern << ": " << (compiled ? "" : compiled.error().detail);
  return compiled && compiled->matches(parsed(event));
}

std::string refusal(std::string_view pattern, Dialect dialect = Dialect::kEventBridge) {
  const auto compiled = Pattern::compile(pattern, dialect);
  return compiled ? "accepted" : compiled.error().detail;
}

TEST(Pattern, ExactValuesHaveTypes) {
  EXPECT_TRUE(matches(R"({"a": ["x"]})", R"({"a": "x"})"));
  EXPECT_FALSE(matches(R"({"a": ["x"]})", R"({"a": "X"})"));
  EXPECT_FALSE(matches(R"({"a": ["1"]})", R"({"a": 1})"));
  EXPECT_FALSE(matches(R"({"a": [1]})", R"({"a": "1"})"));
  EXPECT_TRUE(matches(R"({"a": [null]})", R"({"a": null})"));
  EXPECT_FALSE(matches(R"({"a": [null]})", R"({})"));
  EXPECT_FALSE(matches(R"({"a": ["null"]})", R"({"a": null})"));
  EXPECT_TRUE(matches(R"({"a": [true]})", R"({"a": true})"));
  EXPECT_FALSE(matches(R"({"a": [true]})", R"({"a": false})"));
  EXPECT_TRUE(matches(R"({"a": [""]})", R"({"a": ""})"));
  EXPECT_TRUE(matches(R"({"a": [{"exact": "x"}]})", R"({"a": "x"})"));
}

TEST(Pattern, NumbersCompareByValue) {
  for (const char* same : {"300", "300.0", "3.0e2", "3E+2", "30000e-2"}) {
    EXPECT_TRUE(matches(R"({"a": [300]})", fmt::format(R"({{"a": {}}})", same))) << same;
    EXPECT_TRUE(matches(fmt::format(R"({{"a": [{}]}})", same), R"({"a": 300})")) << same;
  }
  // Beyond what double can tell apart.
  EXPECT_FALSE(matches(R"({"a": [12345678901234567890]})", R"({"a": 12345678901234567891})"));
  EXPECT_EQ(canonical_number("-0.0"), "0");
  EXPECT_EQ(canonical_number("1e500"), canonical_number("1" + std::string(500, '0')));
}

TEST(Pattern, Strings) {
  EXPECT_TRUE(matches(R"({"a": [{"prefix": "eu-"}]})", R"({"a": "eu-west-1"})"));
  EXPECT_FALSE(matches(R"({"a": [{"prefix": "eu-"}]})", R"({"a": "EU-west-1"})"));
  EXPECT_TRUE(matches(R"({"a": [{"prefix": {"equals-ignore-case": "Eu-"}}]})", R"({"a": "eU-west-1"})"));
  EXPECT_TRUE(matches(R"({"a": [{"suffix": ".png"}]})", R"({"a": "x.png"})"));
  EXPECT_TRUE(matches(R"({"a": [{"suffix": {"equals-ignore-case": ".PNG"}}]})", R"({"a": "x.png"})"));
  EXPECT_FALSE(matches(R"({"a": [{"suffix": "1"}]})", R"({"a": 1})"));
  EXPECT_TRUE(matches(R"({"a": [{"prefix": ""}]})", R"({"a": ""})"));
  EXPECT_TRUE(matches(R"({"a": [{"equals-ignore-case": "ÄÖÜ ΩЖ"}]})", R"({"a": "äöü ωж"})"));
  EXPECT_FALSE(matches(R"({"a": [{"equals-ignore-case": "a×"}]})", R"({"a": "a÷"})"));
}

TEST(Pattern, Wildcards) {
  const auto wildcard = [](std::string_view operand, std::string_view text) {
    return matches(fmt::format(R"({{"a": [{{"wildcard": "{}"}}]}})", operand), fmt::format(R"({{"a": "{}"}})", text));
  };
  EXPECT_TRUE(wildcard("dir/*.png", "dir/a/b.png"));
  EXPECT_FALSE(wildcard("dir/*.png", "dir/a.jpg"));
  EXPECT_TRUE(wildcard("*a*b*", "xxaxxbxx"));
  EXPECT_FALSE(wildcard("*a*b*", "xxbxxaxx"));
  EXPECT_FALSE(wildcard("ab*ba", "aba"));  // the ends may not overlap
  EXPECT_TRUE(wildcard("*", ""));
  EXPECT_TRUE(wildcard("a\\\\*b", "a*b"));
  EXPECT_FALSE(wildcard("a\\\\*b", "axb"));
}

TEST(Pattern, Ranges) {
  const auto in = [](std::string_view terms, std::string_view value) {
    return matches(fmt::format(R"({{"a": [{{"numeric": [{}]}}]}})", terms), fmt::format(R"({{"a": {}}})", value));
  };
  EXPECT_TRUE(in(R"(">", 0, "<=", 5)", "5"));
  EXPECT_FALSE(in(R"(">", 0, "<=", 5)", "0"));
  EXPECT_FALSE(in(R"(">", 0, "<", 5)", "5"));
  EXPECT_TRUE(in(R"(">=", -1.5)", "-1.5"));
  EXPECT_TRUE(in(R"("=", 5)", "5.0"));
  EXPECT_FALSE(in(R"("<", 5)", "\"1\""));
}

TEST(Pattern, AnythingButNeedsAValue) {
  EXPECT_TRUE(matches(R"({"a": [{"anything-but": "x"}]})", R"({"a": "y"})"));
  EXPECT_FALSE(matches(R"({"a": [{"anything-but": "x"}]})", R"({"a": "x"})"));
  EXPECT_FALSE(matches(R"({"a": [{"anything-but": "x"}]})", R"({})"));
  EXPECT_TRUE(matches(R"({"a": [{"anything-but": "x"}]})", R"({"a": null})"));
  EXPECT_TRUE(matches(R"({"a": [{"anything-but": "1"}]})", R"({"a": 1})"));
  EXPECT_FALSE(matches(R"({"a": [{"anything-but": ["z", "x"]}]})", R"({"a": "x"})"));
  EXPECT_FALSE(matches(R"({"a": [{"anything-but": [1, 2]}]})", R"({"a": 2.0})"));
  EXPECT_FALSE(matches(R"({"a": [{"anything-but": {"prefix": ["x", "y"]}}]})", R"({"a": "yes"})"));
  EXPECT_TRUE(matches(R"({"a": [{"anything-but": {"suffix": "s"}}]})", R"({"a": 5})"));
  EXPECT_FALSE(matches(R"({"a": [{"anything-but": {"equals-ignore-case": "YES"}}]})", R"({"a": "yes"})"));
  EXPECT_FALSE(matches(R"({"a": [{"anything-but": {"wildcard": "*/tmp/*"}}]})", R"({"a": "/tmp/x"})"));
  // One element that is wanted is enough.
  EXPECT_TRUE(matches(R"({"a": [{"anything-but": "x"}]})", R"({"a": ["x", "y"]})"));
}

TEST(Pattern, ExistsIsOfLeaves) {
  EXPECT_TRUE(matches(R"({"a": [{"exists": true}]})", R"({"a": null})"));
  EXPECT_FALSE(matches(R"({"a": [{"exists": true}]})", R"({"a": {"b": 1}})"));
  EXPECT_TRUE(matches(R"({"a": [{"exists": false}]})", R"({"a": {"b": 1}})"));
  EXPECT_TRUE(matches(R"({"a": [{"exists": false}]})", R"({"a": []})"));
  EXPECT_FALSE(matches(R"({"a": [{"exists": false}]})", R"({"a": 1})"));
  EXPECT_TRUE(matches(R"({"a": [{"exists": false}, "x"]})", R"({"a": "x"})"));
}

TEST(Pattern, Addresses) {
  const auto in = [](std::string_view block, std::string_view address) {
    return matches(fmt::format(R"({{"a": [{{"cidr": "{}"}}]}})", block), fmt::format(R"({{"a": "{}"}})", address));
  };
  EXPECT_TRUE(in("10.0.0.0/24", "10.0.0.255"));
  EXPECT_FALSE(in("10.0.0.0/24", "10.0.1.0"));
  EXPECT_TRUE(in("10.0.0.0/23", "10.0.1.0"));
  EXPECT_FALSE(in("10.0.0.5/24", "10.0.0.4"));  // from the address on
  EXPECT_TRUE(in("2001:db8::/32", "2001:db8:ffff::1"));
  EXPECT_FALSE(in("2001:db8::/32", "2001:db9::1"));
  EXPECT_FALSE(in("0.0.0.0/0", "::1"));
  EXPECT_FALSE(in("0.0.0.0/0", "localhost"));
}

TEST(Pattern, FieldsTogetherMustComeFromOneElement) {
  const char* pattern = R"({"items": {"sku": ["a"], "count": [2]}})";
  EXPECT_TRUE(matches(pattern, R"({"items": [{"sku": "b", "count": 1}, {"sku": "a", "count": 2}]})"));
  EXPECT_FALSE(matches(pattern, R"({"items": [{"sku": "a", "count": 1}, {"sku": "b", "count": 2}]})"));
  EXPECT_TRUE(matches(R"({"x": ["a"], "y": ["b"]})", R"({"x": ["c", "a"], "y": ["b", "c"]})"));
  // exists: false is about the element that was chosen.
  const char* without = R"({"items": {"sku": ["a"], "gift": [{"exists": false}]}})";
  EXPECT_TRUE(matches(without, R"({"items": [{"sku": "b", "gift": 1}, {"sku": "a"}]})"));
  EXPECT_FALSE(matches(without, R"({"items": [{"sku": "a", "gift": 1}, {"sku": "b"}]})"));
}

TEST(Pattern, DotsAreNesting) {
  EXPECT_TRUE(matches(R"({"a.b": ["x"]})", R"({"a": {"b": "x"}})"));
  EXPECT_TRUE(matches(R"({"a": {"b": ["x"]}})", R"({"a.b": "x"})"));
  EXPECT_TRUE(matches(R"({"a": {"b.c": ["x"]}})", R"({"a.b": {"c": "x"}})"));
  EXPECT_TRUE(matches(R"({"": {"b": ["x"]}})", R"({"": {"b": "x"}})"));
  EXPECT_FALSE(matches(R"({"": {"b": ["x"]}})", R"({"b": "x"})"));
}

TEST(Pattern, OrReplacesItself) {
  const char* pattern = R"({"source": ["s"], "detail": {"$or": [{"a": [1]}, {"b": [{"numeric": [">", 5]}]}]}})";
  EXPECT_TRUE(matches(pattern, R"({"source": "s", "detail": {"a": 1}})"));
  EXPECT_TRUE(matches(pattern, R"({"source": "s", "detail": {"b": 6}})"));
  EXPECT_FALSE(matches(pattern, R"({"source": "s", "detail": {"b": 5}})"));
  EXPECT_FALSE(matches(pattern, R"({"source": "t", "detail": {"a": 1}})"));
  // Not two objects: a key like any other.
  EXPECT_TRUE(matches(R"({"$or": ["x"]})", R"({"$or": "x"})"));
}

TEST(Pattern, OrIsBounded) {
  std::string pattern = "{";
  for (int i = 0; i < 10; ++i) {
    pattern += fmt::format(R"({}"k{}": {{"$or": [{{"a": [1]}}, {{"b": [1]}}]}})", i == 0 ? "" : ",", i);
  }
  EXPECT_THAT(refusal(pattern + "}"), ::testing::HasSubstr("too complex"));
}

TEST(Pattern, RefusalsSayWhy) {
  EXPECT_EQ(refusal(R"(["a"])"), "Filter is not an object");
  EXPECT_EQ(refusal(R"({})"), "Empty objects are not allowed");
  EXPECT_EQ(refusal(R"({"a": {}})"), "Empty objects are not allowed");
  EXPECT_EQ(refusal(R"({"a": "x"})"), R"("a" must be an object or an array)");
  EXPECT_EQ(refusal(R"({"a": []})"), "Empty arrays are not allowed");
  EXPECT_EQ(refusal(R"({"a": [["x"]]})"), "Match value must be String, number, true, false, or null");
  EXPECT_EQ(refusal(R"({"a": [{"EXISTS": true}]})"), "Unrecognized match type EXISTS");
  EXPECT_EQ(refusal(R"({"a": [{}]})"), "Match expression name not found");
  EXPECT_EQ(refusal(R"({"a": [{"prefix": 1}]})"), "prefix match pattern must be a string");
  EXPECT_EQ(refusal(R"({"a": [{"prefix": "a", "suffix": "b"}]})"), "Only one key allowed in match expression");
  EXPECT_EQ(refusal(R"({"a": [{"suffix": {"wildcard": "b"}}]})"), "Unsupported suffix pattern: wildcard");
  EXPECT_EQ(refusal(R"({"a": [{"exists": "true"}]})"), "exists match pattern must be either true or false.");
  EXPECT_EQ(refusal(R"({"a": [{"numeric": 5}]})"), "Value of numeric must be an array.");
  EXPECT_EQ(refusal(R"({"a": [{"numeric": []}]})"), "Invalid member in numeric match: ]");
  EXPECT_EQ(refusal(R"({"a": [{"numeric": [5]}]})"), "Invalid member in numeric match: 5");
  EXPECT_EQ(refusal(R"({"a": [{"numeric": ["!=", 5]}]})"), "Unrecognized numeric range operator: !=");
  EXPECT_EQ(refusal(R"({"a": [{"numeric": ["<", "5"]}]})"), "Value of < must be numeric");
  EXPECT_EQ(refusal(R"({"a": [{"numeric": ["="]}]})"), "Value of equals must be numeric");
  EXPECT_EQ(refusal(R"({"a": [{"numeric": ["<", 5, ">", 1]}]})"), "Too many elements in numeric expression");
  EXPECT_EQ(refusal(R"({"a": [{"numeric": [">", 5, ">", 1]}]})"), "Bad numeric range operator: >");
  EXPECT_EQ(refusal(R"({"a": [{"numeric": [">", 5, 6]}]})"), "Bad value in numeric range: 6");
  EXPECT_EQ(refusal(R"({"a": [{"numeric": [">", 5, "<", 5]}]})"), "Bottom must be less than top");
  EXPECT_EQ(refusal(R"({"a": [{"numeric": [">", 5, "<", 6, "<"]}]})"), "Too many terms in numeric range expression");
  EXPECT_EQ(refusal(R"({"a": [{"anything-but": null}]})"),
            "Value of anything-but must be an array or single string/number value.");
  EXPECT_EQ(refusal(R"({"a": [{"anything-but": ["x", 1]}]})"),
            "Inside anything but list, either all values are number or string, mixed type is not supported");
  EXPECT_EQ(refusal(R"({"a": [{"anything-but": [true]}]})"),
            "Inside anything but list, start|null|boolean is not supported.");
  EXPECT_EQ(refusal(R"({"a": [{"anything-but": {"numeric": [1]}}]})"), "Unsupported anything-but pattern: numeric");
  EXPECT_EQ(refusal(R"({"a": [{"anything-but": {"prefix": ""}}]})"), "Null prefix/suffix not allowed");
  EXPECT_EQ(refusal(R"({"a": [{"wildcard": "a**b"}]})"), "Consecutive wildcard characters at pos 2");
  EXPECT_EQ(refusal(R"({"a": [{"wildcard": "a\\b"}]})"), "Invalid escape character at pos 2");
  EXPECT_THAT(refusal(R"({"a": [{"wildcard": "*a*b*c*d*e*"}]})"), ::testing::StartsWith("Rule is too complex"));
  EXPECT_EQ(refusal(R"({"a": [{"cidr": "10.0.0.0"}]})"), "Malformed CIDR, one '/' required");
  EXPECT_EQ(refusal(R"({"a": [{"cidr": "10.0.0.0/x"}]})"), "Malformed CIDR, mask bits must be an integer");
  EXPECT_EQ(refusal(R"({"a": [{"cidr": "10.0.0/8"}]})"), "Nonstandard IP address: 10.0.0");
  EXPECT_EQ(refusal(R"({"a": [{"cidr": "10.0.0.0/32"}]})"), "IPv4 mask bits must be < 32");
}

TEST(Pattern, DialectsDiffer) {
  EXPECT_EQ(refusal(R"({"a": [{"numeric": ["<", 6000000000]}]})"), "accepted");
  EXPECT_EQ(refusal(R"({"a": [{"numeric": ["<", 6000000000]}]})", Dialect::kMappingFilter),
            "Value must be between -5.0E9 and 5.0E9, inclusive");
  EXPECT_EQ(refusal(R"({"a": {"b": ["x"]}})", Dialect::kSnsAttributes),
            "Filter policy scope MessageAttributes does not support nested filter policy");
  EXPECT_EQ(refusal(R"({"a": {"b": ["x"]}})", Dialect::kSnsBody), "accepted");
  EXPECT_EQ(refusal(R"({"a": [{"anything-but": {"suffix": "x"}}]})", Dialect::kSnsBody),
            "Unsupported anything-but pattern: suffix");
  EXPECT_EQ(refusal(R"({"a":[1],"b":[1],"c":[1],"d":[1],"e":[1],"f":[1]})", Dialect::kSnsAttributes),
            "Filter policy can not have more than 5 keys");
  EXPECT_EQ(refusal(R"({"a":[1,2,3,4,5,6],"b":[1,2,3,4,5,6],"c":[1,2,3,4,5]})", Dialect::kSnsAttributes),
            "Filter policy is too complex");
}

TEST(Pattern, MentionsTellPlainFromNested) {
  const auto mention = [](const char* text) {
    return Pattern::compile(text, Dialect::kMappingFilter)->mention("body");
  };
  EXPECT_TRUE(mention(R"({"body": ["x"]})").value);
  EXPECT_FALSE(mention(R"({"body": ["x"]})").inside);
  EXPECT_TRUE(mention(R"({"body": {"k": ["x"]}})").inside);
  EXPECT_FALSE(mention(R"({"body2": ["x"]})").value);
}

// A pattern whose fields can be chosen in many ways is judged without trying all of them.
TEST(Pattern, IndependentArraysDoNotMultiply) {
  std::string pattern = "{";
  std::string event = "{";
  for (int array = 0; array < 8; ++array) {
    pattern += fmt::format(R"("k{}": {{"v": ["x"]}}, )", array);
    event += fmt::format(R"("k{}": [)", array);
    for (int i = 0; i < 100; ++i) event += R"({"v": "x"},)";
    event.back() = ']';
    event += ", ";
  }
  pattern += R"("z": {"v": ["x"], "w": ["y"]}})";
  event += R"("z": [{"v": "x"}, {"w": "y"}]})";
  EXPECT_FALSE(matches(pattern, event));  // 100^8 choices
}

}  // namespace
}  // namespace lambdad::pattern
