#include "access/root_key.h"

#include <string_view>

#include <fmt/format.h>

#include "access/sessions.h"
#include "base/encoding.h"

namespace lambdad::access {
namespace {

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

}  // namespace

Result<std::optional<RootKey>> read_root_key(Files& files, const std::string& path) {
  auto text = files.read(path);
  if (!text && text.error().code == Errc::kNotFound) return std::nullopt;
  if (!text) return fail_with(text.error(), "reading " + path);
  RootKey key;
  std::string_view rest = *text;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = trim(line.substr(0, equals)), value = trim(line.substr(equals + 1));
    if (name == "aws_access_key_id") key.access_key_id = value;
    if (name == "aws_secret_access_key") key.secret_access_key = value;
  }
  if (key.access_key_id.empty() || key.secret_access_key.empty()) {
    return fail(Errc::kCorrupt, "{} holds no aws_access_key_id and aws_secret_access_key", path);
  }
  return key;
}

Result<RootKey> load_root_key(Files& files, Random& random, const std::string& path) {
  LD_TRY(auto found, read_root_key(files, path));
  if (found) return *found;
  RootKey made{.access_key_id = random_id(random, "AKIA", 20), .secret_access_key = base64_encode(random.bytes(30))};
  LD_TRY_VOID(files.write_durably(path, fmt::format("[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
                                                    made.access_key_id, made.secret_access_key)));
  return made;
}

}  // namespace lambdad::access
