/// Why something inside lambdad failed. What a client sees is made from this at the edge (aws/error.h).
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace lambdad {

/// What a caller can act on. A new code only when some caller would behave differently on it.
enum class Errc {
  kInvalid,      ///< the input can never succeed
  kNotFound,     ///< the named thing does not exist
  kConflict,     ///< the thing exists or is in a state that forbids this
  kTooLarge,     ///< a size limit would be passed
  kDenied,       ///< permission or isolation forbids it
  kThrottled,    ///< a quota is used up; later it can succeed
  kTimedOut,     ///< a deadline passed
  kUnavailable,  ///< a peer, the disk or a part that is stopping cannot serve now; later it can
  kClosed,       ///< the peer ended the stream or the component was stopped
  kCorrupt,      ///< bytes on disk or from a peer that we wrote or trusted are not what they must be
  kInternal,     ///< a system call failed in a way nobody can act on
};

std::string_view to_string(Errc code);

/// Stays inside: `detail` goes to the log, never to a client.
struct Error {
  Errc code = Errc::kInternal;
  std::string detail;
};

template <class T>
using Result = std::expected<T, Error>;

/// `return fail(Errc::kNotFound, "no queue {}", name);`
template <class... Args>
std::unexpected<Error> fail(Errc code, fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(Error{code, fmt::format(format, std::forward<Args>(args)...)});
}

/// Passes an error on with what was being done: "opening store: disk is full".
inline std::unexpected<Error> fail_with(const Error& cause, std::string_view doing) {
  return std::unexpected(Error{cause.code, fmt::format("{}: {}", doing, cause.detail)});
}

/// Prints and aborts. Only for bugs: never judges bytes from a peer, a disk or a user.
[[noreturn]] void check_failed(const char* condition, const char* file, int line, const std::string& message);

}  // namespace lambdad

/// Aborts in every build when `condition` does not hold: LD_CHECK(count >= 0, "count {} of {}", count, name).
#define LD_CHECK(condition, ...)                                                              \
  do {                                                                                        \
    if (!(condition)) [[unlikely]]                                                            \
      ::lambdad::check_failed(#condition, __FILE__, __LINE__, ::fmt::format("" __VA_ARGS__)); \
  } while (false)

#define LD_CONCAT_INNER(a, b) a##b
#define LD_CONCAT(a, b) LD_CONCAT_INNER(a, b)

/// `LD_TRY(auto value, parse(text));` declares or assigns from a Result, or returns its error from this function.
#define LD_TRY(target, ...) LD_TRY_IMPL(LD_CONCAT(ld_try_, __LINE__), return, target, __VA_ARGS__)
/// The same inside a coroutine: `LD_CO_TRY(auto value, co_await read());`
#define LD_CO_TRY(target, ...) LD_TRY_IMPL(LD_CONCAT(ld_try_, __LINE__), co_return, target, __VA_ARGS__)
#define LD_TRY_IMPL(temporary, return_keyword, target, ...)                     \
  auto temporary = __VA_ARGS__;                                                 \
  if (!temporary) return_keyword std::unexpected(std::move(temporary).error()); \
  target = std::move(*temporary)
/// For Result<void>: returns the error, if any.
#define LD_TRY_VOID(...)                                                                                \
  do {                                                                                                  \
    if (auto ld_result = __VA_ARGS__; !ld_result) return std::unexpected(std::move(ld_result).error()); \
  } while (false)
#define LD_CO_TRY_VOID(...)                                                  \
  do {                                                                       \
    auto ld_result = __VA_ARGS__;                                            \
    if (!ld_result) co_return std::unexpected(std::move(ld_result).error()); \
  } while (false)
