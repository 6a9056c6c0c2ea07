#include "store/blobs.h"

#include "base/encoding.h"
#include "base/hash.h"
#include "system/fault.h"

namespace lambdad::store {
namespace {

constexpr std::size_t kSyncedMax = 65536;  // about 8 MB

bool is_name(std::string_view name) {
  return name.size() == 64 && name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace

Blobs::Blobs(Files& files, std::string directory) : files_(files), directory_(std::move(directory)) {}

std::string Blobs::path(const std::string& name) const {
  LD_CHECK(is_name(name), "'{}' is no name of a blob", name);
  return fmt::format("{}/{}/{}", directory_, std::string_view(name).substr(0, 2), name);
}

Result<std::string> Blobs::put(std::string_view bytes) {
  std::string name = hex_encode(sha256(bytes));
  std::string file = path(name);
  {
    std::lock_guard lock(mutex_);
    if (synced_.contains(name) && files_.exists(file)) return name;
  }
  LD_TRY_VOID(files_.make_directories(file.substr(0, file.rfind('/'))));
  if (fault::point("blobs.before_write")) return fail(Errc::kUnavailable, "injected I/O error at blobs.before_write");
  LD_TRY_VOID(files_.write_durably(file, bytes));
  if (fault::point("blobs.after_write")) return fail(Errc::kUnavailable, "injected I/O error at blobs.after_write");
  std::lock_guard lock(mutex_);
  if (synced_.size() >= kSyncedMax) synced_.clear();
  synced_.insert(name);
  return name;
}

Result<std::string> Blobs::get(const std::string& name) {
  if (!is_name(name)) return fail(Errc::kInvalid, "'{}' is no name of a blob", name);
  LD_TRY(std::string bytes, files_.read(path(name)));
  if (hex_encode(sha256(bytes)) != name) return fail(Errc::kCorrupt, "{} does not match its name", path(name));
  return bytes;
}

Result<void> Blobs::remove(const std::string& name) {
  if (!is_name(name)) return fail(Errc::kInvalid, "'{}' is no name of a blob", name);
  {
    std::lock_guard lock(mutex_);
    synced_.erase(name);
  }
  return files_.remove(path(name));
}

}  // namespace lambdad::store
