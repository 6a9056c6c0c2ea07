/// For simulations: a disk in memory under SQLite, which can be full, fail, and lose power. Header-only, so that it is
/// in no library.
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <sqlite3.h>

#include "base/error.h"
#include "system/random.h"

namespace lambdad::store {

/// While it lives it is SQLite's default VFS: what is opened then is on this disk. Directory entries are durable at
/// once. One at a time and one thread: databases are opened with Threads::kLoop.
class SimDisk {
 public:
  enum class Answer { kGo, kError, kFull };
  SimDisk() {
    below_ = sqlite3_vfs_find(nullptr);
    LD_CHECK(below_ != nullptr && current() == nullptr);
    current() = this;
    vfs_ = {};
    vfs_.iVersion = 2;
    vfs_.szOsFile = sizeof(File);
    vfs_.mxPathname = 512;
    vfs_.zName = "sim_disk";
    vfs_.xOpen = open;
    vfs_.xDelete = remove;
    vfs_.xAccess = [](sqlite3_vfs*, const char* name, int, int* exists) {
      *exists = current()->files_.contains(name) ? 1 : 0;
      return SQLITE_OK;
    };
    vfs_.xFullPathname = [](sqlite3_vfs*, const char* name, int size, char* out) {
      if (std::strlen(name) >= static_cast<std::size_t>(size)) return SQLITE_CANTOPEN;
      std::strcpy(out, name);
      return SQLITE_OK;
    };
    vfs_.xRandomness = [](sqlite3_vfs*, int size, char* out) {
      std::memset(out, 42, static_cast<std::size_t>(size));
      return size;
    };
    vfs_.xSleep = [](sqlite3_vfs*, int microseconds) { return microseconds; };
    vfs_.xCurrentTimeInt64 = [](sqlite3_vfs*, sqlite3_int64* out) {
      *out = 0;
      return SQLITE_OK;
    };
    vfs_.xGetLastError = [](sqlite3_vfs*, int, char*) { return 0; };
    LD_CHECK(sqlite3_vfs_register(&vfs_, 1) == SQLITE_OK);
  }
  ~SimDisk() {
    sqlite3_vfs_unregister(&vfs_);
    LD_CHECK(sqlite3_vfs_register(below_, 1) == SQLITE_OK);
    current() = nullptr;
  }
  SimDisk(const SimDisk&) = delete;
  SimDisk& operator=(const SimDisk&) = delete;

  /// Asked before every change: "write", "truncate", "sync", "delete". What is not answered with kGo does not happen.
  std::function<Answer(std::string_view)> before_change = [](std::string_view) { return Answer::kGo; };

  /// Of what was written since the last sync of each file, every write is kept, torn or lost, as `random` has it.
  /// Nothing may be open.
  void lose_power(Random& random) {
    for (auto& [name, file] : files_) {
      LD_CHECK(file->open == 0, "{} is open", name);
      const auto changes = std::exchange(file->unsynced, {});
      for (auto change = changes.rbegin(); change != changes.rend(); ++change) {
        file->bytes.resize(std::max(file->bytes.size(), change->size_before));
        file->bytes.replace(change->offset, change->before.size(), change->before);
        file->bytes.resize(change->size_before);
      }
      for (const Change& change : changes) {
        const std::uint64_t fate = random.below(8);
        if (fate < 3) continue;
        if (change.is_truncate) {
          file->bytes.resize(std::min(file->bytes.size(), change.offset));
        } else {
          const std::size_t size = fate == 3 ? random.below(change.after.size() + 1) : change.after.size();
          put(*file, change.offset, change.after.substr(0, size));
        }
      }
    }
  }
  /// Bytes of all files.
  std::size_t size() const {
    std::size_t sum = 0;
    for (const auto& [name, file] : files_) sum += file->bytes.size();
    return sum;
  }

 private:
  struct Change {
    std::size_t offset = 0;
    std::string before;  ///< what was there, up to the old end
    std::size_t size_before = 0;
    std::string after;
    bool is_truncate = false;
  };
  struct Data {
    std::string bytes;
    std::vector<Change> unsynced;
    int open = 0;
    int shared = 0;  ///< connections with at least a shared lock
    bool reserved = false, pending = false, exclusive = false;
    std::vector<std::unique_ptr<char[]>> regions;  ///< shared memory of the WAL index
    int region_shared[SQLITE_SHM_NLOCK] = {};
    bool region_exclusive[SQLITE_SHM_NLOCK] = {};
  };
  struct File {
    sqlite3_file base;
    std::shared_ptr<Data>* data;
    int level;
    unsigned shm_shared, shm_exclusive;  ///< locks of this connection, a bit each
  };

  static SimDisk*& current() {
    static SimDisk* disk = nullptr;
    return disk;
  }
  static File* of(sqlite3_file* file) { return reinterpret_cast<File*>(file); }
  static Data& data(sqlite3_file* file) { return **of(file)->data; }
  static int change(std::string_view what, int error) {
    switch (current()->before_change(what)) {
      case Answer::kGo: return SQLITE_OK;
      case Answer::kFull: return SQLITE_FULL;
      case Answer::kError: return error;
    }
    return error;
  }
  static void put(Data& file, std::size_t offset, std::string_view bytes) {
    if (file.bytes.size() < offset + bytes.size()) file.bytes.resize(offset + bytes.size());
    file.bytes.replace(offset, bytes.size(), bytes);
  }

  static int open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
    auto& files = current()->files_;
    auto found = name == nullptr ? std::make_shared<Data>() : std::shared_ptr<Data>();
    if (name != nullptr) {
      const auto place = files.find(name);
      if (place == files.end() && (flags & SQLITE_OPEN_CREATE) == 0) {
        of(file)->base.pMethods = nullptr;
        return SQLITE_CANTOPEN;
      }
      found = place != files.end() ? place->second : files.emplace(name, std::make_shared<Data>()).first->second;
    }
    ++found->open;
    of(file)->data = new std::shared_ptr<Data>(std::move(found));
    of(file)->level = SQLITE_LOCK_NONE;
    of(file)->shm_shared = of(file)->shm_exclusive = 0;
    of(file)->base.pMethods = methods();
    if (out != nullptr) *out = flags;
    return SQLITE_OK;
  }
  static int remove(sqlite3_vfs*, const char* name, int) {
    if (int code = change("delete", SQLITE_IOERR_DELETE); code != SQLITE_OK) return code;
    return current()->files_.erase(name) != 0 ? SQLITE_OK : SQLITE_IOERR_DELETE_NOENT;
  }
  static int close(sqlite3_file* file) {
    unlock(file, SQLITE_LOCK_NONE);
    --data(file).open;
    delete of(file)->data;
    of(file)->data = nullptr;
    return SQLITE_OK;
  }
  static int read(sqlite3_file* file, void* out, int size, sqlite3_int64 offset) {
    const std::string& bytes = data(file).bytes;
    const auto from = std::min(static_cast<std::size_t>(offset), bytes.size());
    const auto there = std::min(static_cast<std::size_t>(size), bytes.size() - from);
    std::memcpy(out, bytes.data() + from, there);
    if (there == static_cast<std::size_t>(size)) return SQLITE_OK;
    std::memset(static_cast<char*>(out) + there, 0, static_cast<std::size_t>(size) - there);
    return SQLITE_IOERR_SHORT_READ;
  }
  static int write(sqlite3_file* file, const void* in, int size, sqlite3_int64 offset) {
    if (int code = change("write", SQLITE_IOERR_WRITE); code != SQLITE_OK) return code;
    Data& to = data(file);
    Change made;
    made.offset = static_cast<std::size_t>(offset);
    made.size_before = to.bytes.size();
    made.after.assign(static_cast<const char*>(in), static_cast<std::size_t>(size));
    if (made.offset < to.bytes.size()) made.before = to.bytes.substr(made.offset, made.after.size());
    put(to, made.offset, made.after);
    to.unsynced.push_back(std::move(made));
    return SQLITE_OK;
  }
  static int truncate(sqlite3_file* file, sqlite3_int64 size) {
    if (int code = change("truncate", SQLITE_IOERR_TRUNCATE); code != SQLITE_OK) return code;
    Data& to = data(file);
    if (static_cast<std::size_t>(size) >= to.bytes.size()) return SQLITE_OK;
    Change made;
    made.offset = static_cast<std::size_t>(size);
    made.size_before = to.bytes.size();
    made.before = to.bytes.substr(made.offset);
    made.is_truncate = true;
    to.bytes.resize(made.offset);
    to.unsynced.push_back(std::move(made));
    return SQLITE_OK;
  }
  static int sync(sqlite3_file* file, int) {
    if (int code = change("sync", SQLITE_IOERR_FSYNC); code != SQLITE_OK) return code;
    data(file).unsynced.clear();
    return SQLITE_OK;
  }

  static int lock(sqlite3_file* file, int level) {
    Data& on = data(file);
    int& held = of(file)->level;
    if (held >= level) return SQLITE_OK;
    if (held == SQLITE_LOCK_NONE) {
      if (on.exclusive || on.pending) return SQLITE_BUSY;
      ++on.shared;
      held = SQLITE_LOCK_SHARED;
    }
    if (level >= SQLITE_LOCK_RESERVED && held < SQLITE_LOCK_RESERVED) {
      if (on.reserved) return SQLITE_BUSY;
      on.reserved = true;
      held = SQLITE_LOCK_RESERVED;
    }
    if (level == SQLITE_LOCK_EXCLUSIVE) {
      on.pending = true;
      held = SQLITE_LOCK_PENDING;
      if (on.shared > 1) return SQLITE_BUSY;
      on.exclusive = true;
      held = SQLITE_LOCK_EXCLUSIVE;
    }
    return SQLITE_OK;
  }
  static int unlock(sqlite3_file* file, int level) {
    Data& on = data(file);
    int& held = of(file)->level;
    if (held <= level) return SQLITE_OK;
    if (held >= SQLITE_LOCK_EXCLUSIVE) on.exclusive = false;
    if (held >= SQLITE_LOCK_PENDING) on.pending = false;
    if (held >= SQLITE_LOCK_RESERVED) on.reserved = false;
    if (level == SQLITE_LOCK_NONE) --on.shared;
    held = level;
    return SQLITE_OK;
  }
  static int shm_lock(sqlite3_file* file, int offset, int count, int flags) {
    Data& on = data(file);
    File& who = *of(file);
    const unsigned mask = ((1u << count) - 1) << offset;
    const auto each = [&](auto&& step) {
      for (int i = offset; i < offset + count; ++i) step(i, 1u << i);
    };
    if ((flags & SQLITE_SHM_UNLOCK) != 0) {
      each([&](int i, unsigned bit) {
        if ((who.shm_shared & bit) != 0) --on.region_shared[i];
        if ((who.shm_exclusive & bit) != 0) on.region_exclusive[i] = false;
      });
      who.shm_shared &= ~mask;
      who.shm_exclusive &= ~mask;
      return SQLITE_OK;
    }
    bool busy = false;
    const bool shared = (flags & SQLITE_SHM_SHARED) != 0;
    each([&](int i, unsigned bit) {
      const int others = on.region_shared[i] - ((who.shm_shared & bit) != 0 ? 1 : 0);
      busy |= (on.region_exclusive[i] && (who.shm_exclusive & bit) == 0) || (!shared && others > 0);
    });
    if (busy) return SQLITE_BUSY;
    each([&](int i, unsigned bit) {
      if (shared && (who.shm_shared & bit) == 0) ++on.region_shared[i];
      if (!shared) on.region_exclusive[i] = true;
      (shared ? who.shm_shared : who.shm_exclusive) |= bit;
    });
    return SQLITE_OK;
  }
  static int shm_map(sqlite3_file* file, int region, int size, int extend, void volatile** out) {
    auto& regions = data(file).regions;
    while (extend != 0 && regions.size() <= static_cast<std::size_t>(region)) {
      regions.push_back(std::make_unique<char[]>(static_cast<std::size_t>(size)));
    }
    *out =
        static_cast<std::size_t>(region) < regions.size() ? regions[static_cast<std::size_t>(region)].get() : nullptr;
    return SQLITE_OK;
  }
  static int shm_unmap(sqlite3_file* file, int) {
    Data& on = data(file);
    shm_lock(file, 0, SQLITE_SHM_NLOCK, SQLITE_SHM_UNLOCK | SQLITE_SHM_SHARED);
    // The last connection takes the index with it, as after the end of a process.
    if (on.open == 1) on.regions.clear();
    return SQLITE_OK;
  }

  static const sqlite3_io_methods* methods() {
    static const sqlite3_io_methods all = [] {
      sqlite3_io_methods m{};
      m.iVersion = 2;
      m.xClose = close;
      m.xRead = read;
      m.xWrite = write;
      m.xTruncate = truncate;
      m.xSync = sync;
      m.xFileSize = [](sqlite3_file* f, sqlite3_int64* size) {
        *size = static_cast<sqlite3_int64>(data(f).bytes.size());
        return SQLITE_OK;
      };
      m.xLock = lock;
      m.xUnlock = unlock;
      m.xCheckReservedLock = [](sqlite3_file* f, int* out) {
        *out = data(f).reserved ? 1 : 0;
        return SQLITE_OK;
      };
      m.xFileControl = [](sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; };
      m.xSectorSize = [](sqlite3_file*) { return 4096; };
      m.xDeviceCharacteristics = [](sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; };
      m.xShmMap = shm_map;
      m.xShmLock = shm_lock;
      m.xShmBarrier = [](sqlite3_file*) {};
      m.xShmUnmap = shm_unmap;
      return m;
    }();
    return &all;
  }

  sqlite3_vfs vfs_{};
  sqlite3_vfs* below_ = nullptr;
  std::map<std::string, std::shared_ptr<Data>, std::less<>> files_;
};

}  // namespace lambdad::store
