/// For tests: layers, images and archives made in memory, with libarchive as the writer.
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/json.h"
#include "package/oci.h"

namespace lambdad::package {

/// A tar, entry by entry, with names and types as given.
class TestTar {
 public:
  enum class Filter { kNone, kGzip, kZstd };
  explicit TestTar(Filter filter = Filter::kNone) : writer_(::archive_write_new()) {
    ::archive_write_set_format_pax_restricted(writer_);
    if (filter == Filter::kGzip) ::archive_write_add_filter_gzip(writer_);
    if (filter == Filter::kZstd) ::archive_write_add_filter_zstd(writer_);
    ::archive_write_set_bytes_in_last_block(writer_, 1);
    ::archive_write_open(writer_, &bytes_, nullptr, write, nullptr);
  }
  TestTar(const TestTar&) = delete;
  TestTar& operator=(const TestTar&) = delete;
  ~TestTar() { bytes(); }

  TestTar& file(const std::string& path, std::string_view body, unsigned mode = 0644, std::int64_t mtime = 0) {
    return add(path, S_IFREG, mode, body, {}, {}, mtime);
  }
  TestTar& directory(const std::string& path, unsigned mode = 0755) { return add(path, S_IFDIR, mode); }
  TestTar& symlink(const std::string& path, const std::string& to) { return add(path, S_IFLNK, 0777, {}, to); }
  TestTar& hardlink(const std::string& path, const std::string& to) { return add(path, S_IFREG, 0644, {}, {}, to); }
  TestTar& node(const std::string& path, unsigned type) { return add(path, type, 0666); }

  /// Ends the tar.
  const std::string& bytes() {
    if (writer_ != nullptr) {
      ::archive_write_close(writer_);
      ::archive_write_free(writer_);
      writer_ = nullptr;
    }
    return bytes_;
  }

 private:
  static la_ssize_t write(::archive*, void* context, const void* data, std::size_t size) {
    static_cast<std::string*>(context)->append(static_cast<const char*>(data), size);
    return static_cast<la_ssize_t>(size);
  }
  TestTar& add(const std::string& path, unsigned type, unsigned mode, std::string_view body = {},
               const std::string& link = {}, const std::string& hard = {}, std::int64_t mtime = 0) {
    ::archive_entry* entry = ::archive_entry_new();
    ::archive_entry_set_pathname(entry, path.c_str());
    ::archive_entry_set_filetype(entry, type);
    ::archive_entry_set_perm(entry, static_cast<mode_t>(mode));
    ::archive_entry_set_size(entry, static_cast<la_int64_t>(body.size()));
    ::archive_entry_set_mtime(entry, mtime, 0);
    if (!link.empty()) ::archive_entry_set_symlink(entry, link.c_str());
    if (!hard.empty()) ::archive_entry_set_hardlink(entry, hard.c_str());
    if (type == S_IFCHR || type == S_IFBLK) ::archive_entry_set_rdev(entry, 0x103);
    ::archive_write_header(writer_, entry);
    if (!body.empty()) ::archive_write_data(writer_, body.data(), body.size());
    ::archive_entry_free(entry);
    return *this;
  }

  std::string bytes_;
  ::archive* writer_;
};

/// Configuration and manifest for layers that are uncompressed tars.
struct TestImage {
  std::string config;
  std::string manifest;
  std::vector<std::string> layers;

  explicit TestImage(std::vector<std::string> layer_tars, json::Object run = {},
                     std::string_view architecture = host_image_architecture())
      : layers(std::move(layer_tars)) {
    json::Array ids;
    json::Array descriptors;
    for (const std::string& layer : layers) {
      ids.emplace_back(image_digest_of(layer));
      descriptors.emplace_back(descriptor(media_type::kOciLayer, layer));
    }
    config = json::serialize(json::Object{{"architecture", std::string(architecture)},
                                          {"os", "linux"},
                                          {"config", std::move(run)},
                                          {"rootfs", json::Object{{"type", "layers"}, {"diff_ids", std::move(ids)}}}});
    manifest = json::serialize(json::Object{{"schemaVersion", 2},
                                            {"mediaType", media_type::kOciManifest},
                                            {"config", descriptor(media_type::kOciConfig, config)},
                                            {"layers", std::move(descriptors)}});
  }
  std::string digest() const { return image_digest_of(manifest); }
  static json::Object descriptor(std::string_view type, std::string_view bytes) {
    return {{"mediaType", type}, {"digest", image_digest_of(bytes)}, {"size", bytes.size()}};
  }
};

}  // namespace lambdad::package
