#include "package/zip_archive.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include <zip.h>

#include "base/encoding.h"

namespace lambdad::package {
namespace {

constexpr int kLinksFollowedMax = 40;  // as Linux's MAXSYMLINKS
constexpr int kLinkStepsMax = 1000;    // components walked for one link; keeps crafted chains cheap to judge
constexpr std::uint64_t kLinkTargetBytesMax = 1023;  // one less than path_bytes_max: it is read into memory

std::string printable(std::string_view name) {
  constexpr std::size_t kShown = 200;
  std::string text = escape_control(name.substr(0, kShown));
  if (name.size() > kShown) text += "...";
  return text;
}

struct ZipCloser {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
struct ZipFileCloser {
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};
using ZipFilePtr = std::unique_ptr<zip_file_t, ZipFileCloser>;

std::string_view parent_of(std::string_view path) {
  auto slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

}  // namespace

struct ZipArchive::Handle {
  std::unique_ptr<zip_t, ZipCloser> zip;
};

ZipArchive::ZipArchive() : handle_(std::make_unique<Handle>()) {}
ZipArchive::ZipArchive(ZipArchive&&) noexcept = default;
ZipArchive& ZipArchive::operator=(ZipArchive&&) noexcept = default;
ZipArchive::~ZipArchive() = default;

Result<std::string> normalise_entry_name(std::string_view name, const UnpackLimits& limits) {
  if (name.empty()) return fail(Errc::kInvalid, "an entry has no name");
  if (name.size() > limits.path_bytes_max) {
    return fail(Errc::kInvalid, "the name '{}' is longer than {} bytes", printable(name), limits.path_bytes_max);
  }
  if (name.front() == '/') return fail(Errc::kInvalid, "the name '{}' is absolute", printable(name));
  if (name.find('\\') != std::string_view::npos) {
    return fail(Errc::kInvalid, "the name '{}' has a backslash; zip separates directories with '/'", printable(name));
  }
  if (std::ranges::any_of(name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; })) {
    return fail(Errc::kInvalid, "the name '{}' has a control character", printable(name));
  }
  if (name.size() >= 2 && name[1] == ':' && ((name[0] | 0x20) >= 'a' && (name[0] | 0x20) <= 'z')) {
    return fail(Errc::kInvalid, "the name '{}' begins with a drive letter", printable(name));
  }
  std::string normal;
  std::size_t at = 0;
  while (at < name.size()) {
    auto slash = name.find('/', at);
    auto component = name.substr(at, slash == std::string_view::npos ? slash : slash - at);
    at = slash == std::string_view::npos ? name.size() : slash + 1;
    if (component.empty()) return fail(Errc::kInvalid, "the name '{}' has an empty component", printable(name));
    if (component == ".") continue;
    if (component == "..") return fail(Errc::kInvalid, "the name '{}' leaves the package", printable(name));
    if (component.size() > limits.component_bytes_max) {
      return fail(Errc::kInvalid, "the name '{}' has a component longer than {} bytes", printable(name),
                  limits.component_bytes_max);
    }
    if (!normal.empty()) normal += '/';
    normal += component;
  }
  return normal;  // empty for "./": the package itself
}

bool link_stays_inside(std::string_view path, std::string_view target,
                       const std::vector<std::pair<std::string, std::string>>& links) {
  auto find_link = [&](std::string_view at) -> const std::string* {
    auto place = std::ranges::lower_bound(links, at, {}, [](const auto& link) { return std::string_view(link.first); });
    return place != links.end() && place->first == at ? &place->second : nullptr;
  };
  // The walk of the kernel: `here` is a path without links, `rest` what is still to be walked, next component last.
  std::string here;
  std::vector<std::string_view> rest;
  auto push_components = [&rest](std::string_view text) {
    while (!text.empty()) {
      auto slash = text.rfind('/');
      auto component = slash == std::string_view::npos ? text : text.substr(slash + 1);
      text = slash == std::string_view::npos ? std::string_view() : text.substr(0, slash);
      if (!component.empty() && component != ".") rest.push_back(component);
    }
  };
  if (target.empty() || target.front() == '/') return false;
  push_components(target);
  push_components(parent_of(path));  // walked first; holds no links, because no entry lies below one
  int followed = 1;
  int steps = 0;
  while (!rest.empty()) {
    if (++steps > kLinkStepsMax) return false;
    const std::string_view component = rest.back();
    rest.pop_back();
    if (component == "..") {
      if (here.empty()) return false;
      here.resize(parent_of(here).size());
      continue;
    }
    const std::size_t above = here.size();
    if (!here.empty()) here += '/';
    here += component;
    const std::string* next = find_link(here);
    if (next == nullptr) continue;
    if (++followed > kLinksFollowedMax) return false;
    if (next->empty() || next->front() == '/') return false;
    here.resize(above);
    push_components(*next);
  }
  return true;
}

Result<ZipArchive> ZipArchive::open(std::string_view bytes, const UnpackLimits& limits) {
  ZipArchive archive;
  zip_error_t error;
  zip_error_init(&error);
  // Not freed by libzip (last argument 0): `bytes` outlive the archive.
  zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
  if (source == nullptr) {
    zip_error_fini(&error);
    return fail(Errc::kUnavailable, "no memory to read a zip");
  }
  archive.handle_->zip.reset(zip_open_from_source(source, ZIP_RDONLY, &error));
  if (!archive.handle_->zip) {
    std::string why = zip_error_strerror(&error);
    zip_source_free(source);
    zip_error_fini(&error);
    return fail(Errc::kInvalid, "not a zip: {}", why);
  }
  zip_error_fini(&error);
  LD_TRY_VOID(archive.read_table(limits));
  return archive;
}

Result<void> ZipArchive::read_table(const UnpackLimits& limits) {
  zip_t* zip = handle_->zip.get();
  const auto count = static_cast<std::uint64_t>(std::max<zip_int64_t>(zip_get_num_entries(zip, 0), 0));
  if (count == 0) return fail(Errc::kInvalid, "the zip has no entries");
  if (count > limits.nodes_max) {
    return fail(Errc::kTooLarge, "the zip has {} entries, more than {}", count, limits.nodes_max);
  }

  std::map<std::string, ZipEntry> nodes;  // by path: sorted, so a directory comes before what is in it
  std::vector<std::pair<std::string, std::string>> links;
  for (std::uint64_t index = 0; index < count; ++index) {
    zip_stat_t stat;
    if (zip_stat_index(zip, index, 0, &stat) != 0 || (stat.valid & ZIP_STAT_NAME) == 0 ||
        (stat.valid & ZIP_STAT_SIZE) == 0) {
      return fail(Errc::kInvalid, "entry {} cannot be read", index);
    }
    const std::string_view raw = stat.name;
    LD_TRY(std::string path, normalise_entry_name(raw, limits));
    const bool ends_with_slash = raw.back() == '/';
    if (path.empty()) {
      if (stat.size == 0) continue;
      return fail(Errc::kInvalid, "the name '{}' is the package itself", printable(raw));
    }
    if ((stat.valid & ZIP_STAT_ENCRYPTION_METHOD) == 0 || stat.encryption_method != ZIP_EM_NONE) {
      return fail(Errc::kInvalid, "'{}' is encrypted", printable(raw));
    }
    if ((stat.valid & ZIP_STAT_COMP_METHOD) == 0 ||
        (stat.comp_method != ZIP_CM_STORE && stat.comp_method != ZIP_CM_DEFLATE)) {
      return fail(Errc::kInvalid, "'{}' is neither stored nor deflated (method {})", printable(raw), stat.comp_method);
    }

    ZipEntry entry{.path = path, .kind = EntryKind::kFile, .size = stat.size, .index = index};
    zip_uint8_t system = ZIP_OPSYS_DOS;
    zip_uint32_t attributes = 0;
    zip_file_get_external_attributes(zip, index, 0, &system, &attributes);
    const bool unix_mode = system == ZIP_OPSYS_UNIX || system == ZIP_OPSYS_OS_X;
    const mode_t mode = unix_mode ? attributes >> 16 : 0;
    switch (mode & S_IFMT) {
      case 0:
      case S_IFREG:
        if (ends_with_slash) entry.kind = EntryKind::kDirectory;
        break;
      case S_IFDIR: entry.kind = EntryKind::kDirectory; break;
      case S_IFLNK: entry.kind = EntryKind::kSymlink; break;
      default: return fail(Errc::kInvalid, "'{}' is a device, socket or pipe", printable(raw));
    }
    entry.executable = (mode & 0111) != 0;
    if (entry.kind == EntryKind::kDirectory && stat.size != 0) {
      return fail(Errc::kInvalid, "the directory '{}' has data", printable(raw));
    }
    if (entry.kind == EntryKind::kSymlink) {
      if (ends_with_slash || stat.size == 0 || stat.size > kLinkTargetBytesMax) {
        return fail(Errc::kInvalid, "the link '{}' has no usable target", printable(raw));
      }
      std::string target;
      LD_TRY_VOID(read(entry, [&target](std::string_view piece) -> Result<void> {
        target += piece;
        return {};
      }));
      if (target.find('\0') != std::string::npos) {
        return fail(Errc::kInvalid, "the link '{}' has a NUL in its target", printable(raw));
      }
      if (links.size() >= limits.links_max) {
        return fail(Errc::kTooLarge, "the package has more than {} symbolic links", limits.links_max);
      }
      entry.link_target = target;
      links.emplace_back(path, std::move(target));
    } else {
      // Compared so that the sum cannot overflow.
      if (stat.size >= limits.unzipped_bytes_max || claimed_bytes_ >= limits.unzipped_bytes_max - stat.size) {
        return fail(Errc::kTooLarge, "unzipped size is not below {} bytes", limits.unzipped_bytes_max);
      }
      claimed_bytes_ += stat.size;
    }

    // The directories on the way.
    for (std::string_view parent = parent_of(path); !parent.empty(); parent = parent_of(parent)) {
      auto [place, added] = nodes.try_emplace(std::string(parent));
      if (!added && place->second.kind == EntryKind::kDirectory) break;  // its own parents are there too
      if (!added) return fail(Errc::kInvalid, "'{}' lies below '{}', which is no directory", printable(raw), parent);
      place->second.path = parent;
      place->second.kind = EntryKind::kDirectory;
    }
    auto [place, added] = nodes.try_emplace(path, entry);
    if (!added && (place->second.kind != EntryKind::kDirectory || entry.kind != EntryKind::kDirectory)) {
      return fail(Errc::kInvalid, "the name '{}' is there twice", printable(raw));
    }
    if (nodes.size() > limits.nodes_max) {
      return fail(Errc::kTooLarge, "the package has more than {} files and directories", limits.nodes_max);
    }
  }

  std::ranges::sort(links);
  for (const auto& [path, target] : links) {
    if (!link_stays_inside(path, target, links)) {
      return fail(Errc::kInvalid, "the link '{}' to '{}' leaves the package", printable(path), printable(target));
    }
  }
  entries_.reserve(nodes.size());
  for (auto& [path, entry] : nodes) entries_.push_back(std::move(entry));
  if (entries_.empty()) return fail(Errc::kInvalid, "the zip has no entries");
  return {};
}

Result<void> ZipArchive::read_pieces(const ZipEntry& entry, Result<void> (*sink)(void*, std::string_view),
                                     void* context) const {
  zip_t* zip = handle_->zip.get();
  ZipFilePtr file(zip_fopen_index(zip, entry.index, 0));
  if (!file) return fail(Errc::kInvalid, "'{}' cannot be read: {}", printable(entry.path), zip_strerror(zip));
  std::array<char, 64 * 1024> buffer;
  std::uint64_t total = 0;
  for (;;) {
    const zip_int64_t got = zip_fread(file.get(), buffer.data(), buffer.size());
    if (got < 0) {
      return fail(Errc::kInvalid, "'{}' is damaged: {}", printable(entry.path), zip_file_strerror(file.get()));
    }
    if (got == 0) break;
    total += static_cast<std::uint64_t>(got);
    if (total > entry.size) return fail(Errc::kInvalid, "'{}' is longer than the archive says", printable(entry.path));
    LD_TRY_VOID(sink(context, std::string_view(buffer.data(), static_cast<std::size_t>(got))));
  }
  if (total != entry.size) return fail(Errc::kInvalid, "'{}' is shorter than the archive says", printable(entry.path));
  return {};
}

}  // namespace lambdad::package
