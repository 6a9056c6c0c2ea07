/// The access key of the account's root: what the operator of a daemon begins with.
#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "system/files.h"
#include "system/random.h"

namespace lambdad::access {

struct RootKey {
  std::string access_key_id;
  std::string secret_access_key;
};

/// The key in `path`, a credentials file as AWS's tools read it ([default], aws_access_key_id, aws_secret_access_key),
/// which only its owner can read. nullopt when the file is not there; kCorrupt when it holds no key.
Result<std::optional<RootKey>> read_root_key(Files& files, const std::string& path);
/// The same; makes key and file when there are none. Whoever removes the file gets another key at the next start.
Result<RootKey> load_root_key(Files& files, Random& random, const std::string& path);

}  // namespace lambdad::access
