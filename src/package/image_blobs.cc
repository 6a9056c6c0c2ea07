#include "package/image_blobs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>

#include "base/encoding.h"
#include "package/oci.h"

namespace lambdad::package {
namespace {

constexpr std::string_view kPartial = "/partial";
constexpr std::string_view kDigests = "/sha256";

Result<void> sync_directory(const std::string& path) {
  const UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory || ::fsync(directory.get()) != 0) return system_error(errno, "syncing " + path);
  return {};
}

}  // namespace

ImageBlobs::ImageBlobs(Files& files, std::string directory) : files_(files), directory_(std::move(directory)) {}

Result<void> ImageBlobs::start() {
  const std::string partial = directory_ + std::string(kPartial);
  LD_TRY_VOID(files_.make_directories(directory_ + std::string(kDigests)));
  LD_TRY_VOID(files_.remove_tree(partial));
  return files_.make_directories(partial);
}

// --- Hold -----------------------------------------------------------------------------------------------------------

ImageBlobs::Hold::Hold(std::shared_ptr<Held> held, std::string digest)
    : held_(std::move(held)), digest_(std::move(digest)) {
  const std::lock_guard lock(held_->mutex);
  ++held_->counts[digest_];
}

ImageBlobs::Hold& ImageBlobs::Hold::operator=(Hold&& other) noexcept {
  if (this != &other) {
    release();
    held_ = std::move(other.held_);
    digest_ = std::move(other.digest_);
  }
  return *this;
}

void ImageBlobs::Hold::release() {
  if (held_ == nullptr) return;
  {
    const std::lock_guard lock(held_->mutex);
    const auto place = held_->counts.find(digest_);
    if (--place->second == 0) held_->counts.erase(place);
  }
  held_.reset();
}

// --- Writer ---------------------------------------------------------------------------------------------------------

ImageBlobs::Writer::Writer(ImageBlobs& blobs, UniqueFd file, std::string path)
    : blobs_(blobs), file_(std::move(file)), path_(std::move(path)) {}

ImageBlobs::Writer::~Writer() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

Result<void> ImageBlobs::Writer::append(std::string_view bytes) {
  hash_.update(bytes);
  size_ += bytes.size();
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_.get(), bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return system_error(errno, "writing " + path_);
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Result<ImageBlobs::Stored> ImageBlobs::Writer::finish(const std::string& expected) {
  Stored stored{.digest = digest_from_hex(hex_encode(hash_.finish())), .size = size_};
  if (!expected.empty() && stored.digest != expected) {
    return fail(Errc::kConflict, "the bytes have the digest {}, not {}", stored.digest, expected);
  }
  stored.hold = blobs_.hold(stored.digest);
  if (::fsync(file_.get()) != 0) return system_error(errno, "syncing " + path_);
  const std::string place = blobs_.path(stored.digest);
  // Also over an equal blob that is there: an earlier process may have died before the directory was synced.
  if (::rename(path_.c_str(), place.c_str()) != 0) return system_error(errno, "renaming to " + place);
  path_.clear();
  LD_TRY_VOID(sync_directory(blobs_.directory_ + std::string(kDigests)));
  return stored;
}

// --- ImageBlobs -----------------------------------------------------------------------------------------------------

Result<std::unique_ptr<ImageBlobs::Writer>> ImageBlobs::begin() {
  static std::atomic<std::uint64_t> counter{0};
  std::string path = fmt::format("{}{}/{}", directory_, kPartial, counter.fetch_add(1, std::memory_order_relaxed));
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return system_error(errno, "creating " + path);
  return std::unique_ptr<Writer>(new Writer(*this, std::move(file), std::move(path)));
}

Result<ImageBlobs::Stored> ImageBlobs::put(std::string_view bytes) {
  LD_TRY(const auto writer, begin());
  LD_TRY_VOID(writer->append(bytes));
  return writer->finish();
}

std::string ImageBlobs::path(const std::string& digest) const {
  LD_CHECK(is_image_digest(digest), "'{}' is no digest", escape_control(digest));
  return fmt::format("{}{}/{}", directory_, kDigests, digest_hex(digest));
}

Result<std::uint64_t> ImageBlobs::size(const std::string& digest) const {
  struct stat status{};
  const std::string file = path(digest);
  if (::stat(file.c_str(), &status) != 0) return system_error(errno, "looking at " + file);
  return static_cast<std::uint64_t>(status.st_size);
}

Result<std::string> ImageBlobs::read(const std::string& digest, std::size_t bytes_max) const {
  LD_TRY(const std::uint64_t bytes, size(digest));
  if (bytes > bytes_max) return fail(Errc::kTooLarge, "{} has {} bytes, more than {}", digest, bytes, bytes_max);
  LD_TRY(std::string content, files_.read(path(digest)));
  if (image_digest_of(content) != digest) return fail(Errc::kCorrupt, "{} does not match its name", path(digest));
  return content;
}

Result<std::string> ImageBlobs::read_at(const std::string& digest, std::uint64_t offset, std::size_t count) const {
  const std::string file = path(digest);
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return system_error(errno, "opening " + file);
  std::string bytes(count, '\0');
  std::size_t filled = 0;
  while (filled < count) {
    const ssize_t got = ::pread(fd.get(), bytes.data() + filled, count - filled, static_cast<off_t>(offset + filled));
    if (got < 0) {
      if (errno == EINTR) continue;
      return system_error(errno, "reading " + file);
    }
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  bytes.resize(filled);
  return bytes;
}

Result<std::size_t> ImageBlobs::sweep(const std::set<std::string>& keep) {
  LD_TRY(const auto names, files_.list(directory_ + std::string(kDigests)));
  std::size_t removed = 0;
  for (const std::string& name : names) {
    const std::string digest = digest_from_hex(name);
    if (!is_image_digest(digest) || keep.contains(digest)) continue;
    // Under the lock, so that nobody takes a Hold and finds the blob between our look and its end.
    const std::lock_guard lock(held_->mutex);
    if (held_->counts.contains(digest)) continue;
    if (auto gone = files_.remove(path(digest)); !gone && gone.error().code != Errc::kNotFound) {
      return std::unexpected(gone.error());
    }
    ++removed;
  }
  return removed;
}

}  // namespace lambdad::package
