#include "execution/runtimes.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "execution/bytecode.h"
#include "execution/process_spec.h"
#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::execution {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

// A host whose programs answer --version; what it is asked is counted.
class FakeHost : public Files, public Processes {
 public:
  void install(const std::string& path, const std::string& says) { programs_[path] = says; }
  void link(const std::string& path, const std::string& target) { links_[path] = target; }
  void write(const std::string& path, std::string text, std::int64_t modified_ns = 0) {
    files_[path] = {std::move(text), modified_ns};
  }
  void touch(const std::string& path) { ++age_[path]; }
  int asked = 0;
  std::vector<std::vector<std::string>> ran;

  Result<std::string> read(const std::string& path) override {
    const auto found = files_.find(path);
    if (found == files_.end()) return fail(Errc::kNotFound, "{}", path);
    return found->second.first;
  }
  Result<void> write_durably(const std::string& path, std::string_view bytes) override {
    write(path, std::string(bytes));
    return {};
  }
  Result<void> make_directories(const std::string&) override { return {}; }
  Result<void> remove(const std::string&) override { return {}; }
  Result<void> remove_tree(const std::string&) override { return {}; }
  Result<std::vector<std::string>> list(const std::string& directory) override {
    std::vector<std::string> names;
    auto add = [&](const std::string& path) {
      if (!path.starts_with(directory + "/")) return;
      const std::string rest = path.substr(directory.size() + 1);
      names.push_back(rest.substr(0, rest.find('/')));
    };
    for (const auto& [path, content] : files_) add(path);
    for (const auto& [path, says] : programs_) add(path);
    if (names.empty()) return fail(Errc::kNotFound, "{}", directory);
    std::ranges::sort(names);
    names.erase(std::ranges::unique(names).begin(), names.end());
    return names;
  }
  bool exists(const std::string& path) override { return files_.contains(path); }
  std::optional<FileStamp> stamp(const std::string& path) override {
    const auto found = files_.find(path);
    if (found == files_.end()) return std::nullopt;
    return FileStamp{found->second.first.size(), found->second.second};
  }
  Result<UniqueFd> lock(const std::string&) override { return fail(Errc::kInternal, "not used"); }

  Result<std::string> capture(std::vector<std::string> argv, Duration) override {
    ran.push_back(argv);
    if (argv[1] == "--version") ++asked;
    return programs_.at(argv[0]);
  }
  std::optional<FileStamp> stamp_executable(const std::string& path) override {
    const std::string target = links_.contains(path) ? links_[path] : path;
    if (!programs_.contains(target)) return std::nullopt;
    return FileStamp{100, age_[target]};
  }
  std::optional<std::string> resolve(const std::string& path) override {
    return links_.contains(path) ? links_[path] : path;
  }

 private:
  std::map<std::string, std::string> programs_;
  std::map<std::string, std::string> links_;
  std::map<std::string, std::int64_t> age_;
  std::map<std::string, std::pair<std::string, std::int64_t>> files_;
};

class RuntimeCatalogTest : public testing::Test {
 protected:
  RuntimeCatalog catalog(std::map<std::string, std::string> configured = {}) {
    return RuntimeCatalog(
        host_, host_,
        {.directory = "/rt", .cache_file = "/data/runtimes.json", .configured = configured, .home = "/home/u"});
  }
  FakeHost host_;
};

TEST_F(RuntimeCatalogTest, AnInterpreterMustBeOfTheRuntimesVersion) {
  host_.install("/usr/bin/node", "v20.20.2\n");
  host_.install("/opt/node-2/bin/node", "v2.0.0\n");
  host_.install("/usr/bin/python3.11", "Python 3.11.2\n");
  host_.install("/usr/bin/ruby", "ruby 3.1.2p20 (2022-04-12 revision 4491bb740a) [x86_64-linux-gnu]\n");
  auto runtimes = catalog();
  EXPECT_EQ(runtimes.find("nodejs20.x")->version, "20.20.2");
  EXPECT_EQ(runtimes.find("python3.11")->version, "3.11.2");
  for (const char* absent : {"nodejs22.x", "python3.1", "python3.12", "ruby3.2", "ruby3.3"}) {
    EXPECT_FALSE(runtimes.find(absent)) << absent;
  }
  EXPECT_EQ(runtimes.find("python3.1").error().code, Errc::kInvalid);
  EXPECT_THAT(runtimes.find("ruby3.2").error().detail, HasSubstr("--runtime ruby3.2=/path/to/ruby"));
  EXPECT_EQ(runtimes.find("provided.al2")->path, "");
}

TEST_F(RuntimeCatalogTest, WhatTheOperatorNamesMayStandInWithinTheMajorVersion) {
  host_.install("/usr/bin/ruby3.1", "ruby 3.1.2p20 (2022-04-12)\n");
  host_.link("/usr/bin/ruby", "/usr/bin/ruby3.1");
  host_.install("/usr/bin/node", "v20.20.2\n");
  auto runtimes =
      catalog({{"ruby3.2", "/usr/bin/ruby"}, {"nodejs22.x", "/usr/bin/node"}, {"python3.12", "/usr/bin/ruby"}});
  auto ruby = runtimes.find("ruby3.2");
  ASSERT_TRUE(ruby);
  EXPECT_EQ(ruby->path, "/usr/bin/ruby3.1");
  EXPECT_TRUE(ruby->stands_in);
  EXPECT_THAT(runtimes.find("nodejs22.x").error().detail, HasSubstr("no executable of that version"));
  // A choice that does not fit is not replaced by a search.
  host_.install("/opt/n22/bin/node", "v22.1.0\n");
  EXPECT_FALSE(runtimes.find("nodejs22.x"));
}

TEST_F(RuntimeCatalogTest, JavaNeedsAWSsClientAndTellsItsVersionInAFile) {
  host_.install("/usr/lib/jvm/java-17-openjdk-amd64/bin/java", "must not be asked");
  host_.write("/usr/lib/jvm/java-17-openjdk-amd64/release",
              "IMPLEMENTOR=\"Debian 12\"\nJAVA_RUNTIME_VERSION=\"17.0.15+6\"\nJAVA_VERSION=\"17.0.15\"\n");
  auto runtimes = catalog();
  EXPECT_THAT(runtimes.find("java17").error().detail, HasSubstr("tools/install-runtime-sdks java /rt/java"));
  host_.write("/rt/java/lib/aws-lambda-java-runtime-interface-client-2.8.7.jar", "PK");
  EXPECT_EQ(runtimes.find("java17")->version, "17.0.15");
  EXPECT_FALSE(runtimes.find("java21"));
  EXPECT_EQ(host_.asked, 0);
}

TEST_F(RuntimeCatalogTest, VersionManagersOfTheUserAreSearched) {
  host_.install("/home/u/.pyenv/versions/3.12.1/bin/python3.12", "Python 3.12.1\n");
  host_.install("/home/u/.nvm/versions/node/v24.1.0/bin/node", "v24.1.0\n");
  host_.install("/home/u/.rbenv/versions/3.3.5/bin/ruby", "ruby 3.3.5 (2024-09-03)\n");
  auto runtimes = catalog();
  EXPECT_EQ(runtimes.find("python3.12")->prefix, "/home/u/.pyenv/versions/3.12.1");
  EXPECT_EQ(runtimes.find("nodejs24.x")->path, "/home/u/.nvm/versions/node/v24.1.0/bin/node");
  EXPECT_EQ(runtimes.find("ruby3.3")->version, "3.3.5");
}

TEST_F(RuntimeCatalogTest, AfterPreparationNothingIsAskedAndTheNextStartRemembers) {
  SimSystem sim(test_seed());
  host_.install("/usr/bin/node", "v20.20.2\n");
  host_.install("/usr/bin/python3.11", "Python 3.11.2\n");
  host_.write("/rt/python/bootstrap.py", "main()");
  host_.write("/rt/python/lambdad_runtime/client.py", "x = 1");
  auto runtimes = catalog();
  sim.run(runtimes.prepare(sim.workers()));
  EXPECT_EQ(host_.asked, 2);
  EXPECT_THAT(host_.ran, Contains(ElementsAre("/usr/bin/python3.11", "-m", "compileall", "-q", "/rt/python")));
  EXPECT_TRUE(runtimes.find("nodejs20.x"));
  EXPECT_TRUE(catalog().find("python3.11"));
  EXPECT_EQ(host_.asked, 2) << "a program was asked again";
  host_.touch("/usr/bin/node");
  host_.install("/usr/bin/node", "v22.2.0\n");
  EXPECT_EQ(catalog().find("nodejs22.x")->version, "22.2.0") << "an update was not noticed";
  EXPECT_EQ(host_.asked, 3);
}

TEST_F(RuntimeCatalogTest, ADamagedCacheIsMadeAnew) {
  host_.install("/usr/bin/node", "v20.20.2\n");
  for (const char* text : {"", "{", "[]", R"({"/usr/bin/node|100|0": 5})"}) {
    host_.write("/data/runtimes.json", text);
    EXPECT_TRUE(catalog().find("nodejs20.x")) << text;
  }
}

TEST_F(RuntimeCatalogTest, TheListSaysWhatIsMissingAndWhatStandsIn) {
  host_.install("/usr/bin/ruby", "ruby 3.1.2p20\n");
  host_.install("/usr/bin/node", "v20.20.2\n");
  auto listed = catalog({{"ruby3.4", "/usr/bin/ruby"}}).list();
  auto row = [&](std::string_view runtime) {
    return *std::ranges::find(listed, runtime, &RuntimeCatalog::Listed::runtime);
  };
  EXPECT_EQ(listed.size(), known_runtimes().size());
  EXPECT_EQ(row("ruby3.4").hint, "stands in for ruby 3.4, as --runtime asks");
  EXPECT_THAT(row("nodejs20.x").hint, HasSubstr("tools/install-runtime-sdks /rt/nodejs"));
  EXPECT_FALSE(row("python3.14").interpreter);
  EXPECT_THAT(row("python3.14").hint, HasSubstr("install python3.14"));
}

// --- bytecode -------------------------------------------------------------------------------------------------------

std::string header(std::uint32_t flags, std::uint32_t seconds, std::uint32_t size) {
  std::string bytes("\xa7\x0d\x0d\x0a", 4);
  for (std::uint32_t value : {flags, seconds, size}) {
    for (int i = 0; i < 4; ++i) bytes.push_back(static_cast<char>(value >> (8 * i)));
  }
  return bytes;
}

TEST(Bytecode, IsCurrentWhenEveryModulesHeaderFitsItsSource) {
  FakeHost host;
  const std::string compiled = "/p/pkg/__pycache__/m.cpython-311.pyc";
  host.write("/p/bootstrap.py", "never compiled");
  EXPECT_FALSE(bytecode_is_current(host, "/p", "3.11.2")) << "nothing to look at";
  host.write("/p/pkg/m.py", "12345", 7'500'000'000);
  EXPECT_FALSE(bytecode_is_current(host, "/p", "3.11.2"));
  host.write(compiled, header(0, 7, 5) + "code");
  EXPECT_TRUE(bytecode_is_current(host, "/p", "3.11.2"));
  EXPECT_FALSE(bytecode_is_current(host, "/p", "3.12.1"));
  host.write(compiled, header(0, 8, 5));
  EXPECT_FALSE(bytecode_is_current(host, "/p", "3.11.2")) << "another time";
  host.write(compiled, header(0, 7, 6));
  EXPECT_FALSE(bytecode_is_current(host, "/p", "3.11.2")) << "another size";
  host.write(compiled, header(3, 0, 0));
  EXPECT_TRUE(bytecode_is_current(host, "/p", "3.11.2")) << "a hash";
  host.write(compiled, "short");
  EXPECT_FALSE(bytecode_is_current(host, "/p", "3.11.2"));
}

// --- launching ------------------------------------------------------------------------------------------------------

ports::FunctionVersion function_with(std::string runtime) {
  ports::FunctionVersion function;
  function.runtime = std::move(runtime);
  function.handler = "pkg.Handler::run";
  function.memory_mb = 512;
  return function;
}

TEST(ProcessSpec, OfJavaRunsAWSsClientWithTheFunctionsHeap) {
  auto spec = make_process_spec(function_with("java17"), {.path = "/jvm/bin/java", .version = "17.0.15"}, {});
  ASSERT_TRUE(spec);
  EXPECT_THAT(spec->argv,
              ElementsAre("/jvm/bin/java", "-XX:MaxHeapSize=445644k", "-XX:+UseSerialGC", "-Xshare:auto",
                          "-XX:+TieredCompilation", "-XX:TieredStopAtLevel=1",
                          "-Dorg.crac.Core.Compat=com.amazonaws.services.lambda.crac", "-cp", "/var/runtime/lib/*",
                          "com.amazonaws.services.lambda.runtime.api.client.AWSLambda", "pkg.Handler::run"));
  EXPECT_THAT(spec->environment, Contains(Pair("AWS_EXECUTION_ENV", "AWS_Lambda_java17")));
  auto java_11 = make_process_spec(function_with("java11"), {.path = "/jvm/bin/java", .version = "11.0.2"}, {});
  EXPECT_THAT(java_11->argv, testing::Not(Contains("-XX:TieredStopAtLevel=1")));
}

TEST(ProcessSpec, OfRubyNamesTheGemsOfPackageAndLayers) {
  auto spec = make_process_spec(function_with("ruby3.2"), {.path = "/usr/bin/ruby3.1", .version = "3.1.2"}, {});
  ASSERT_TRUE(spec);
  EXPECT_THAT(spec->argv, ElementsAre("/usr/bin/ruby3.1", "--disable=gems", "/var/runtime/bootstrap.rb"));
  EXPECT_THAT(spec->environment,
              Contains(Pair("GEM_PATH",
                            "/var/task/vendor/bundle/ruby/3.2.0:/opt/ruby/gems/3.2.0:"
                            "/var/task/vendor/bundle/ruby/3.1.0:/opt/ruby/gems/3.1.0:/var/runtime")));
  auto exact = make_process_spec(function_with("ruby3.2"), {.path = "/r/bin/ruby", .version = "3.2.6"}, {});
  EXPECT_THAT(exact->environment,
              Contains(Pair("GEM_PATH", "/var/task/vendor/bundle/ruby/3.2.0:/opt/ruby/gems/3.2.0:/var/runtime")));
}

TEST(ProcessSpec, AWrapperGetsTheRuntimesCommandLine) {
  for (const auto& [runtime, version] :
       {std::pair{"python3.11", "3.11.2"}, {"nodejs20.x", "20.1.0"}, {"ruby3.2", "3.2.0"}, {"java17", "17.0.1"}}) {
    auto function = function_with(runtime);
    const Interpreter interpreter{.path = "/i", .version = version};
    auto plain = make_process_spec(function, interpreter, {});
    function.environment["AWS_LAMBDA_EXEC_WRAPPER"] = "/opt/wrapper";
    auto wrapped = make_process_spec(function, interpreter, {});
    plain->argv.insert(plain->argv.begin(), "/opt/wrapper");
    EXPECT_EQ(wrapped->argv, plain->argv);
  }
}

}  // namespace
}  // namespace lambdad::execution
