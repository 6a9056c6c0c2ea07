#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "package/image_blobs.h"
#include "package/image_unpack.h"
#include "package/oci.h"

namespace lambdad::package {

/// An image out of an archive: its parts are blobs now and held until a row names them.
struct ArchivedImage {
  std::string manifest;                   ///< bytes
  std::vector<ImageBlobs::Stored> blobs;  ///< configuration and layers, each once
};

/// Reads a tar, uncompressed or in gzip or zstd, that is what `docker save` writes or an OCI layout. Of an index the
/// image for this machine is taken. For a docker archive the manifest is made here, from its configuration and layers.
/// Nothing of the tar's names reaches the file system: files become blobs by content.
/// Any thread; blocks. Errors: kInvalid (no such archive, several images, a part is missing), kTooLarge, and those of
/// ImageBlobs.
Result<ArchivedImage> read_image_archive(ImageBlobs& blobs, const std::string& file, const ImageLimits& limits = {});

}  // namespace lambdad::package
