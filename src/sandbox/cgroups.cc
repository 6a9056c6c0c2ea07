#include "sandbox/cgroups.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

namespace lambdad::sandbox {

namespace {

std::string_view next_field(std::string_view& line, char separator) {
  const std::size_t end = line.find(separator);
  const std::string_view field = line.substr(0, end);
  line.remove_prefix(end == std::string_view::npos ? line.size() : end + 1);
  return field;
}

bool has_item(std::string_view list, std::string_view item, char separator) {
  while (!list.empty()) {
    if (next_field(list, separator) == item) return true;
  }
  return false;
}

// Text of a kernel file; empty when it cannot be read.
std::string read_text(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  if (!file) return text;
  char buffer[4096];
  for (ssize_t size; (size = ::read(file.get(), buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(size));
  }
  return text;
}

// 0 or the error number.
int write_text(const std::string& path, std::string_view text) {
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return errno;
  return ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : errno;
}

constexpr std::uint64_t kCpuPeriodUs = 20'000;
constexpr std::string_view kDaemonGroup = "/lambdad-daemon";

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

std::vector<std::string> subdirectories(const std::string& path) {
  std::vector<std::string> names;
  DIR* directory = ::opendir(path.c_str());
  if (directory == nullptr) return names;
  while (const dirent* entry = ::readdir(directory)) {
    if (entry->d_type == DT_DIR && std::string_view(entry->d_name) != "." && std::string_view(entry->d_name) != "..") {
      names.emplace_back(entry->d_name);
    }
  }
  ::closedir(directory);
  return names;
}

template <class F>
void for_each_number(std::string_view text, F use) {
  while (!text.empty()) {
    const std::string_view line = next_field(text, '\n');
    int value = 0;
    if (std::from_chars(line.data(), line.data() + line.size(), value).ec == std::errc{}) use(value);
  }
}

void sleep_ms(long ms) {
  timespec pause{0, ms * 1'000'000};
  ::nanosleep(&pause, nullptr);
}

// Kills and removes one leftover group. Bounded: gives up after about a second, a later start tries again.
void remove_leftover(const std::string& path) {
  for (int round = 0; round < 200; ++round) {
    if (::rmdir(path.c_str()) == 0 || errno == ENOENT) return;
    write_text(path + "/freezer.state", "THAWED");
    write_text(path + "/cgroup.freeze", "0");
    if (write_text(path + "/cgroup.kill", "1") != 0) {
      for_each_number(read_text(path + "/cgroup.procs"), [](int pid) {
        if (pid > 1) ::kill(pid, SIGKILL);
      });
    }
    sleep_ms(5);
  }
}

std::uint64_t counter(std::string_view text, std::string_view name) {
  while (!text.empty()) {
    std::string_view line = next_field(text, '\n');
    if (next_field(line, ' ') != name) continue;
    std::uint64_t value = 0;
    std::from_chars(line.data(), line.data() + line.size(), value);
    return value;
  }
  return 0;
}

}  // namespace

// --- CgroupPlaces ---------------------------------------------------------------------------------------------------

CgroupPlaces CgroupPlaces::parse(std::string_view mountinfo, std::string_view self_cgroup) {
  // The own group's path in the tree with this controller; "" names the v2 tree.
  auto own_path = [self_cgroup](std::string_view controller) -> std::string_view {
    for (std::string_view rest = self_cgroup; !rest.empty();) {
      std::string_view line = next_field(rest, '\n');
      const bool v2 = next_field(line, ':') == "0";
      const std::string_view controllers = next_field(line, ':');
      if (controller.empty() ? v2 && controllers.empty() : has_item(controllers, controller, ',')) return line;
    }
    return {};
  };
  CgroupPlaces places;
  while (!mountinfo.empty()) {
    // 36 35 98:0 /root /mount/point options [tags] - fstype source super_options
    std::string_view line = next_field(mountinfo, '\n');
    const std::size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    std::string_view after = line.substr(dash + 3);
    const std::string_view type = next_field(after, ' ');
    next_field(after, ' ');
    for (int skipped = 0; skipped < 3; ++skipped) next_field(line, ' ');
    const std::string_view root = next_field(line, ' ');
    const std::string point(next_field(line, ' '));
    auto directory = [&](std::string_view own) -> std::string {
      if (own.empty()) return {};
      if (root != "/") {
        // A container's view: only groups below its root can be seen.
        if (!own.starts_with(root)) return {};
        own.remove_prefix(root.size());
      }
      return own.empty() || own == "/" ? point : point + std::string(own);
    };
    if (type == "cgroup2" && places.unified.empty()) places.unified = directory(own_path(""));
    if (type != "cgroup") continue;
    for (auto [name, place] : {std::pair{"memory", &places.memory}, std::pair{"pids", &places.pids},
                               std::pair{"cpu", &places.cpu}, std::pair{"freezer", &places.freezer}}) {
      if (place->empty() && has_item(after, name, ',')) *place = directory(own_path(name));
    }
  }
  return places;
}

// --- SandboxCgroup --------------------------------------------------------------------------------------------------

Result<void> SandboxCgroup::limit(const CgroupLimits& limits) const {
  auto set = [](const std::string& path, const std::string& value) -> Result<void> {
    if (const int error = write_text(path, value); error != 0) return system_error(error, "setting " + path);
    return {};
  };
  if (limits.memory_bytes > 0 && !memory_.empty()) {
    const std::string bytes = fmt::to_string(limits.memory_bytes);
    LD_TRY_VOID(set(memory_ + "/memory.limit_in_bytes", bytes));
    // With swap accounting, memory and swap together; without it there is no such file.
    if (exists(memory_ + "/memory.memsw.limit_in_bytes")) {
      LD_TRY_VOID(set(memory_ + "/memory.memsw.limit_in_bytes", bytes));
    }
  }
  if (limits.memory_bytes > 0 && v2_memory_) {
    LD_TRY_VOID(set(unified_ + "/memory.max", fmt::to_string(limits.memory_bytes)));
    if (exists(unified_ + "/memory.swap.max")) LD_TRY_VOID(set(unified_ + "/memory.swap.max", "0"));
  }
  if (limits.pids > 0 && (!pids_.empty() || v2_pids_)) {
    LD_TRY_VOID(set((pids_.empty() ? unified_ : pids_) + "/pids.max", fmt::to_string(limits.pids)));
  }
  if (!cpu_.empty()) LD_TRY_VOID(set(cpu_ + "/cpu.cfs_period_us", fmt::to_string(kCpuPeriodUs)));
  return {};
}

std::string cpu_limit_text(bool v2, CpuPhase phase, std::uint32_t millis) {
  const std::uint64_t quota_us = std::max<std::uint64_t>(1000, millis * kCpuPeriodUs / 1000);
  const bool held = phase == CpuPhase::kInvoke && millis > 0;
  if (v2) return fmt::format("{} {}", held ? fmt::to_string(quota_us) : "max", kCpuPeriodUs);
  return held ? fmt::to_string(quota_us) : "-1";
}

Result<std::vector<UniqueFd>> SandboxCgroup::open_entries() const {
  std::vector<UniqueFd> entries;
  for (const std::string* directory : {&memory_, &pids_, &cpu_, &freezer_}) {
    if (directory->empty()) continue;
    const std::string path = *directory + "/cgroup.procs";
    entries.emplace_back(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!entries.back()) return system_error(errno, "opening " + path);
  }
  return entries;
}

void SandboxCgroup::thaw() const {
  if (!unified_.empty()) {
    write_text(unified_ + "/cgroup.freeze", "0");
  } else if (!freezer_.empty()) {
    write_text(freezer_ + "/freezer.state", "THAWED");
  }
}

bool SandboxCgroup::kill_all() const { return !unified_.empty() && write_text(unified_ + "/cgroup.kill", "1") == 0; }

std::vector<UniqueFd> SandboxCgroup::open_memory_files() const {
  std::vector<UniqueFd> files;
  if (memory_.empty() && !v2_memory_) return files;
  const std::string& directory = memory_.empty() ? unified_ : memory_;
  for (const char* name : {memory_.empty() ? "/memory.current" : "/memory.usage_in_bytes", "/memory.stat"}) {
    files.emplace_back(::open((directory + name).c_str(), O_RDONLY | O_CLOEXEC));
    if (!files.back()) return {};
  }
  return files;
}

std::uint64_t SandboxCgroup::oom_kills() const {
  if (!memory_.empty()) return counter(read_text(memory_ + "/memory.oom_control"), "oom_kill");
  if (v2_memory_) return counter(read_text(unified_ + "/memory.events"), "oom_kill");
  return 0;
}

UniqueFd SandboxCgroup::open_peak_file() const {
  const std::string path = !memory_.empty() ? memory_ + "/memory.max_usage_in_bytes"
                           : v2_memory_     ? unified_ + "/memory.peak"
                                            : std::string();
  return path.empty() ? UniqueFd() : UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

UniqueFd SandboxCgroup::open_freeze_file() const {
  const std::string path = !unified_.empty()   ? unified_ + "/cgroup.freeze"
                           : !freezer_.empty() ? freezer_ + "/freezer.state"
                                               : std::string();
  return path.empty() ? UniqueFd() : UniqueFd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
}

UniqueFd SandboxCgroup::open_cpu_file() const {
  const std::string path = !cpu_.empty() ? cpu_ + "/cpu.cfs_quota_us" : v2_cpu_ ? unified_ + "/cpu.max" : std::string();
  return path.empty() ? UniqueFd() : UniqueFd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
}

bool SandboxCgroup::freezer_is_v1() const { return unified_.empty() && !freezer_.empty(); }

bool SandboxCgroup::remove() {
  v2_directory_.reset();
  bool all_gone = true;
  for (std::string* directory : {&memory_, &pids_, &cpu_, &freezer_, &unified_}) {
    if (directory->empty()) continue;
    if (::rmdir(directory->c_str()) == 0 || errno != EBUSY) {
      directory->clear();
    } else {
      all_gone = false;
    }
  }
  return all_gone;
}

// --- MemoryUse ------------------------------------------------------------------------------------------------------

namespace {

// A kernel file read from its beginning; it fits the buffer by far.
std::string_view read_again(const UniqueFd& file, std::array<char, 8192>& buffer) {
  const ssize_t size = ::pread(file.get(), buffer.data(), buffer.size(), 0);
  return size > 0 ? std::string_view(buffer.data(), static_cast<std::size_t>(size)) : std::string_view();
}

}  // namespace

std::uint64_t MemoryUse::charged_bytes() const {
  std::array<char, 8192> buffer;
  const std::string_view text = read_again(files_[0], buffer);
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::uint64_t MemoryUse::held_bytes() const {
  std::array<char, 8192> buffer;
  const std::string_view text = read_again(files_[1], buffer);
  // v1 says rss and swap, v2 says anon; a name the other version has is 0 here.
  return counter(text, "rss") + counter(text, "swap") + counter(text, "anon") + counter(text, "shmem");
}

// --- CgroupDriver ---------------------------------------------------------------------------------------------------

CgroupDriver::CgroupDriver(const CgroupPlaces& places, std::string tag, std::string note_file)
    : tag_(std::move(tag)), note_file_(std::move(note_file)) {
  sweep();
  if (!places.memory.empty()) memory_ = make_base(places.memory);
  if (!places.pids.empty()) pids_ = make_base(places.pids);
  if (!places.cpu.empty()) cpu_ = make_base(places.cpu);
  const bool v1 = !memory_.empty() || !pids_.empty() || !cpu_.empty();
  if (!places.unified.empty()) {
    // Where an earlier driver of this daemon has moved it, see enable_v2_controllers().
    std::string own = places.unified;
    if (own.ends_with(kDaemonGroup)) own.resize(own.size() - kDaemonGroup.size());
    unified_ = make_base(own);
    if (!unified_.empty() && !exists(unified_ + "/cgroup.freeze")) unified_.clear();
    if (!unified_.empty()) enable_v2_controllers(own);
  }
  if (unified_.empty() && !places.freezer.empty()) freezer_ = make_base(places.freezer);
  if (v1 || !freezer_.empty()) {
    mode_ = unified_.empty() ? "v1" : "hybrid";
  } else if (!unified_.empty()) {
    mode_ = "v2";
  }
  describe_missing(places);
  std::string note;
  for (const std::string* base : {&memory_, &pids_, &cpu_, &freezer_, &unified_}) {
    if (!base->empty()) note += *base + "\n";
  }
  UniqueFd file(::open(note_file_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  // Losing the note only means that a later start from another group leaves empty directories behind.
  if (file) (void)!::write(file.get(), note.data(), note.size());
}

CgroupDriver::~CgroupDriver() {
  for (const std::string* base : {&memory_, &pids_, &cpu_, &freezer_, &unified_}) {
    if (!base->empty()) ::rmdir(base->c_str());
  }
  ::unlink(note_file_.c_str());
}

void CgroupDriver::describe_missing(const CgroupPlaces& places) {
  std::vector<std::string_view> lost;
  if (!limits_memory()) lost.emplace_back("stopped at their memory size");
  if (!limits_cpu()) lost.emplace_back("held to their share of the CPU");
  if (!freezes()) lost.emplace_back("frozen between invocations");
  if (lost.empty()) return;
  std::string text = "functions are not ";
  for (std::size_t i = 0; i < lost.size(); ++i) {
    if (i > 0) text += i + 1 == lost.size() ? " and not " : ", not ";
    text += lost[i];
  }
  if (places.memory.empty() && places.freezer.empty() && places.unified.empty()) {
    text += ": no control groups are mounted here";
  } else if (refusal_.empty() && !unified_.empty()) {
    text +=
        ": the control group lambdad runs in is not handed the controllers cpu, memory and pids. Run it as a systemd "
        "service with Delegate=yes; for a user's own services root does `systemctl edit user@.service` and adds "
        "[Service] Delegate=cpu memory pids";
  } else {
    text += ": lambdad may not make control groups here" + refusal_ +
            ". Run it as root, as a systemd service with Delegate=yes, or with `systemd-run --user --scope -p "
            "Delegate=yes lambdad ...`";
  }
  missing_.push_back(std::move(text));
}

void CgroupDriver::sweep() {
  const std::string suffix = "/lambdad-" + tag_;
  const std::string note = read_text(note_file_);
  for (std::string_view rest = note; !rest.empty();) {
    const std::string base(next_field(rest, '\n'));
    // The note is a file of ours, but it only ever removes groups with our own name.
    if (!base.ends_with(suffix)) continue;
    for (const std::string& name : subdirectories(base)) remove_leftover(base + "/" + name);
    ::rmdir(base.c_str());
  }
}

std::string CgroupDriver::make_base(const std::string& own_group) {
  const std::string base = own_group + "/lambdad-" + tag_;
  if (::mkdir(base.c_str(), 0755) == 0) return base;
  if (errno == EEXIST) {
    for (const std::string& name : subdirectories(base)) remove_leftover(base + "/" + name);
    return base;
  }
  if (refusal_.empty()) refusal_ = fmt::format(" (making {}: {})", base, std::strerror(errno));
  return {};
}

void CgroupDriver::enable_v2_controllers(const std::string& own_group) {
  const std::string offered = read_text(own_group + "/cgroup.controllers");
  auto is_offered = [&offered](std::string_view controller) {
    std::string_view first_line = offered;
    return has_item(next_field(first_line, '\n'), controller, ' ');
  };
  bool moved = false;
  auto enable = [&](const char* controller) {
    if (!is_offered(controller)) return false;
    const std::string request = fmt::format("+{}", controller);
    int error = write_text(own_group + "/cgroup.subtree_control", request);
    if (error == EBUSY && !moved) {
      // A group with processes cannot hand controllers down. When those are only the daemon and its keeper, as in a
      // service of its own, they can move into a group beside the sandboxes'.
      moved = true;
      const int self = ::getpid();
      const int daemon = ::getppid();
      bool only_us = true;
      for_each_number(read_text(own_group + "/cgroup.procs"),
                      [&](int pid) { only_us = only_us && (pid == self || pid == daemon); });
      const std::string leaf = own_group + std::string(kDaemonGroup);
      if (only_us && (::mkdir(leaf.c_str(), 0755) == 0 || errno == EEXIST)) {
        write_text(leaf + "/cgroup.procs", fmt::to_string(daemon));
        write_text(leaf + "/cgroup.procs", fmt::to_string(self));
        error = write_text(own_group + "/cgroup.subtree_control", request);
      }
    }
    return error == 0 && write_text(unified_ + "/cgroup.subtree_control", request) == 0;
  };
  if (memory_.empty()) v2_memory_ = enable("memory");
  if (pids_.empty()) v2_pids_ = enable("pids");
  if (cpu_.empty()) v2_cpu_ = enable("cpu");
}

Result<SandboxCgroup> CgroupDriver::create(const std::string& name) {
  SandboxCgroup group;
  auto make = [&name](const std::string& base, std::string& directory) -> Result<void> {
    if (base.empty()) return {};
    const std::string path = base + "/" + name;
    if (::mkdir(path.c_str(), 0755) != 0) return system_error(errno, "making control group " + path);
    directory = path;
    return {};
  };
  auto fill = [&]() -> Result<void> {
    LD_TRY_VOID(make(memory_, group.memory_));
    LD_TRY_VOID(make(pids_, group.pids_));
    LD_TRY_VOID(make(cpu_, group.cpu_));
    LD_TRY_VOID(make(freezer_, group.freezer_));
    LD_TRY_VOID(make(unified_, group.unified_));
    if (!unified_.empty()) {
      group.v2_directory_ = UniqueFd(::open(group.unified_.c_str(), O_DIRECTORY | O_RDONLY | O_CLOEXEC));
    }
    group.v2_memory_ = v2_memory_;
    group.v2_pids_ = v2_pids_;
    group.v2_cpu_ = v2_cpu_;
    return {};
  };
  if (auto filled = fill(); !filled) {
    group.remove();
    return std::unexpected(std::move(filled).error());
  }
  return group;
}

}  // namespace lambdad::sandbox
