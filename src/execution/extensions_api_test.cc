#include "execution/extensions_api.h"

#include <gmock/gmock.h>

#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::execution {
namespace {

using ::testing::HasSubstr;

class ExtensionsApiTest : public ::testing::Test {
 protected:
  ~ExtensionsApiTest() override {
    api_.reset();
    sim_.run(tasks_.stop());
  }
  using Answer = std::shared_ptr<std::optional<http::Response>>;
  Answer send(std::string method, std::string action, std::string body = "", http::Headers headers = {}) {
    http::Request request;
    request.method = std::move(method);
    request.target = "/2020-01-01/extension/" + action;
    request.body = std::move(body);
    request.headers = std::move(headers);
    auto answer = std::make_shared<std::optional<http::Response>>();
    tasks_.spawn("extension", send_to(&api_, answer, std::move(request)));
    sim_.settle();
    return answer;
  }
  static Async<void> send_to(ExtensionsApi* api, Answer answer, http::Request request) {
    answer->emplace(co_await api->handle(std::move(request)));
  }
  http::Response enroll(std::string name, std::string body, http::Headers more = {}) {
    more.add("Lambda-Extension-Name", name);
    return **send("POST", "register", std::move(body), std::move(more));
  }
  std::string id_of(const http::Response& registered) {
    return registered.headers.get_or("Lambda-Extension-Identifier", "");
  }
  Answer next(const std::string& id) { return send("GET", "event/next", "", {{"Lambda-Extension-Identifier", id}}); }

  SimSystem sim_{test_seed()};
  Notifier changed_{sim_.loop()};
  ExtensionsApi api_{sim_.loop(), sim_.random(), {"f", "$LATEST", "app.handler", "111122223333"}, changed_};
  TaskGroup tasks_{sim_.loop()};
};

TEST_F(ExtensionsApiTest, RegisteringAnswersWithTheFunction) {
  ASSERT_TRUE(api_.expect("watcher"));
  EXPECT_FALSE(api_.all_registered());
  const auto registered = enroll("watcher", R"({"events":["INVOKE","SHUTDOWN"]})");
  EXPECT_EQ(registered.status, 200);
  EXPECT_EQ(registered.body, R"({"functionName":"f","functionVersion":"$LATEST","handler":"app.handler"})");
  EXPECT_EQ(id_of(registered).size(), 36u);
  EXPECT_TRUE(api_.all_registered());
  EXPECT_FALSE(api_.all_ready());
}

TEST_F(ExtensionsApiTest, TheAccountIsGivenWhenAskedFor) {
  const auto registered =
      enroll("inside", R"({"events":["INVOKE"]})", {{"Lambda-Extension-Accept-Feature", "accountId"}});
  EXPECT_THAT(registered.body, HasSubstr(R"("accountId":"111122223333")"));
}

TEST_F(ExtensionsApiTest, EveryRefusalHasItsStatusTypeAndText) {
  api_.expect("watcher");
  const std::string id = id_of(enroll("watcher", R"({"events":["SHUTDOWN"]})"));
  const std::string unknown = "11111111-2222-4333-8444-555555555555";
  struct Case {
    std::string method, action, body;
    http::Headers headers;
    int status;
    std::string type, text;
  };
  const std::string kName = "Lambda-Extension-Name", kId = "Lambda-Extension-Identifier";
  const Case cases[] = {
      {"POST", "register", "{}", {}, 403, "Extension.InvalidExtensionName", "Empty extension name"},
      {"POST", "register", "{", {{kName, "x"}}, 400, "InvalidRequestFormat", ""},
      {"POST", "register", "[]", {{kName, "x"}}, 400, "InvalidRequestFormat", "object"},
      {"POST", "register", R"({"events":1})", {{kName, "x"}}, 400, "InvalidRequestFormat", "events"},
      {"POST",
       "register",
       R"({"configurationKeys":["A"]})",
       {{kName, "x"}},
       400,
       "InvalidRequestFormat",
       "configurationKeys are deprecated"},
      {"POST",
       "register",
       R"({"events":["SHUTDOWN"]})",
       {{kName, "inside"}},
       403,
       "Extension.InvalidEventType",
       "SHUTDOWN: ShutdownEventNotSupportedForInternalExtension"},
      {"POST",
       "register",
       R"({"events":["WEDDING"]})",
       {{kName, "inside"}},
       403,
       "Extension.InvalidEventType",
       "WEDDING"},
      {"POST",
       "register",
       "{}",
       {{kName, "watcher"}},
       403,
       "Extension.InvalidExtensionState",
       "State transition from Registered to Registered failed for extension watcher."},
      {"GET", "event/next", "", {}, 403, "Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier"},
      {"GET", "event/next", "", {{kId, "no"}}, 403, "Extension.InvalidExtensionIdentifier", "Invalid"},
      {"GET", "event/next", "", {{kId, unknown}}, 403, "Extension.UnknownExtensionIdentifier", unknown},
      {"POST",
       "init/error",
       "",
       {{kId, id}},
       403,
       "Extension.MissingHeader",
       "Lambda-Extension-Function-Error-Type not found"},
      {"GET", "register", "", {}, 405, "MethodNotAllowed", ""},
      {"GET", "nonsense", "", {}, 404, "NotFound", ""},
  };
  for (const Case& c : cases) {
    const auto answer = send(c.method, c.action, c.body, c.headers);
    ASSERT_TRUE(answer->has_value()) << c.action;
    EXPECT_EQ((*answer)->status, c.status) << c.body;
    EXPECT_THAT((*answer)->body, HasSubstr("\"errorType\":\"" + c.type + "\"")) << c.body;
    EXPECT_THAT((*answer)->body, HasSubstr(c.text));
  }
}

TEST_F(ExtensionsApiTest, ElevenAreTooManyAndNoneRegistersAfterInit) {
  for (int i = 0; i < 10; ++i) EXPECT_EQ(enroll(fmt::format("e{}", i), "{}").status, 200);
  EXPECT_THAT(enroll("e10", "{}").body, HasSubstr("Extension.TooManyExtensions"));
  EXPECT_FALSE(api_.expect("external"));
  EXPECT_THAT(enroll("e3", "{}").body, HasSubstr("Extension with this name already registered"));
  api_.close_registration();
  EXPECT_EQ(enroll("late", "{}").body,
            R"({"errorMessage":"Extension registration closed already","errorType":"Extension.RegistrationClosed"})");
}

TEST_F(ExtensionsApiTest, AnInvocationIsDoneWhenItsSubscribersAskForMore) {
  const std::string subscriber = id_of(enroll("a", R"({"events":["INVOKE"]})"));
  const std::string other = id_of(enroll("b", "{}"));
  auto first = next(subscriber);
  EXPECT_FALSE(api_.all_ready());
  auto idle = next(other);
  EXPECT_TRUE(api_.all_ready());
  api_.invoke({"id-1", 5, "arn", "Root=1"});
  sim_.settle();
  ASSERT_TRUE(first->has_value());
  EXPECT_FALSE(idle->has_value());
  EXPECT_EQ((*first)->headers.get_or("Lambda-Extension-Event-Identifier", "").size(), 36u);
  EXPECT_FALSE(api_.invocation_done());
  next(subscriber);
  EXPECT_TRUE(api_.invocation_done());
}

TEST_F(ExtensionsApiTest, AnEventThatComesWhileTheExtensionIsBusyWaitsForIt) {
  api_.expect("a");
  const std::string id = id_of(enroll("a", R"({"events":["INVOKE","SHUTDOWN"]})"));
  auto first = next(id);
  api_.invoke({"id-1", 5, "arn", ""});
  sim_.settle();
  api_.shutdown(ShutdownReason::kTimeout, 7);
  auto second = next(id);
  ASSERT_TRUE(second->has_value());
  EXPECT_EQ((*second)->body, R"({"eventType":"SHUTDOWN","shutdownReason":"timeout","deadlineMs":7})");
}

TEST_F(ExtensionsApiTest, TheFirstErrorIsKept) {
  const std::string a = id_of(enroll("a", "{}"));
  const std::string b = id_of(enroll("b", "{}"));
  const auto report = [&](const std::string& id, const char* action, const char* type) {
    return (*send("POST", action, "{}",
                  {{"Lambda-Extension-Identifier", id}, {"Lambda-Extension-Function-Error-Type", type}}))
        ->status;
  };
  EXPECT_EQ(report(a, "init/error", "Extension.First"), 202);
  EXPECT_EQ(report(b, "exit/error", "Extension.Second"), 202);
  EXPECT_EQ(report(a, "exit/error", "Extension.Third"), 403);
  ASSERT_TRUE(api_.failure());
  EXPECT_EQ(api_.failure()->type, "Extension.InitError");
  EXPECT_EQ(api_.failure()->said, "Extension.First");
}

TEST_F(ExtensionsApiTest, AResetEndsTheWaitOfOldPrograms) {
  auto waiting = next(id_of(enroll("a", "{}")));
  api_.reset();
  sim_.settle();
  ASSERT_TRUE(waiting->has_value());
  EXPECT_EQ((*waiting)->status, 410);
  EXPECT_FALSE(api_.any());
}

}  // namespace
}  // namespace lambdad::execution
