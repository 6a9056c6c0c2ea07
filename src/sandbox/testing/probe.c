// What a hostile or merely curious function could try, one word each. Prints one line per attempt:
// "<what> <0 or the errno's name>". Plain C and raw system calls, so that no library stands between.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void say(const char* what, long result) { printf("%s %s\n", what, result >= 0 ? "0" : strerrorname_np(errno)); }

static void syscalls(void) {
  say("mount", syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, 0));
  say("umount2", syscall(SYS_umount2, "/tmp", 0));
  say("pivot_root", syscall(SYS_pivot_root, "/tmp", "/tmp"));
  say("chroot", syscall(SYS_chroot, "/tmp"));
  say("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1));
  say("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
  say("mount_setattr", syscall(SYS_mount_setattr, -1, "", 0, 0, 0));
  say("unshare", syscall(SYS_unshare, CLONE_NEWUSER));
  say("setns", syscall(SYS_setns, 0, 0));
  say("clone_newuser", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
  say("clone_newnet", syscall(SYS_clone, CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0));
  struct clone_args args = {.exit_signal = SIGCHLD};
  say("clone3", syscall(SYS_clone3, &args, sizeof args));
  say("ptrace", syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0));
  say("process_vm_readv", syscall(SYS_process_vm_readv, 1, 0, 0, 0, 0, 0));
  say("bpf", syscall(SYS_bpf, 0, 0, 0));
  say("perf_event_open", syscall(SYS_perf_event_open, 0, 0, -1, -1, 0));
  say("userfaultfd", syscall(SYS_userfaultfd, 1));
  say("keyctl", syscall(SYS_keyctl, 0, 0));
  say("add_key", syscall(SYS_add_key, "user", "x", "y", 1, -2));
  say("request_key", syscall(SYS_request_key, "user", "x", 0, 0));
  say("io_uring_setup", syscall(SYS_io_uring_setup, 1, 0));
  say("open_by_handle_at", syscall(SYS_open_by_handle_at, -1, 0, 0));
  say("kexec_load", syscall(SYS_kexec_load, 0, 0, 0, 0));
  say("init_module", syscall(SYS_init_module, 0, 0, ""));
  say("finit_module", syscall(SYS_finit_module, 0, "", 0));
  say("delete_module", syscall(SYS_delete_module, "x", 0));
  say("reboot", syscall(SYS_reboot, 0, 0, 0, 0));
  say("swapon", syscall(SYS_swapon, "/tmp", 0));
  say("acct", syscall(SYS_acct, 0));
  say("quotactl", syscall(SYS_quotactl, 0, 0, 0, 0));
  say("syslog", syscall(SYS_syslog, 3, 0, 0));
  say("settimeofday", syscall(SYS_settimeofday, 0, 0));
  say("sethostname", syscall(SYS_sethostname, "x", 1));
  say("vsock", socket(40, SOCK_STREAM, 0));
  say("packet", socket(AF_PACKET, SOCK_RAW, 0));
  say("alg", socket(38, SOCK_SEQPACKET, 0));
  say("raw", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
  say("tiocsti", ioctl(0, 0x5412, "x"));
  say("setuid0", setuid(0));
  say("kill_init", kill(1, SIGKILL));
  say("no_new_privs", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : (errno = EINVAL, -1));
  say("low_port", ({
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(80)};
        bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr*)&a, sizeof a);
      }));
  FILE* status = fopen("/proc/self/status", "r");
  char line[256];
  while (status && fgets(line, sizeof line, status)) {
    if (strncmp(line, "Cap", 3) == 0 || strncmp(line, "Seccomp:", 8) == 0 || strncmp(line, "Groups:", 7) == 0)
      fputs(line, stdout);
  }
}

// Each argument is a path: can it be opened for reading?
static void reads(char** paths) {
  for (; *paths; ++paths) {
    int fd = open(*paths, O_RDONLY);
    char byte;
    const long size = fd < 0 ? -1 : read(fd, &byte, 1);
    if (size == 0) {
      printf("%s empty\n", *paths);
    } else {
      if (size < 0 && errno == EISDIR)
        errno = 0, say(*paths, 0);
      else
        say(*paths, size);
    }
    if (fd >= 0) close(fd);
  }
}

// Each argument is a path: can a file be made there?
static void writes(char** paths) {
  for (; *paths; ++paths) {
    int fd = open(*paths, O_WRONLY | O_CREAT, 0600);
    say(*paths, fd);
    if (fd >= 0) close(fd);
  }
}

static void connects(char** ports) {
  for (; *ports; ++ports) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((unsigned short)atoi(*ports)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    say(*ports, connect(fd, (struct sockaddr*)&address, sizeof address));
    close(fd);
  }
  struct sockaddr_in outside = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(0x08080808)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  say("outside", connect(fd, (struct sockaddr*)&outside, sizeof outside));
}

static void connect_to(const char* where, const char* device) {
  char host[64], label[128];
  const char* colon = strrchr(where, ':');
  snprintf(host, sizeof host, "%.*s", (int)(colon - where), where);
  snprintf(label, sizeof label, "%s%s%s", where, device ? " by " : "", device ? device : "");
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(colon + 1))};
  inet_pton(AF_INET, host, &address.sin_addr);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct timeval limit = {.tv_sec = 2};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (device && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)) != 0)
    say(label, -1);
  else
    say(label, connect(fd, (struct sockaddr*)&address, sizeof address));
  close(fd);
}

// Each argument is ADDRESS:PORT: can it be connected to, as the routes say and past them?
static void reaches(char** places) {
  for (; *places; ++places) {
    connect_to(*places, 0);
    connect_to(*places, "tap0");
  }
}

// Asks the name server of /etc/resolv.conf; prints whether anybody answered.
static void resolves(const char* name_server) {
  static const unsigned char query[] =
      "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01"
      "a\x04"
      "test\x00\x00\x01\x00\x01";
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(53)};
  inet_pton(AF_INET, name_server, &address.sin_addr);
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct timeval limit = {.tv_sec = 5};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  char answer[512];
  if (connect(fd, (struct sockaddr*)&address, sizeof address) == 0 && send(fd, query, sizeof query - 1, 0) > 0)
    say("answer", recv(fd, answer, sizeof answer, 0));
  else
    say("query", -1);
}

// Each argument is the name of an abstract unix socket.
static void abstracts(char** names) {
  for (; *names; ++names) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "%s", *names);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    say(*names, connect(fd, (struct sockaddr*)&address, (socklen_t)(sizeof(sa_family_t) + 1 + strlen(*names))));
    close(fd);
  }
}

static void descriptors(void) {
  DIR* directory = opendir("/proc/self/fd");
  struct dirent* entry;
  while (directory && (entry = readdir(directory))) {
    if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(directory)) printf("%s\n", entry->d_name);
  }
}

static void limits(void) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  printf("nofile %lu\n", (unsigned long)limit.rlim_max);
  getrlimit(RLIMIT_CORE, &limit);
  printf("core %lu\n", (unsigned long)limit.rlim_max);
  getrlimit(RLIMIT_MEMLOCK, &limit);
  printf("memlock %lu\n", (unsigned long)limit.rlim_max);
  printf("uid %d gid %d sid_is_self %d\n", getuid(), getgid(), getsid(0) == getpid());
}

// Writes to /tmp/fill until it cannot; prints MiB and why.
static void fill(void) {
  static char block[1 << 20];
  memset(block, 1, sizeof block);
  int fd = open("/tmp/fill", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  long total = 0;
  for (;;) {
    ssize_t size = write(fd, block, sizeof block);
    if (size < 0) break;
    total += size;
  }
  printf("%ld %s\n", total >> 20, strerrorname_np(errno));
}

// Makes empty files in /tmp until it cannot; prints how many and why.
static void floods(void) {
  int count = 0;
  for (;; ++count) {
    char name[32];
    snprintf(name, sizeof name, "/tmp/f%d", count);
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0) break;
    close(fd);
  }
  printf("%d %s\n", count, strerrorname_np(errno));
}

static double seconds_of(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

// Spins for that long; prints the share of one CPU it got, in percent.
static void spins(double seconds) {
  const double wall = seconds_of(CLOCK_MONOTONIC), cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
  while (seconds_of(CLOCK_MONOTONIC) < wall + seconds) continue;
  printf("%.0f\n", 100 * (seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu) / (seconds_of(CLOCK_MONOTONIC) - wall));
}

// Forks sleeping children until it cannot.
static void forks(void) {
  int count = 0;
  for (; count < 5000; ++count) {
    pid_t pid = fork();
    if (pid < 0) break;
    if (pid == 0) {
      pause();
      _exit(0);
    }
  }
  printf("%d %s\n", count, strerrorname_np(errno));
}

static void memory(long mib) {
  for (long i = 0; i < mib; ++i) {
    char* block = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) {
      say("mmap", -1);
      return;
    }
    memset(block, 1, 1 << 20);
  }
  printf("used\n");
}

int main(int argc, char** argv, char** envp) {
  setvbuf(stdout, 0, _IOLBF, 0);
  const char* what = argc > 1 ? argv[1] : "";
  if (!strcmp(what, "syscalls"))
    syscalls();
  else if (!strcmp(what, "reads"))
    reads(argv + 2);
  else if (!strcmp(what, "writes"))
    writes(argv + 2);
  else if (!strcmp(what, "connects"))
    connects(argv + 2);
  else if (!strcmp(what, "fds"))
    descriptors();
  else if (!strcmp(what, "limits"))
    limits();
  else if (!strcmp(what, "fill"))
    fill();
  else if (!strcmp(what, "forks"))
    forks();
  else if (!strcmp(what, "memory"))
    memory(atol(argv[2]));
  else if (!strcmp(what, "holds")) {
    memory(atol(argv[2]));
    usleep(1000 * (unsigned)atoi(argv[3]));
  } else if (!strcmp(what, "floods"))
    floods();
  else if (!strcmp(what, "spins"))
    spins(atof(argv[2]));
  else if (!strcmp(what, "reaches"))
    reaches(argv + 2);
  else if (!strcmp(what, "resolves"))
    resolves(argv[2]);
  else if (!strcmp(what, "abstracts"))
    abstracts(argv + 2);
  else if (!strcmp(what, "env"))
    for (; *envp; ++envp) printf("%s\n", *envp);
  else if (!strcmp(what, "exit"))
    return atoi(argv[2]);
  else if (!strcmp(what, "signal"))
    raise(atoi(argv[2]));
  else if (!strcmp(what, "pause")) {
    printf("ready\n");
    for (;;) pause();
  } else if (!strcmp(what, "spin")) {
    printf("ready\n");
    for (volatile long n = 0;; ++n) continue;
  } else if (!strcmp(what, "orphan")) {
    // Leaves a process behind that holds the output open.
    if (fork() == 0) {
      setsid();
      if (fork() == 0)
        for (;;) pause();
      _exit(0);
    }
    wait(0);
    printf("left\n");
  } else
    return 99;
  return 0;
}
