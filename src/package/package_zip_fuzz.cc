// Any bytes as a deployment package: judged, and unpacked when accepted, without a crash, within the limits, and with
// nothing written outside the directory.
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>

#include "package/unpack.h"

namespace {

std::string scratch_directory() {
  std::string path = (std::filesystem::temp_directory_path() / "lambdad-zip-fuzz-XXXXXX").string();
  if (::mkdtemp(path.data()) == nullptr) std::abort();
  return path;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string base = scratch_directory();
  const std::string inside = base + "/package";
  std::error_code ignored;
  std::filesystem::remove_all(inside, ignored);
  std::filesystem::create_directory(inside);

  const lambdad::package::UnpackLimits limits{.unzipped_bytes_max = 1 << 20, .nodes_max = 1000};
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto judged = lambdad::package::inspect(bytes, limits);
  auto unpacked = lambdad::package::unpack(bytes, inside, limits);
  if (!judged && unpacked) std::abort();
  if (unpacked && unpacked->bytes >= limits.unzipped_bytes_max) std::abort();
  std::size_t beside = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(base)) ++beside;
  if (beside != 1) std::abort();
  return 0;
}
