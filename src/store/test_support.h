/// For the tests of this folder and of those that keep something in a database.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

#include "store/database.h"

namespace lambdad::store {

/// A new directory, removed with all it holds at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "lambdad-store-XXXXXX").string();
    LD_CHECK(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// Runs the loop until the task has its result.
template <class T>
T await_result(Loop& loop, Async<T> task) {
  std::optional<T> result;
  asio::co_spawn(
      loop,
      [](Async<T> inner, std::optional<T>& out) -> Async<void> { out.emplace(co_await std::move(inner)); }(
                                                    std::move(task), result),
      [](std::exception_ptr error) {
        if (error) std::rethrow_exception(error);
      });
  loop.restart();
  loop.run();
  LD_CHECK(result.has_value(), "the loop ran out before the task ended");
  return std::move(*result);
}

}  // namespace lambdad::store
