#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "policy/decision.h"
#include "policy/decisions.h"

namespace lambdad::policy {
namespace {

// --- decisions.txt --------------------------------------------------------------------------------------------------

std::string_view next_word(std::string_view& rest) {
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  const std::size_t end = std::min(rest.find(' '), rest.size());
  const std::string_view word = rest.substr(0, end);
  rest.remove_prefix(end);
  return word;
}

struct Case {
  std::string title;
  Principal caller;
  std::map<std::string, std::string, std::less<>> statements;  // by kind, joined with commas
  std::string owner;
  Context context;
  std::string action, resource;

  void set_caller(std::string_view rest) {
    const std::string_view type = next_word(rest);
    caller = {.account = "111122223333"};
    const std::string name(next_word(rest)), session(type == "role" ? next_word(rest) : "");
    if (type == "user") {
      caller.type = Principal::Type::kUser;
      caller.arn = "arn:aws:iam::111122223333:user/" + name;
    } else if (type == "role") {
      caller.type = Principal::Type::kRoleSession;
      caller.arn = fmt::format("arn:aws:sts::111122223333:assumed-role/{}/{}", name, session);
      caller.role_arn = "arn:aws:iam::111122223333:role/" + name;
    } else if (type == "root") {
      caller.type = Principal::Type::kRoot;
      caller.arn = "arn:aws:iam::111122223333:root";
    } else if (type == "service") {
      caller = {.type = Principal::Type::kService, .name = name};
    } else if (type == "anonymous") {
      caller = {};
    } else {
      ADD_FAILURE() << "caller " << type;
    }
  }
  DocumentPtr document(std::string_view which, Kind kind) const {
    const auto found = statements.find(which);
    if (found == statements.end()) return nullptr;
    auto read = parse(fmt::format(R"({{"Version":"2012-10-17","Statement":[{}]}})", found->second), kind);
    if (!read) {
      ADD_FAILURE() << title << ": " << which << ": " << read.error().message;
      return nullptr;
    }
    return std::make_shared<const Document>(std::move(*read));
  }
  std::string outcome() const {
    Policies policies;
    if (auto identity = document("identity", Kind::kIdentity)) policies.identity.push_back(identity);
    policies.boundary = document("boundary", Kind::kIdentity);
    if (auto session = document("session", Kind::kIdentity)) policies.session.push_back(session);
    policies.resource = document("resource", Kind::kResource);
    if (auto trust = document("trust", Kind::kTrust)) {
      policies.resource = trust;
      policies.resource_must_allow = true;
    }
    policies.resource_account = owner;
    switch (decide({caller, action, resource, context}, policies).reason) {
      case Reason::kAllowed: return "allow";
      case Reason::kDeniedByIdentity: return "explicit-deny identity";
      case Reason::kDeniedByResource: return "explicit-deny resource";
      case Reason::kDeniedByBoundary: return "explicit-deny boundary";
      case Reason::kDeniedBySession: return "explicit-deny session";
      case Reason::kNotAllowedByIdentity: return "no-allow identity";
      case Reason::kNotAllowedByResource: return "no-allow resource";
      case Reason::kNotAllowedByBoundary: return "no-allow boundary";
      case Reason::kNotAllowedBySession: return "no-allow session";
    }
    return {};
  }
};

TEST(Decisions, AreAsTheFileSays) {
  Case now;
  int cases = 0, line_number = 0;
  std::string_view text = kDecisions;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    ++line_number;
    if (line.empty() || line.starts_with('#')) continue;
    std::string_view rest = line;
    const std::string_view word = next_word(rest);
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
    if (word == "case") {
      now = {.title = std::string(rest)};
    } else if (word == "caller") {
      now.set_caller(rest);
    } else if (word == "identity" || word == "boundary" || word == "session" || word == "resource" || word == "trust") {
      std::string& all = now.statements[std::string(word)];
      all += (all.empty() ? "" : ",") + std::string(rest);
    } else if (word == "owner") {
      now.owner = rest;
    } else if (word == "with") {
      const std::size_t equals = rest.find(" = ");
      ASSERT_NE(equals, std::string_view::npos) << line;
      Context::Values values;
      std::string_view list = rest.substr(equals + 3);
      for (;;) {
        const std::size_t comma = list.find(", ");
        values.emplace_back(list.substr(0, comma));
        if (comma == std::string_view::npos) break;
        list.remove_prefix(comma + 2);
      }
      now.context.set(rest.substr(0, equals), std::move(values));
    } else if (word == "ask") {
      now.action = next_word(rest);
      now.resource = next_word(rest);
    } else if (word == "expect") {
      EXPECT_EQ(now.outcome(), rest) << "decisions.txt:" << line_number << ": " << now.title;
      ++cases;
    } else {
      ADD_FAILURE() << "decisions.txt:" << line_number << ": unknown word " << word;
    }
  }
  EXPECT_GT(cases, 100);
}

TEST(Decisions, AreExplainedInAwssWords) {
  EXPECT_EQ(explain(Reason::kNotAllowedByIdentity, "lambda:InvokeFunction"),
            "because no identity-based policy allows the lambda:InvokeFunction action");
  EXPECT_EQ(explain(Reason::kDeniedByResource, "sqs:SendMessage"), "with an explicit deny in a resource-based policy");
}

// --- documents ------------------------------------------------------------------------------------------------------

std::string trouble(std::string_view text, Kind kind = Kind::kIdentity) {
  auto read = parse(text, kind);
  return read ? "" : read.error().message;
}
std::string statement_trouble(std::string_view statement, Kind kind = Kind::kIdentity) {
  return trouble(fmt::format(R"({{"Version":"2012-10-17","Statement":[{}]}})", statement), kind);
}

TEST(Document, ReadsWhatTheGrammarAllows) {
  EXPECT_EQ(
      trouble(
          R"({"Version":"2012-10-17","Id":"x","Statement":{"Sid":"A1","Effect":"Allow","Action":"*","Resource":"*"}})"),
      "");
  EXPECT_EQ(trouble(R"({"Statement":[{"Effect":"Deny","NotAction":["s3:*"],"NotResource":["arn:aws:s3:::b"]}]})"), "");
  EXPECT_EQ(
      statement_trouble(
          R"({"Effect":"Allow","Principal":{"AWS":["111122223333","*"],"Service":"s3.amazonaws.com"},"Action":"sqs:*","Resource":"*"})",
          Kind::kResource),
      "");
  EXPECT_EQ(
      statement_trouble(
          R"({"Effect":"Allow","Principal":{"Federated":"accounts.example.com"},"Action":"sts:AssumeRoleWithWebIdentity"})",
          Kind::kTrust),
      "");
}

TEST(Document, SaysWhyItIsNone) {
  EXPECT_EQ(trouble("{"), "This policy contains invalid Json");
  EXPECT_EQ(trouble("[]"), "Syntax errors in policy.");
  EXPECT_EQ(trouble(R"({"Version":"2012-10-17"})"), "Syntax errors in policy.");
  EXPECT_EQ(trouble(R"({"Version":"2012-10-18","Statement":[]})"), "Syntax errors in policy.");
  EXPECT_EQ(trouble(R"({"Statement":[],"More":1})"), "Syntax errors in policy.");
  EXPECT_EQ(statement_trouble(R"({"Effect":"allow","Action":"*","Resource":"*"})"), "Syntax errors in policy.");
  EXPECT_EQ(statement_trouble(R"({"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"})"),
            "Syntax errors in policy.");
  EXPECT_EQ(statement_trouble(R"({"Effect":"Allow","Resource":"*"})"), "Policy statement must contain actions.");
  EXPECT_EQ(statement_trouble(R"({"Effect":"Allow","Action":[],"Resource":"*"})"),
            "Policy statement must contain actions.");
  EXPECT_EQ(statement_trouble(R"({"Effect":"Allow","Action":"s3:Get"})"), "Policy statement must contain resources.");
  EXPECT_EQ(statement_trouble(R"({"Effect":"Allow","Action":"Get","Resource":"*"})"),
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.");
  EXPECT_EQ(statement_trouble(R"({"Effect":"Allow","Action":"s 3:Get","Resource":"*"})"), "Vendor s 3 is not valid");
  EXPECT_EQ(statement_trouble(R"({"Effect":"Allow","Action":"s3:Get","Resource":"bucket"})"),
            R"(Resource bucket must be in ARN format or "*".)");
  EXPECT_EQ(statement_trouble(R"({"Effect":"Allow","Principal":"*","Action":"s3:Get","Resource":"*"})"),
            "Policy document should not specify a principal.");
  EXPECT_EQ(statement_trouble(R"({"Effect":"Allow","Action":"s3:Get","Resource":"*"})", Kind::kResource),
            "Missing required field Principal");
  EXPECT_EQ(
      statement_trouble(R"({"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"})", Kind::kTrust),
      "Has prohibited field Resource");
  EXPECT_EQ(statement_trouble(R"({"Effect":"Allow","Principal":"*","Action":"s3:Get"})", Kind::kTrust),
            "AssumeRole policy may only specify STS AssumeRole actions.");
  EXPECT_EQ(
      statement_trouble(R"({"Effect":"Allow","Principal":{"AWS":"bob"},"Action":"sts:AssumeRole"})", Kind::kTrust),
      R"(Invalid principal in policy: "AWS":"bob")");
  EXPECT_EQ(statement_trouble(R"({"Effect":"Allow","Principal":{"Service":"lambda"},"Action":"sts:AssumeRole"})",
                              Kind::kTrust),
            R"(Invalid principal in policy: "SERVICE":"lambda")");
  EXPECT_EQ(statement_trouble(
                R"({"Effect":"Allow","Action":"s3:Get","Resource":"*","Condition":{"StringIs":{"aws:x":"1"}}})"),
            "Invalid Condition type : StringIs.");
  EXPECT_EQ(statement_trouble(
                R"({"Effect":"Allow","Action":"s3:Get","Resource":"*","Condition":{"NullIfExists":{"aws:x":"1"}}})"),
            "Invalid Condition type : NullIfExists.");
  EXPECT_EQ(
      statement_trouble(R"({"Effect":"Allow","Action":"s3:Get","Resource":"*","Condition":{"Bool":{"aws:x":{}}}})"),
      "Syntax errors in policy.");
  EXPECT_THAT(statement_trouble(R"({"Sid":"a-b","Effect":"Allow","Action":"s3:Get","Resource":"*"})"),
              ::testing::StartsWith("Statement IDs (SID) must be alpha-numeric."));
  EXPECT_EQ(
      statement_trouble(
          R"({"Sid":"a","Effect":"Allow","Action":"s3:Get","Resource":"*"},{"Sid":"a","Effect":"Deny","Action":"s3:Get","Resource":"*"})"),
      "Statement IDs (SID) in a single policy must be unique.");
}

TEST(Document, WithoutTheNewVersionVariablesAreText) {
  Context context;
  context.set("aws:username", "bob");
  const Principal bob{
      .type = Principal::Type::kUser, .account = "111122223333", .arn = "arn:aws:iam::111122223333:user/bob"};
  auto allowed = [&](std::string_view version, std::string_view resource) {
    auto read = parse(
        fmt::format(
            R"({{{}"Statement":{{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/${{aws:username}}"}}}})",
            version),
        Kind::kIdentity);
    Policies policies{.identity = {std::make_shared<const Document>(read.value())}};
    return decide({bob, "s3:GetObject", resource, context}, policies).allowed();
  };
  EXPECT_TRUE(allowed(R"("Version":"2012-10-17",)", "arn:aws:s3:::b/bob"));
  EXPECT_FALSE(allowed(R"("Version":"2008-10-17",)", "arn:aws:s3:::b/bob"));
  EXPECT_TRUE(allowed("", "arn:aws:s3:::b/${aws:username}"));
}

TEST(Pattern, ManyWildcardsEndInTime) {
  std::string pattern, text(4000, 'a');
  for (int i = 0; i < 40; ++i) pattern += "*a";
  EXPECT_FALSE(Pattern::plain(pattern + "b").matches(text));
  EXPECT_TRUE(Pattern::plain(pattern + "*").matches(text));
}

}  // namespace
}  // namespace lambdad::policy
