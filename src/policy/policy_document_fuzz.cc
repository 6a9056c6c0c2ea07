/// Arbitrary documents: what is read can be decided without crashing, and a decision does not depend on the order of
/// statements.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/error.h"
#include "policy/decision.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lambdad;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const policy::Kind kind : {policy::Kind::kIdentity, policy::Kind::kResource, policy::Kind::kTrust}) {
    auto read = policy::parse(text, kind);
    if (!read) {
      LD_CHECK(!read.error().message.empty());
      continue;
    }
    policy::Document reversed = *read;
    std::ranges::reverse(reversed.statements);
    policy::Context context;
    context.set("aws:username", "bob*");
    context.set("aws:SourceIp", "10.0.0.1");
    context.set("aws:TagKeys", policy::Context::Values{"a", "b"});
    const policy::Principal caller{.type = policy::Principal::Type::kRoleSession,
                                   .account = "111122223333",
                                   .arn = "arn:aws:sts::111122223333:assumed-role/app/one",
                                   .role_arn = "arn:aws:iam::111122223333:role/app"};
    const policy::Request request{caller, "s3:GetObject", "arn:aws:s3:::b/bob*", context};
    const auto decide = [&](policy::Document document) {
      policy::Policies policies;
      auto shared = std::make_shared<const policy::Document>(std::move(document));
      (kind == policy::Kind::kIdentity ? policies.identity.emplace_back() : policies.resource) = shared;
      return policy::decide(request, policies).reason;
    };
    LD_CHECK(decide(std::move(*read)) == decide(std::move(reversed)), "the order of statements weighs");
  }
  return 0;
}
