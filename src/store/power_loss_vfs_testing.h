/// For crash tests: an SQLite VFS that remembers what was written and not yet synced, and can take it back, as a power
/// cut would. Header-only, so that it is in no library.
///
/// Fault points: vfs.write, vfs.sync, vfs.after_sync, vfs.truncate; `fail` makes the call answer with an I/O error.
/// Directory entries are taken as durable: SQLite syncs the directory after creating the WAL.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include <sqlite3.h>

#include "base/error.h"
#include "system/fault.h"

namespace lambdad::store::power_loss {

enum class Loss {
  kNothing,     ///< the process dies, the kernel lives on
  kEverything,  ///< all that was not synced is lost
  kSome,        ///< each write since the last sync is lost or not, as the seed says
};

struct Change {
  std::int64_t offset = 0;
  std::string before;  ///< what was there, up to the old end of the file
  std::int64_t size_before = 0;
  std::string after;
  bool is_truncate = false;
};

struct State {
  std::mutex mutex;
  std::map<std::string, std::vector<Change>> unsynced;
  Loss loss = Loss::kNothing;
  std::uint64_t seed = 0;
};

inline State& state() {
  static auto* instance = new State;
  return *instance;
}

inline void put_back(const std::string& path, const std::vector<Change>& changes, std::mt19937_64& random) {
  int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return;  // deleted since
  auto write_at = [&](const std::string& bytes, std::int64_t offset) {
    LD_CHECK(::pwrite(fd, bytes.data(), bytes.size(), offset) == static_cast<ssize_t>(bytes.size()));
  };
  for (auto change = changes.rbegin(); change != changes.rend(); ++change) {
    write_at(change->before, change->offset);
    LD_CHECK(::ftruncate(fd, change->size_before) == 0);
  }
  if (state().loss == Loss::kSome) {
    for (const Change& change : changes) {
      if (random() % 2 == 0) continue;
      if (change.is_truncate) {
        LD_CHECK(::ftruncate(fd, change.offset) == 0);
      } else {
        write_at(change.after, change.offset);
      }
    }
  }
  ::close(fd);
}

/// Hook of fault::before_kill. Keeps the lock: nothing may be written between this and the end of the process.
inline void cut_power() {
  State& all = state();
  all.mutex.lock();
  if (all.loss == Loss::kNothing) return;
  std::mt19937_64 random(all.seed);
  for (const auto& [path, changes] : all.unsynced) put_back(path, changes, random);
}

struct File {
  sqlite3_file base;
  sqlite3_file* real;
  std::string* path;  ///< nullptr for files that need not survive
};

inline File* of(sqlite3_file* file) { return reinterpret_cast<File*>(file); }
inline sqlite3_file* real_of(sqlite3_file* file) { return of(file)->real; }

inline int write(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 offset) {
  if (fault::point("vfs.write")) return SQLITE_IOERR_WRITE;
  std::lock_guard lock(state().mutex);
  sqlite3_file* real = real_of(file);
  if (of(file)->path != nullptr) {
    Change change;
    change.offset = offset;
    sqlite3_int64 end = 0;
    real->pMethods->xFileSize(real, &end);
    change.size_before = end;
    if (offset < end) {
      change.before.resize(static_cast<std::size_t>(std::min<std::int64_t>(size, end - offset)));
      real->pMethods->xRead(real, change.before.data(), static_cast<int>(change.before.size()), offset);
    }
    change.after.assign(static_cast<const char*>(bytes), static_cast<std::size_t>(size));
    state().unsynced[*of(file)->path].push_back(std::move(change));
  }
  return real->pMethods->xWrite(real, bytes, size, offset);
}

inline int truncate(sqlite3_file* file, sqlite3_int64 size) {
  if (fault::point("vfs.truncate")) return SQLITE_IOERR_TRUNCATE;
  std::lock_guard lock(state().mutex);
  sqlite3_file* real = real_of(file);
  sqlite3_int64 end = 0;
  real->pMethods->xFileSize(real, &end);
  if (of(file)->path != nullptr && size < end) {
    Change change;
    change.offset = size;
    change.size_before = end;
    change.is_truncate = true;
    change.before.resize(static_cast<std::size_t>(end - size));
    real->pMethods->xRead(real, change.before.data(), static_cast<int>(change.before.size()), size);
    state().unsynced[*of(file)->path].push_back(std::move(change));
  }
  return real->pMethods->xTruncate(real, size);
}

inline int sync(sqlite3_file* file, int flags) {
  if (fault::point("vfs.sync")) return SQLITE_IOERR_FSYNC;
  {
    std::lock_guard lock(state().mutex);
    // The kernel is asked as well, although the test does not need it: this is the path of the real system.
    if (int code = real_of(file)->pMethods->xSync(real_of(file), flags); code != SQLITE_OK) return code;
    if (of(file)->path != nullptr) state().unsynced.erase(*of(file)->path);
  }
  fault::point("vfs.after_sync");
  return SQLITE_OK;
}

inline int close(sqlite3_file* file) {
  int code = real_of(file)->pMethods->xClose(real_of(file));
  delete of(file)->path;
  of(file)->path = nullptr;
  return code;
}

inline const sqlite3_io_methods* methods() {
  static const sqlite3_io_methods all = [] {
    sqlite3_io_methods m{};
    m.iVersion = 2;
    m.xClose = close;
    m.xRead = [](sqlite3_file* f, void* bytes, int size, sqlite3_int64 offset) {
      return real_of(f)->pMethods->xRead(real_of(f), bytes, size, offset);
    };
    m.xWrite = write;
    m.xTruncate = truncate;
    m.xSync = sync;
    m.xFileSize = [](sqlite3_file* f, sqlite3_int64* size) {
      return real_of(f)->pMethods->xFileSize(real_of(f), size);
    };
    m.xLock = [](sqlite3_file* f, int level) { return real_of(f)->pMethods->xLock(real_of(f), level); };
    m.xUnlock = [](sqlite3_file* f, int level) { return real_of(f)->pMethods->xUnlock(real_of(f), level); };
    m.xCheckReservedLock = [](sqlite3_file* f, int* out) {
      return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
    };
    m.xFileControl = [](sqlite3_file* f, int op, void* arg) {
      return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
    };
    m.xSectorSize = [](sqlite3_file* f) { return real_of(f)->pMethods->xSectorSize(real_of(f)); };
    m.xDeviceCharacteristics = [](sqlite3_file* f) { return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f)); };
    m.xShmMap = [](sqlite3_file* f, int page, int size, int extend, void volatile** out) {
      return real_of(f)->pMethods->xShmMap(real_of(f), page, size, extend, out);
    };
    m.xShmLock = [](sqlite3_file* f, int offset, int count, int flags) {
      return real_of(f)->pMethods->xShmLock(real_of(f), offset, count, flags);
    };
    m.xShmBarrier = [](sqlite3_file* f) { real_of(f)->pMethods->xShmBarrier(real_of(f)); };
    m.xShmUnmap = [](sqlite3_file* f, int remove) { return real_of(f)->pMethods->xShmUnmap(real_of(f), remove); };
    return m;
  }();
  return &all;
}

/// Makes it the default VFS of the process. Once, before anything is opened.
inline void install(Loss loss, std::uint64_t seed) {
  state().loss = loss;
  state().seed = seed;
  sqlite3_vfs* real = sqlite3_vfs_find(nullptr);
  static sqlite3_vfs vfs = *real;
  vfs.zName = "power_loss";
  vfs.pNext = nullptr;
  vfs.pAppData = real->pAppData;
  vfs.szOsFile = static_cast<int>(sizeof(File)) + real->szOsFile;
  static sqlite3_vfs* below = real;
  vfs.xOpen = [](sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
    File* opened = of(file);
    opened->base.pMethods = nullptr;
    opened->path = nullptr;
    opened->real = reinterpret_cast<sqlite3_file*>(opened + 1);
    int code = below->xOpen(below, name, opened->real, flags, out);
    if (code != SQLITE_OK) return code;
    opened->base.pMethods = methods();
    if (name != nullptr && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0) {
      opened->path = new std::string(name);
    }
    return code;
  };
  vfs.xDelete = [](sqlite3_vfs*, const char* name, int sync_directory) {
    std::lock_guard lock(state().mutex);
    state().unsynced.erase(name);
    return below->xDelete(below, name, sync_directory);
  };
  LD_CHECK(sqlite3_vfs_register(&vfs, 1) == SQLITE_OK);
  fault::before_kill(cut_power);
}

}  // namespace lambdad::store::power_loss
