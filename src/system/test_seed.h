/// The seed of a test run, printed when a test fails. For test programs only: needs googletest.
#pragma once

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <string_view>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "system/random.h"

namespace lambdad {

/// LAMBDAD_SEED when it is set, otherwise drawn once per process. A failing or aborting test prints it:
/// `LAMBDAD_SEED=123 build/debug/bin/x_test --gtest_filter=...` runs the same again.
inline std::uint64_t test_seed() {
  static char replay_line[64];
  struct PrintOnFailure final : testing::EmptyTestEventListener {
    void OnTestEnd(const testing::TestInfo& info) override {
      if (info.result()->Failed()) std::fputs(replay_line, stderr);
    }
  };
  static const std::uint64_t seed = [] {
    std::uint64_t value = KernelRandom().next_u64();
    if (const char* text = ::getenv("LAMBDAD_SEED"); text != nullptr) {
      const std::string_view digits(text);
      const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value);
      LD_CHECK(read.ec == std::errc{} && read.ptr == digits.data() + digits.size(), "LAMBDAD_SEED={} is no number",
               digits);
    }
    *fmt::format_to_n(replay_line, sizeof replay_line - 1, "replay with LAMBDAD_SEED={}\n", value).out = '\0';
    testing::UnitTest::GetInstance()->listeners().Append(new PrintOnFailure);
    std::signal(SIGABRT, [](int) {
      [[maybe_unused]] const auto written = ::write(STDERR_FILENO, replay_line, ::strlen(replay_line));
      std::signal(SIGABRT, SIG_DFL);
    });
    return value;
  }();
  return seed;
}

}  // namespace lambdad
