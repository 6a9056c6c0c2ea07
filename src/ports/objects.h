#pragma once

#include <cstddef>
#include <expected>
#include <string>

#include "system/async.h"

namespace lambdad::ports {

/// Reads objects of buckets, for who is given an object's name instead of its bytes: code of functions and layers.
/// Threading: the loop only.
struct ObjectReader {
  virtual ~ObjectReader() = default;
  struct Object {
    std::string account;  ///< whose right to read it is asked for
    std::string region;
    std::string bucket;
    std::string key;
    std::string version;  ///< empty: the newest
  };
  /// In S3's own words: "NoSuchKey", "The specified key does not exist."; "EntityTooLarge" when it has more than the
  /// `bytes_max` bytes that were asked for.
  struct Refusal {
    std::string code;
    std::string message;
  };
  virtual Async<std::expected<std::string, Refusal>> read(Object object, std::size_t bytes_max) = 0;
};

}  // namespace lambdad::ports
