#include "package/image_unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/encoding.h"
#include "base/hash.h"
#include "package/oci.h"
#include "system/files.h"

namespace lambdad::package {
namespace {

constexpr std::size_t kPieceBytes = 128 * 1024;
constexpr std::size_t kPathBytesMax = 4096;
constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr std::string_view kWhiteoutOfTools = ".wh..wh.";  // aufs's own notes, such as .wh..wh.plnk

struct ArchiveEnd {
  void operator()(::archive* reader) const { ::archive_read_free(reader); }
};
using Archive = std::unique_ptr<::archive, ArchiveEnd>;

std::string shown(std::string_view path) { return escape_control(path.substr(0, 200)); }

std::unexpected<Error> damaged(::archive* reader, std::string_view what) {
  const char* why = ::archive_error_string(reader);
  return fail(Errc::kInvalid, "{}: {}", what, escape_control(why != nullptr ? why : "damaged"));
}

/// An error of the file system; what only a strange archive can cause is the archive's fault.
std::unexpected<Error> refused(int error_number, std::string_view doing, std::string_view path) {
  const std::string text = fmt::format("{} '{}' of an image", doing, shown(path));
  switch (error_number) {
    case ENAMETOOLONG:
    case ELOOP:
    case ENOTDIR:
    case EINVAL:
    case EISDIR:
    case ENOENT:
    case EEXIST:
    case EMLINK:
    case EXDEV: return fail(Errc::kInvalid, "{}: {}", text, std::strerror(error_number));
    default: return system_error(error_number, text);
  }
}

/// A directory or file as seen by who has `root` as its root directory.
UniqueFd open_inside(int root, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  return UniqueFd(static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how)));
}

Result<std::vector<std::string>> children(int directory, const std::string& path) {
  const int copy = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* stream = copy < 0 ? nullptr : ::fdopendir(copy);
  if (stream == nullptr) return refused(errno, "listing", path);
  std::vector<std::string> names;
  while (const dirent* found = ::readdir(stream)) {
    const std::string_view name = found->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  ::closedir(stream);
  return names;
}

struct Place {
  std::vector<std::string> parents;
  std::string name;  // empty: the root itself
};

Result<Place> place_of(std::string_view path, std::size_t depth_max) {
  if (path.size() > kPathBytesMax) return fail(Errc::kInvalid, "a name of {} bytes in an image", path.size());
  Place place;
  std::vector<std::string> parts;
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part == "..") return fail(Errc::kInvalid, "a name with '..' in an image");
    if (!part.empty() && part != ".") parts.emplace_back(part);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  }
  if (parts.size() > depth_max) return fail(Errc::kInvalid, "directories nested more than {} deep", depth_max);
  if (parts.empty()) return place;
  place.name = std::move(parts.back());
  parts.pop_back();
  place.parents = std::move(parts);
  return place;
}

std::string joined(const std::vector<std::string>& parts, std::size_t count) {
  std::string path;
  for (std::size_t i = 0; i < count; ++i) path.append(i == 0 ? "" : "/").append(parts[i]);
  return path;
}

/// The uncompressed tar of a layer file: what the tar reader reads, hashed and counted on the way.
class LayerStream {
 public:
  LayerStream(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}

  Result<void> open(const std::string& file) {
    file_ = UniqueFd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!file_) return system_error(errno, "opening the layer " + file);
    raw_.reset(::archive_read_new());
    if (raw_ == nullptr || ::archive_read_support_filter_gzip(raw_.get()) != ARCHIVE_OK ||
        ::archive_read_support_filter_zstd(raw_.get()) != ARCHIVE_OK ||
        ::archive_read_support_format_raw(raw_.get()) != ARCHIVE_OK ||
        ::archive_read_support_format_empty(raw_.get()) != ARCHIVE_OK) {
      // ARCHIVE_WARN would mean that an external program decompresses.
      return fail(Errc::kInternal, "libarchive cannot read gzip and zstd by itself");
    }
    if (::archive_read_open_fd(raw_.get(), file_.get(), kPieceBytes) != ARCHIVE_OK) {
      return damaged(raw_.get(), "a layer cannot be read");
    }
    ::archive_entry* entry = nullptr;
    const int began = ::archive_read_next_header(raw_.get(), &entry);
    if (began == ARCHIVE_EOF) {
      ended_ = true;
    } else if (began != ARCHIVE_OK && began != ARCHIVE_WARN) {
      return damaged(raw_.get(), "a layer cannot be decompressed");
    }
    return {};
  }

  /// The next piece; empty at the end.
  Result<std::string_view> next() {
    if (ended_) return std::string_view();
    const la_ssize_t got = ::archive_read_data(raw_.get(), buffer_.data(), buffer_.size());
    if (got < 0) return damaged(raw_.get(), "a layer cannot be decompressed");
    if (got == 0) {
      ended_ = true;
      return std::string_view();
    }
    const std::string_view piece(buffer_.data(), static_cast<std::size_t>(got));
    bytes_ += piece.size();
    if (bytes_ > bytes_max_) return fail(Errc::kTooLarge, "the image has more than its limit of uncompressed bytes");
    hash_.update(piece);
    return piece;
  }
  std::uint64_t bytes() const { return bytes_; }
  std::string digest() { return digest_from_hex(hex_encode(hash_.finish())); }

  std::optional<Error> failure;  ///< of next(), when the tar reader called it

 private:
  std::uint64_t bytes_max_;
  UniqueFd file_;
  Archive raw_;
  Sha256 hash_;
  std::uint64_t bytes_ = 0;
  bool ended_ = false;
  std::vector<char> buffer_ = std::vector<char>(kPieceBytes);
};

la_ssize_t read_layer(::archive* reader, void* context, const void** buffer) {
  auto& stream = *static_cast<LayerStream*>(context);
  auto piece = stream.next();
  if (!piece) {
    ::archive_set_error(reader, EIO, "%s", piece.error().detail.c_str());
    stream.failure = std::move(piece.error());
    return -1;
  }
  *buffer = piece->data();
  return static_cast<la_ssize_t>(piece->size());
}

}  // namespace

class ImageUnpacker::Impl {
 public:
  Impl(UniqueFd root, const ImageLimits& limits) : root_(std::move(root)), limits_(limits) {
    depths_.emplace(inode_of(root_.get()), 0);
  }

  Result<void> apply(const std::string& layer_file, const std::string& diff_id) {
    fresh_.clear();
    forget_parent();
    LayerStream stream(limits_.unpacked_bytes_max - report_.bytes);
    LD_TRY_VOID(stream.open(layer_file));
    if (auto placed = place_entries(stream); !placed) {
      return stream.failure ? std::unexpected(*stream.failure) : placed;
    }
    // Behind the tar's end there may be padding, which counts for the digest.
    for (;;) {
      LD_TRY(const auto piece, stream.next());
      if (piece.empty()) break;
    }
    report_.bytes += stream.bytes();
    if (diff_id.empty()) return {};
    if (const std::string digest = stream.digest(); digest != diff_id) {
      return fail(Errc::kConflict, "a layer's tar has the digest {}, and the image names {}", digest, diff_id);
    }
    return {};
  }

  Result<ImageReport> finish() {
    forget_parent();
    for (const char* name : {"proc", "dev", "tmp"}) LD_TRY_VOID(make_real(root_.get(), name, S_IFDIR));
    UniqueFd etc = open_inside(root_.get(), "etc", O_RDONLY | O_DIRECTORY);
    if (!etc) {
      // Absent, no directory, or a link that leads nowhere.
      LD_TRY_VOID(make_real(root_.get(), "etc", S_IFDIR));
      etc = open_inside(root_.get(), "etc", O_RDONLY | O_DIRECTORY);
    }
    for (const char* name : {"hosts", "resolv.conf"}) LD_TRY_VOID(make_real(etc.get(), name, S_IFREG));
    return report_;
  }

 private:
  static ino_t inode_of(int descriptor) {
    struct stat status{};
    LD_CHECK(::fstat(descriptor, &status) == 0, "fstat: {}", errno);
    return status.st_ino;
  }
  /// What this layer has made: whiteouts do not concern it. By directory and name, not by path, since a path may lead
  /// through links.
  static std::string fresh_key(ino_t parent, std::string_view name) {
    std::string key(sizeof parent, '\0');
    std::memcpy(key.data(), &parent, sizeof parent);
    return key.append(name);
  }

  Result<void> place_entries(LayerStream& stream) {
    const Archive tar(::archive_read_new());
    if (tar == nullptr || ::archive_read_support_format_tar(tar.get()) != ARCHIVE_OK ||
        ::archive_read_support_format_empty(tar.get()) != ARCHIVE_OK) {
      return fail(Errc::kInternal, "libarchive cannot read tar");
    }
    if (::archive_read_open(tar.get(), &stream, nullptr, read_layer, nullptr) != ARCHIVE_OK) {
      return damaged(tar.get(), "a layer is no tar");
    }
    for (;;) {
      ::archive_entry* entry = nullptr;
      const int read = ::archive_read_next_header(tar.get(), &entry);
      if (read == ARCHIVE_EOF) return {};
      if (read != ARCHIVE_OK && read != ARCHIVE_WARN) return damaged(tar.get(), "a layer's tar is damaged");
      LD_TRY_VOID(place(tar.get(), entry));
    }
  }

  Result<void> place(::archive* tar, ::archive_entry* entry) {
    if (++report_.nodes > limits_.nodes_max) {
      return fail(Errc::kTooLarge, "the image has more than {} entries", limits_.nodes_max);
    }
    const char* text = ::archive_entry_pathname(entry);
    if (text == nullptr) text = ::archive_entry_pathname_utf8(entry);
    if (text == nullptr) return fail(Errc::kInvalid, "an entry of an image has a name that cannot be read");
    const std::string path(text);
    LD_TRY(const Place at, place_of(path, limits_.depth_max));
    if (at.name.empty()) return {};
    if (at.name.starts_with(kWhiteout)) return white_out(at);

    const mode_t type = ::archive_entry_filetype(entry);
    const char* hard_link = ::archive_entry_hardlink(entry);
    if (hard_link == nullptr && type != S_IFREG && type != S_IFDIR && type != S_IFLNK) {
      ++report_.dropped;
      return {};
    }
    LD_TRY(const int parent, parent_of(at.parents));
    const mode_t mode = ::archive_entry_perm(entry) & 0777;
    if (hard_link != nullptr) {
      LD_TRY_VOID(make_hard_link(hard_link, parent, at, path));
    } else if (type == S_IFDIR) {
      LD_TRY_VOID(make_directory(parent, at.name, mode, path));
    } else {
      LD_TRY_VOID(clear(parent, at.name, path));
      LD_TRY_VOID(type == S_IFLNK ? make_link(entry, parent, at.name, path)
                                  : make_file(tar, entry, parent, at.name, mode, path));
    }
    fresh_.insert(fresh_key(parent_inode_, at.name));
    return {};
  }

  static Result<void> make_link(::archive_entry* entry, int parent, const std::string& name, const std::string& path) {
    const char* target = ::archive_entry_symlink(entry);
    if (target == nullptr) target = ::archive_entry_symlink_utf8(entry);
    if (target == nullptr) return fail(Errc::kInvalid, "the link '{}' of an image has no target", shown(path));
    if (::symlinkat(target, parent, name.c_str()) != 0) return refused(errno, "making the link", path);
    return {};
  }

  Result<void> make_file(::archive* tar, ::archive_entry* entry, int parent, const std::string& name, mode_t mode,
                         const std::string& path) {
    const la_int64_t claimed = ::archive_entry_size(entry);
    const std::uint64_t left = limits_.unpacked_bytes_max - file_bytes_;
    if (claimed < 0 || static_cast<std::uint64_t>(claimed) > left) {
      return fail(Errc::kTooLarge, "'{}' of an image is larger than what is left of its limit", shown(path));
    }
    const UniqueFd file(::openat(parent, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) return refused(errno, "creating", path);
    std::uint64_t written = 0;
    for (;;) {
      const la_ssize_t got = ::archive_read_data(tar, piece_.data(), piece_.size());
      if (got < 0) return damaged(tar, fmt::format("'{}' of an image", shown(path)));
      if (got == 0) break;
      written += static_cast<std::uint64_t>(got);
      // A sparse file has more bytes than the tar.
      if (written > left) return fail(Errc::kTooLarge, "'{}' of an image is beyond its limit", shown(path));
      for (la_ssize_t at = 0; at < got;) {
        const ssize_t count = ::write(file.get(), piece_.data() + at, static_cast<std::size_t>(got - at));
        if (count < 0 && errno != EINTR)
          return system_error(errno, fmt::format("writing '{}' of an image", shown(path)));
        if (count > 0) at += count;
      }
    }
    file_bytes_ += written;
    if (::fchmod(file.get(), mode | 0600) != 0) return refused(errno, "setting the mode of", path);
    if (::archive_entry_mtime_is_set(entry) != 0) {
      // Interpreters compare the times of sources with those of compiled files.
      const std::array<timespec, 2> times{timespec{.tv_sec = 0, .tv_nsec = UTIME_OMIT},
                                          timespec{.tv_sec = ::archive_entry_mtime(entry), .tv_nsec = 0}};
      (void)::futimens(file.get(), times.data());
    }
    return {};
  }

  Result<void> make_directory(int parent, const std::string& name, mode_t mode, const std::string& path) {
    struct stat status{};
    const bool there = ::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
    if (!there) {
      LD_TRY_VOID(clear(parent, name, path));
      LD_TRY_VOID(make_one_directory(parent, name, path));
    }
    if (::fchmodat(parent, name.c_str(), mode | 0700, 0) != 0) return refused(errno, "setting the mode of", path);
    return {};
  }

  /// A new directory, its depth noted: through links of its own an image could otherwise nest without bound.
  Result<void> make_one_directory(int parent, const std::string& name, const std::string& path) {
    const auto above = depths_.find(inode_of(parent));
    if (above == depths_.end())
      return fail(Errc::kInternal, "'{}' of an image is below no directory of it", shown(path));
    const std::size_t depth = above->second + 1;
    if (depth > limits_.depth_max) {
      return fail(Errc::kInvalid, "directories nested more than {} deep", limits_.depth_max);
    }
    if (::mkdirat(parent, name.c_str(), 0755) != 0) return refused(errno, "making the directory", path);
    struct stat status{};
    if (::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return refused(errno, "looking at", path);
    depths_.insert_or_assign(status.st_ino, depth);
    // Whatever the process's umask.
    if (::fchmodat(parent, name.c_str(), 0755, 0) != 0) return refused(errno, "setting the mode of", path);
    return {};
  }

  Result<void> make_hard_link(const std::string& target, int parent, const Place& at, const std::string& path) {
    LD_TRY(const Place to, place_of(target, limits_.depth_max));
    if (to.name.empty()) return fail(Errc::kInvalid, "'{}' of an image is a hard link to a directory", shown(path));
    const std::string directory = to.parents.empty() ? "/" : joined(to.parents, to.parents.size());
    const UniqueFd from = open_inside(root_.get(), directory, O_RDONLY | O_DIRECTORY);
    struct stat target_status{};
    if (!from || ::fstatat(from.get(), to.name.c_str(), &target_status, AT_SYMLINK_NOFOLLOW) != 0) {
      return fail(Errc::kInvalid, "the hard link '{}' of an image leads to nothing", shown(path));
    }
    if (S_ISDIR(target_status.st_mode)) {
      return fail(Errc::kInvalid, "'{}' of an image is a hard link to a directory", shown(path));
    }
    struct stat status{};
    if (::fstatat(parent, at.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        status.st_ino == target_status.st_ino) {
      return {};  // a link to itself, or one that is there
    }
    LD_TRY_VOID(clear(parent, at.name, path));
    if (::linkat(from.get(), to.name.c_str(), parent, at.name.c_str(), 0) != 0) {
      return refused(errno, "making the hard link", path);
    }
    return {};
  }

  // --- parents ---

  /// The directory an entry goes into; kept open, since archives list a directory's files together. Missing ones are
  /// made.
  Result<int> parent_of(const std::vector<std::string>& parents) {
    if (parent_ && parents == parent_path_) return parent_.get();
    const std::string whole = parents.empty() ? "/" : joined(parents, parents.size());
    UniqueFd found = open_inside(root_.get(), whole, O_RDONLY | O_DIRECTORY);
    if (!found && errno == ENOENT) {
      found = open_inside(root_.get(), "/", O_RDONLY | O_DIRECTORY);
      for (std::size_t i = 0; i < parents.size(); ++i) {
        const std::string part = joined(parents, i + 1);
        UniqueFd next = open_inside(root_.get(), part, O_RDONLY | O_DIRECTORY);
        if (!next && errno == ENOENT) {
          fresh_.insert(fresh_key(inode_of(found.get()), parents[i]));
          LD_TRY_VOID(make_one_directory(found.get(), parents[i], part));
          next = open_inside(root_.get(), part, O_RDONLY | O_DIRECTORY);
        }
        if (!next) return refused(errno, "opening", part);
        found = std::move(next);
      }
    }
    if (!found) return refused(errno, "opening", whole);
    parent_ = std::move(found);
    parent_inode_ = inode_of(parent_.get());
    parent_path_ = parents;
    return parent_.get();
  }
  void forget_parent() {
    parent_.reset();
    parent_path_.clear();
  }

  // --- removing ---

  Result<void> white_out(const Place& at) {
    const std::string directory = at.parents.empty() ? "/" : joined(at.parents, at.parents.size());
    const UniqueFd parent = open_inside(root_.get(), directory, O_RDONLY | O_DIRECTORY);
    if (!parent) {
      if (errno == ENOENT || errno == ENOTDIR) return {};  // nothing to hide
      return refused(errno, "opening", directory);
    }
    forget_parent();
    if (at.name == kOpaque) return clear_lower(parent.get(), directory);
    if (std::string_view(at.name).starts_with(kWhiteoutOfTools)) return {};
    const std::string hidden = at.name.substr(kWhiteout.size());
    if (hidden.empty() || hidden == "." || hidden == "..") {
      return fail(Errc::kInvalid, "the whiteout '{}' of an image hides no name", shown(at.name));
    }
    return remove(parent.get(), hidden, Which::kLower, directory);
  }

  enum class Which { kAll, kLower };

  Result<void> clear(int parent, const std::string& name, const std::string& path) {
    struct stat status{};
    if (::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) return {};
      return refused(errno, "looking at", path);
    }
    if (!S_ISDIR(status.st_mode)) {
      // `parent` may be the kept descriptor; what goes is no directory and so not its path.
      if (::unlinkat(parent, name.c_str(), 0) != 0) return refused(errno, "replacing", path);
      if (S_ISLNK(status.st_mode)) parent_path_.assign(1, std::string());  // a kept path may lead through the link
      return {};
    }
    // The caller still uses `parent`; only its path must not be trusted any more.
    parent_path_.assign(1, std::string());
    return remove(parent, name, Which::kAll, path);
  }

  /// The lower layers' children of a directory.
  Result<void> clear_lower(int directory, const std::string& path) {
    LD_TRY(const auto names, children(directory, path));
    for (const std::string& name : names) LD_TRY_VOID(remove(directory, name, Which::kLower, path));
    return {};
  }

  /// Depth is bounded by depth_max, and so are recursion and descriptors.
  Result<void> remove(int parent, const std::string& name, Which which, const std::string& path) {
    struct stat status{};
    if (::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) return {};
      return refused(errno, "looking at", path);
    }
    const std::string key = fresh_key(inode_of(parent), name);
    const bool stays = which == Which::kLower && fresh_.contains(key);
    if (!S_ISDIR(status.st_mode)) {
      if (stays) return {};
      if (::unlinkat(parent, name.c_str(), 0) != 0) return refused(errno, "hiding", path);
      fresh_.erase(key);
      return {};
    }
    {
      const UniqueFd directory(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!directory) return refused(errno, "opening", path);
      LD_TRY(const auto names, children(directory.get(), path));
      for (const std::string& child : names) LD_TRY_VOID(remove(directory.get(), child, which, path));
    }
    if (stays) return {};
    if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0) {
      // What this layer put into a lower directory stays, and the directory with it.
      if (which == Which::kLower && (errno == ENOTEMPTY || errno == EEXIST)) return {};
      return refused(errno, "hiding", path);
    }
    depths_.erase(status.st_ino);
    fresh_.erase(key);
    return {};
  }

  /// Whatever stands there, afterwards it is a directory or a file of our own.
  Result<void> make_real(int parent, const std::string& name, mode_t type) {
    struct stat status{};
    const bool there = ::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
    if (there && (status.st_mode & S_IFMT) == type) return {};
    if (there) LD_TRY_VOID(remove(parent, name, Which::kAll, name));
    if (type == S_IFDIR) {
      if (::mkdirat(parent, name.c_str(), 0755) != 0 || ::fchmodat(parent, name.c_str(), 0755, 0) != 0) {
        return refused(errno, "making the directory", name);
      }
      return {};
    }
    const UniqueFd file(::openat(parent, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (!file || ::fchmod(file.get(), 0644) != 0) return refused(errno, "making", name);
    return {};
  }

  const UniqueFd root_;
  const ImageLimits limits_;
  ImageReport report_;
  std::uint64_t file_bytes_ = 0;
  std::unordered_set<std::string> fresh_;
  std::unordered_map<ino_t, std::size_t> depths_;  // of every directory, the root having 0
  UniqueFd parent_;
  ino_t parent_inode_ = 0;
  std::vector<std::string> parent_path_;
  std::vector<char> piece_ = std::vector<char>(kPieceBytes);
};

ImageUnpacker::ImageUnpacker(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ImageUnpacker::~ImageUnpacker() = default;

Result<std::unique_ptr<ImageUnpacker>> ImageUnpacker::open(const std::string& directory, const ImageLimits& limits) {
  UniqueFd root(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!root || ::fchmod(root.get(), 0755) != 0) return system_error(errno, "opening " + directory);
  return std::unique_ptr<ImageUnpacker>(new ImageUnpacker(std::make_unique<Impl>(std::move(root), limits)));
}

Result<void> ImageUnpacker::apply(const std::string& layer_file, const std::string& diff_id) {
  return impl_->apply(layer_file, diff_id);
}
Result<ImageReport> ImageUnpacker::finish() { return impl_->finish(); }

std::vector<std::string> programs_in(const std::string& tree, const std::string& directory) {
  const UniqueFd root(::open(tree.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const UniqueFd place = root ? open_inside(root.get(), directory, O_RDONLY | O_DIRECTORY) : UniqueFd();
  if (!place) return {};
  auto names = children(place.get(), directory).value_or(std::vector<std::string>());
  std::erase_if(names, [&](const std::string& name) {
    const UniqueFd file = open_inside(root.get(), fmt::format("{}/{}", directory, name), O_PATH);
    struct stat status{};
    return !file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) || (status.st_mode & 0111) == 0;
  });
  std::ranges::sort(names);
  return names;
}

}  // namespace lambdad::package
