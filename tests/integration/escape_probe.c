// A hostile function. The event {"do": WORD, ...} says what it tries; the answer is a JSON object {attempt: outcome},
// an outcome being 0 or the errno's name.
//
// Attempts use arguments that are wrong where the call is allowed: mount() on a directory that does not exist says
// EPERM to a function that may not mount and ENOENT to one that may. So nothing happens to the machine at the level
// `process`, where everything is allowed. Plain C and raw system calls, so that no library stands between.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kBuffer = 1 << 17 };

static char answer[kBuffer], request[kBuffer], result[kBuffer / 2];
static const char* kNowhere = "/nowhere-at-all";

// --- the Runtime API ---

static struct sockaddr_in address_of(const char* text) {
  char host[64];
  const char* colon = strrchr(text, ':');
  snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(colon + 1))};
  inet_pton(AF_INET, host, &address.sin_addr);
  return address;
}

// Sends request[0..length); reads the whole response into answer. Returns its body, or 0 when nobody answers.
static char* exchange(const char* where, size_t length) {
  struct sockaddr_in to = address_of(where);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr*)&to, sizeof to) != 0) {
    if (fd >= 0) close(fd);
    return 0;
  }
  for (size_t sent = 0; sent < length;) {
    ssize_t n = write(fd, request + sent, length - sent);
    if (n <= 0) exit(1);
    sent += (size_t)n;
  }
  size_t got = 0;
  for (ssize_t n; got < sizeof answer - 1 && (n = read(fd, answer + got, sizeof answer - 1 - got)) > 0;)
    got += (size_t)n;
  close(fd);
  answer[got] = 0;
  char* body = strstr(answer, "\r\n\r\n");
  if (body == 0) exit(1);
  *body = 0;
  return body + 4;
}

static int status_of_answer(void) { return atoi(answer + 9); }

static void post(const char* where, const char* path, const char* body) {
  int length = snprintf(request, sizeof request,
                        "POST %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\n\r\n%s",
                        path, where, strlen(body), body);
  exchange(where, (size_t)length);
}

// The text of a member of a flat JSON object; "" when absent.
static const char* member(const char* event, const char* name) {
  static char value[8][256];
  static int next;
  char* out = value[next++ % 8];
  char quoted[64];
  snprintf(quoted, sizeof quoted, "\"%s\"", name);
  out[0] = 0;
  const char* at = strstr(event, quoted);
  if (at == 0) return out;
  at += strlen(quoted);
  at += strspn(at, " :\"");
  snprintf(out, 256, "%.*s", (int)strcspn(at, "\",}"), at);
  return out;
}

// --- what is told ---

static void tell(const char* what, const char* format, ...) {
  size_t used = strlen(result);
  used += (size_t)snprintf(result + used, sizeof result - used, "%s\"%s\": \"", used > 1 ? ", " : "", what);
  va_list arguments;
  va_start(arguments, format);
  used += (size_t)vsnprintf(result + used, sizeof result - used, format, arguments);
  va_end(arguments);
  snprintf(result + used, sizeof result - used, "\"");
}

static void attempt(const char* what, long outcome) { tell(what, "%s", outcome >= 0 ? "0" : strerrorname_np(errno)); }

// In a child, so that what succeeds ends with it.
#define ATTEMPT_IN_CHILD(what, call)                                       \
  do {                                                                     \
    pid_t child = fork();                                                  \
    if (child == 0) _exit((call) >= 0 ? 0 : errno);                        \
    int status = 0;                                                        \
    waitpid(child, &status, 0);                                            \
    errno = WEXITSTATUS(status);                                           \
    attempt(what, WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1); \
  } while (0)

static const char* scratch(void) { return getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp"; }

// --- attempts ---

static void system_calls(void) {
  attempt("mount", syscall(SYS_mount, "none", kNowhere, "tmpfs", 0, 0));
  attempt("umount", syscall(SYS_umount2, kNowhere, 0));
  attempt("pivot_root", syscall(SYS_pivot_root, kNowhere, kNowhere));
  attempt("chroot", syscall(SYS_chroot, kNowhere));
  attempt("fsopen", syscall(SYS_fsopen, "no-such-file-system", 0));
  attempt("open_tree", syscall(SYS_open_tree, -1, "", 0xffff));
  attempt("move_mount", syscall(SYS_move_mount, -1, "", -1, "", 0xffff));
  attempt("mount_setattr", syscall(SYS_mount_setattr, -1, "", 0xffff, 0, 0));
  ATTEMPT_IN_CHILD("unshare user namespace", syscall(SYS_unshare, CLONE_NEWUSER));
  ATTEMPT_IN_CHILD("unshare mount namespace", syscall(SYS_unshare, CLONE_NEWNS));
  ATTEMPT_IN_CHILD("unshare network namespace", syscall(SYS_unshare, CLONE_NEWNET));
  attempt("setns", syscall(SYS_setns, -1, 0));
  struct clone_args args = {.exit_signal = 0xffff};
  attempt("clone3", syscall(SYS_clone3, &args, sizeof args));
  ATTEMPT_IN_CHILD("ptrace", syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0));
  attempt("process_vm_readv", syscall(SYS_process_vm_readv, getpid(), 0, 0, 0, 0, 0));
  attempt("pidfd_getfd", syscall(SYS_pidfd_getfd, -1, 0, 0));
  attempt("bpf", syscall(SYS_bpf, -1, 0, 0));
  attempt("perf_event_open", syscall(SYS_perf_event_open, 0, 0, -1, -1, 0));
  attempt("userfaultfd", syscall(SYS_userfaultfd, 0xffff0000));
  attempt("keyctl", syscall(SYS_keyctl, -1, 0));
  attempt("add_key", syscall(SYS_add_key, "no-such-type", "x", 0, 0, -2));
  attempt("request_key", syscall(SYS_request_key, "no-such-type", "x", 0, 0));
  attempt("io_uring_setup", syscall(SYS_io_uring_setup, 0, 0));
  attempt("open_by_handle_at", syscall(SYS_open_by_handle_at, -1, 0, 0));
  attempt("kexec_load", syscall(SYS_kexec_load, 0, 0, 0, -1L));
  attempt("init_module", syscall(SYS_init_module, 0, 0, 0));
  attempt("finit_module", syscall(SYS_finit_module, -1, 0, 0));
  attempt("delete_module", syscall(SYS_delete_module, "no_such_module", 0));
  attempt("reboot", syscall(SYS_reboot, 0, 0, 0, 0));
  attempt("swapon", syscall(SYS_swapon, kNowhere, 0));
  attempt("acct", syscall(SYS_acct, kNowhere));
  attempt("syslog", syscall(SYS_syslog, 10, 0, 0));
  attempt("settimeofday", syscall(SYS_settimeofday, 0, 0));
  attempt("sethostname", syscall(SYS_sethostname, 0, -1));
  attempt("iopl", syscall(SYS_iopl, -1));
  attempt("a system call of the future", syscall(2000));
}

static void rights(void) {
  attempt("user 0", setuid(0) == 0 && getuid() == 0 ? 0 : (errno = errno ? errno : EPERM, -1));
  char node[256];
  snprintf(node, sizeof node, "%s/node", scratch());
  attempt("device node", mknod(node, S_IFCHR | 0600, makedev(1, 1)));
  unlink(node);
  struct sockaddr_in low = {.sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  attempt("port below 1024", bind(fd, (struct sockaddr*)&low, sizeof low));
  close(fd);
  struct rlimit files = {1 << 20, 1 << 20};
  ATTEMPT_IN_CHILD("more descriptors", setrlimit(RLIMIT_NOFILE, &files));
  ATTEMPT_IN_CHILD("higher priority", setpriority(PRIO_PROCESS, 0, -5));
  struct sched_param realtime = {.sched_priority = 1};
  ATTEMPT_IN_CHILD("real-time scheduling", sched_setscheduler(0, SCHED_FIFO, &realtime));
  tell("no new privileges", "%d", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  char line[256];
  FILE* status = fopen("/proc/self/status", "r");
  while (status && fgets(line, sizeof line, status)) {
    line[strcspn(line, "\n")] = 0;
    if (strncmp(line, "CapEff:\t", 8) == 0)
      tell("capabilities", "%s", strspn(line + 8, "0") == strlen(line + 8) ? "none" : "some");
    if (strncmp(line, "CapBnd:\t", 8) == 0)
      tell("capabilities to come", "%s", strspn(line + 8, "0") == strlen(line + 8) ? "none" : "some");
    if (strncmp(line, "Seccomp:\t", 9) == 0) tell("seccomp", "%s", line + 9);
  }
  if (status) fclose(status);
}

static void sockets(void) {
  static const struct {
    const char* name;
    int family, type, protocol;
  } kinds[] = {{"packet socket", AF_PACKET, SOCK_RAW, 0}, {"raw socket", AF_INET, SOCK_RAW, IPPROTO_ICMP},
               {"vsock", AF_VSOCK, SOCK_STREAM, 0},       {"kernel crypto", AF_ALG, SOCK_SEQPACKET, 0},
               {"bluetooth", AF_BLUETOOTH, SOCK_RAW, 1},  {"key management", AF_KEY, SOCK_RAW, 2}};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i) {
    int fd = socket(kinds[i].family, kinds[i].type | SOCK_CLOEXEC, kinds[i].protocol);
    attempt(kinds[i].name, fd);
    if (fd >= 0) close(fd);
  }
}

static void can_read(const char* path) {
  char what[300], byte;
  snprintf(what, sizeof what, "read %s", path);
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  ssize_t size = fd < 0 ? -1 : read(fd, &byte, 1);
  if (size < 0 && errno == EISDIR) size = 1;
  if (size == 0)
    tell(what, "empty");
  else
    attempt(what, size);
  if (fd >= 0) close(fd);
}

static void can_write(const char* path) {
  char what[300];
  snprintf(what, sizeof what, "write %s", path);
  int fd = open(path, O_WRONLY | O_CLOEXEC);  // opened, never written
  attempt(what, fd);
  if (fd >= 0) close(fd);
}

static void files(const char* event) {
  static const char* secrets[] = {"/etc/shadow", "/root",      "/home",          "/var/lib",     "/var/log",
                                  "/run",        "/boot",      "/sys/fs/cgroup", "/sys/kernel",  "/dev/mem",
                                  "/dev/kmsg",   "/dev/kvm",   "/dev/fuse",      "/dev/net/tun", "/dev/shm",
                                  "/proc/kcore", "/proc/keys", "/proc/kallsyms", "/proc/1/root", "/proc/1/environ",
                                  "/proc/1/mem", "/proc/1/fd", "/proc/1/cwd"};
  for (size_t i = 0; i < sizeof secrets / sizeof *secrets; ++i) can_read(secrets[i]);
  static const char* places[] = {"/proc/sys/kernel/core_pattern",
                                 "/proc/sys/kernel/hostname",
                                 "/proc/sysrq-trigger",
                                 "/proc/sys/vm/drop_caches",
                                 "/proc/self/oom_score_adj",
                                 "/usr/bin/env",
                                 "/etc/passwd",
                                 "/var/task/bootstrap",
                                 "/dev/null"};
  for (size_t i = 0; i < sizeof places / sizeof *places; ++i) can_write(places[i]);
  const char* data = member(event, "data");
  int fd = open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  attempt("lambdad's data", fd);
  if (fd >= 0) close(fd);
  const char* release_agent = "/sys/fs/cgroup/memory/release_agent";
  fd = open(release_agent, O_WRONLY | O_CLOEXEC);
  attempt("control group release agent", fd);
  if (fd >= 0) close(fd);
  char program[256];
  snprintf(program, sizeof program, "%s/program", scratch());
  fd = open(program, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
  attempt("a program in /tmp", fd);
  if (fd >= 0) close(fd);
  attempt("setuid bit in /tmp", chmod(program, 04755));
  unlink(program);
}

static void processes(const char* event) {
  int seen = 0;
  DIR* directory = opendir("/proc");
  for (struct dirent* entry; directory && (entry = readdir(directory));) seen += atoi(entry->d_name) > 0;
  if (directory) closedir(directory);
  tell("processes seen", "%s", seen == 1 ? "itself" : "others");
  attempt("signal process 1", kill(1, 0));
  pid_t daemon = (pid_t)atoi(member(event, "daemon"));
  attempt("signal lambdad", kill(daemon, 0));
  char open_files[128] = "";
  directory = opendir("/proc/self/fd");
  for (int fd = 3; directory && fd < 1024; ++fd) {
    if (fd != dirfd(directory) && fcntl(fd, F_GETFD) >= 0)
      snprintf(open_files + strlen(open_files), sizeof open_files - strlen(open_files), "%d ", fd);
  }
  if (directory) closedir(directory);
  tell("descriptors left open", "%s", open_files);
}

static void connect_to(const char* what, const char* where) {
  if (*where == 0) return;
  struct sockaddr_in address = address_of(where);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct timeval limit = {.tv_sec = 1};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  attempt(what, connect(fd, (struct sockaddr*)&address, sizeof address));
  close(fd);
}

// {"runtime_api": ..., "loopback": "127.0.0.1:1234", "address": "192.0.2.2:1234", "abstract": "name", "other": request
// id}
static void network(const char* event) {
  const char* api = getenv("AWS_LAMBDA_RUNTIME_API");
  connect_to("own Runtime API", api);
  connect_to("AWS endpoint", member(event, "endpoint"));
  connect_to("the host's loopback", member(event, "loopback"));
  connect_to("the host's address", member(event, "address"));
  connect_to("machine credentials", "169.254.169.254:80");
  connect_to("outside", "198.51.100.77:9");
  const char* name = member(event, "abstract");
  struct sockaddr_un unix_address = {.sun_family = AF_UNIX};
  snprintf(unix_address.sun_path + 1, sizeof unix_address.sun_path - 1, "%s", name);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  attempt("abstract socket of the host",
          connect(fd, (struct sockaddr*)&unix_address, (socklen_t)(sizeof(sa_family_t) + 1 + strlen(name))));
  close(fd);
  tell("AWS_ENDPOINT_URL", "%s", getenv("AWS_ENDPOINT_URL") ? "set" : "not set");
  char path[256];
  snprintf(path, sizeof path, "/2018-06-01/runtime/invocation/%s/response", member(event, "other"));
  post(api, path, "\"spoofed\"");
  tell("answer for another invocation", "%d", status_of_answer());
}

// Which ports of its loopback somebody listens on.
static void ports(void) {
  char list[256] = "";
  for (int port = 1; port < 65536; ++port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((unsigned short)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in own = {0};
    socklen_t size = sizeof own;
    // Not one's own end: a connection may be made to itself.
    if (connect(fd, (struct sockaddr*)&address, sizeof address) == 0 &&
        getsockname(fd, (struct sockaddr*)&own, &size) == 0 && own.sin_port != address.sin_port &&
        strlen(list) < sizeof list - 8)
      snprintf(list + strlen(list), 8, "%d ", port);
    close(fd);
  }
  tell("ports", "%s", list);
}

// --- bombs ---

static void fork_bomb(void) {
  for (;;)
    if (fork() < 0) sched_yield();
}

static void memory_bomb(void) {
  for (;;) {
    char* block = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) exit(3);
    memset(block, 1, 1 << 20);
  }
}

static void spin(void) {
  for (int i = 0; i < 7; ++i)
    if (fork() == 0) break;
  for (volatile long n = 0;; ++n) continue;
}

static void fill_disk(void) {
  static char block[1 << 20];
  int fd = open("/tmp/fill", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  long written = 0;
  ssize_t size;
  while ((size = write(fd, block, sizeof block)) > 0) written += size;
  attempt("end", size);
  tell("MiB", "%ld", written >> 20);
  close(fd);
  unlink("/tmp/fill");
}

static void fill_inodes(void) {
  char name[64];
  long count = 0;
  for (;; ++count) {
    snprintf(name, sizeof name, "/tmp/i%ld", count);
    int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) break;
    close(fd);
  }
  attempt("end", -1);
  tell("files", "%ld", count);
  while (count-- > 0) {
    snprintf(name, sizeof name, "/tmp/i%ld", count);
    unlink(name);
  }
}

static void flood_log(long mib) {
  static char lines[1 << 16];
  for (size_t i = 0; i < sizeof lines; ++i) lines[i] = i % 64 == 63 ? '\n' : 'y';
  for (long left = mib << 20; left > 0;) {
    ssize_t size = write(1, lines, sizeof lines);
    if (size <= 0) break;
    left -= size;
  }
  tell("MiB", "%ld", mib);
}

int main(void) {
  const char* api = getenv("AWS_LAMBDA_RUNTIME_API");
  signal(SIGPIPE, SIG_IGN);
  for (;;) {
    int length =
        snprintf(request, sizeof request,
                 "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", api);
    static char event[4096];
    const char* body = exchange(api, (size_t)length);
    if (body == 0) return 1;
    snprintf(event, sizeof event, "%s", body);
    char id[64] = "", path[256];
    char* header = strcasestr(answer, "\r\nlambda-runtime-aws-request-id:");
    if (header) sscanf(strchr(header, ':') + 1, " %63[0-9a-f-]", id);
    strcpy(result, "{");
    const char* word = member(event, "do");
    if (!strcmp(word, "matrix")) {
      system_calls();
      rights();
      sockets();
      files(event);
      processes(event);
    } else if (!strcmp(word, "network"))
      network(event);
    else if (!strcmp(word, "ports"))
      ports();
    else if (!strcmp(word, "fork bomb"))
      fork_bomb();
    else if (!strcmp(word, "memory bomb"))
      memory_bomb();
    else if (!strcmp(word, "spin"))
      spin();
    else if (!strcmp(word, "fill disk"))
      fill_disk();
    else if (!strcmp(word, "fill inodes"))
      fill_inodes();
    else if (!strcmp(word, "flood log"))
      flood_log(atol(member(event, "mib")));
    else
      tell("pid", "%d", getpid());
    strcat(result, "}");
    snprintf(path, sizeof path, "/2018-06-01/runtime/invocation/%s/response", id);
    post(api, path, result);
  }
}
