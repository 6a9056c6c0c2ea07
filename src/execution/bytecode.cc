#include "execution/bytecode.h"

#include <cstdint>

namespace lambdad::execution {

namespace {

constexpr std::size_t kHeaderBytes = 16;  // magic, flags, then modification time and size or a hash

std::uint32_t little_endian(std::string_view bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 4; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

bool fits(std::string_view header, const FileStamp& source) {
  if (header.size() < kHeaderBytes) return false;
  if (little_endian(header.substr(4)) != 0) return true;  // Python compares a hash, or nothing
  return little_endian(header.substr(8)) == static_cast<std::uint32_t>(source.modified_ns / 1'000'000'000) &&
         little_endian(header.substr(12)) == static_cast<std::uint32_t>(source.size);
}

}  // namespace

bool bytecode_is_current(Files& files, const std::string& directory, std::string_view version) {
  const std::size_t first_dot = version.find('.');
  if (first_dot == std::string_view::npos) return false;
  const std::size_t end = version.find('.', first_dot + 1);
  const std::string tag =
      fmt::format("cpython-{}{}", version.substr(0, first_dot), version.substr(first_dot + 1, end - first_dot - 1));
  bool seen = false;
  auto all_current = [&](const std::string& place) {
    auto names = files.list(place);
    if (!names) return true;
    for (const auto& name : *names) {
      if (!name.ends_with(".py") || (name == "bootstrap.py" && place == directory)) continue;
      seen = true;
      const auto source = files.stamp(place + "/" + name);
      const auto compiled =
          files.read(fmt::format("{}/__pycache__/{}.{}.pyc", place, name.substr(0, name.size() - 3), tag));
      if (!source || !compiled || !fits(std::string_view(*compiled).substr(0, kHeaderBytes), *source)) return false;
    }
    return true;
  };
  if (!all_current(directory)) return false;
  if (auto names = files.list(directory)) {
    for (const auto& name : *names) {
      if (name != "__pycache__" && !all_current(directory + "/" + name)) return false;
    }
  }
  return seen;
}

}  // namespace lambdad::execution
