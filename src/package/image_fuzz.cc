// Any bytes as a manifest, a configuration, a reference, or a layer: judged without a crash, within the limits, and
// with nothing written outside the directory. The first byte says which.
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "package/image_unpack.h"
#include "package/oci.h"

namespace {

namespace fs = std::filesystem;

std::string scratch_directory() {
  std::string path = (fs::temp_directory_path() / "lambdad-image-fuzz-XXXXXX").string();
  if (::mkdtemp(path.data()) == nullptr) std::abort();
  return path;
}

void unpack(std::string_view bytes) {
  static const std::string base = scratch_directory();
  static const std::string outside = scratch_directory();
  std::error_code ignored;
  fs::remove_all(base, ignored);
  fs::create_directory(base);
  const std::string layer = outside + "/layer";
  std::ofstream(layer, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  const lambdad::package::ImageLimits limits{.unpacked_bytes_max = 1 << 20, .nodes_max = 1000, .depth_max = 20};
  auto unpacker = lambdad::package::ImageUnpacker::open(base, limits);
  if (!unpacker) std::abort();
  // Twice, so that links and whiteouts of the first meet entries of the second.
  if ((*unpacker)->apply(layer, "") && (*unpacker)->apply(layer, "")) {
    if (auto report = (*unpacker)->finish(); report && report->bytes > limits.unpacked_bytes_max) std::abort();
  }
  std::size_t beside = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(outside)) ++beside;
  if (beside != 1) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0:
      if (auto manifest = lambdad::package::parse_manifest(bytes)) {
        for (const auto& digest : manifest->references()) {
          if (!lambdad::package::is_image_digest(digest)) std::abort();
        }
        (void)lambdad::package::choose_platform(*manifest);
        (void)lambdad::package::check_media_types(*manifest);
      }
      break;
    case 1: (void)lambdad::package::parse_image_config(bytes); break;
    case 2:
      if (auto reference = lambdad::package::ImageReference::parse(bytes)) {
        auto again = lambdad::package::ImageReference::parse(reference->str());
        if (!again || again->str() != reference->str()) std::abort();
      }
      break;
    default: unpack(bytes);
  }
  return 0;
}
